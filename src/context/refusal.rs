//! What an application needs for its own answer to a refusal.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};

use crate::{
    requirement::{Requirement, Shortfall},
    session::Subject,
    source::{Remedy, Transport},
};

/// A refused request, for applications with answers of their own: see [`StepUpBuilder::on_refusal`](crate::StepUpBuilder::on_refusal).
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// Why it was refused.
    pub shortfall: Shortfall,
    /// What was required.
    pub requirement: Requirement,
    /// What the client can do about it.
    pub remedy: &'a Remedy,
    /// Whose session it is, if it is known.
    pub subject: Option<&'a Subject>,
    /// How the client sent its credential; `None` if it sent none.
    pub transport: Option<Transport>,
    /// The request's method.
    pub method: &'a Method,
    /// Path and query as the application got them, before any router stripped a prefix. A prefix that a proxy stripped is missing.
    pub uri: &'a Uri,
    /// The request's headers without credentials.
    pub headers: &'a HeaderMap,
    /// Whether a browser navigates to a page. Only then does the crate's own answer redirect.
    pub is_navigation: bool,
}

/// Answers a refusal. With `None`, the client gets the crate's own answer.
pub(crate) trait RefusalHook: Send + Sync + 'static {
    fn answer(&self, refusal: &Refusal<'_>) -> Option<Response<Bytes>>;
}

impl<F> RefusalHook for F
where
    F: Fn(&Refusal<'_>) -> Option<Response<Bytes>> + Send + Sync + 'static,
{
    fn answer(&self, refusal: &Refusal<'_>) -> Option<Response<Bytes>> {
        self(refusal)
    }
}

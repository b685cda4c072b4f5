use http::Request;

use crate::{context::SessionContext, requirement::Requirement};

/// A request that waits for its verdict.
pub(super) struct Waiting<S, ReqBody> {
    pub(super) inner: S,
    pub(super) request: Request<ReqBody>,
    pub(super) context: SessionContext,
    pub(super) requirement: Requirement,
}

//! What is kept of a request's head once somebody needs it. Requests that pass keep nothing.

use std::{net::IpAddr, sync::Arc};

use tracing::Span;

use http::{Extensions, HeaderMap, HeaderValue, Method, header};

use super::Edge;
use crate::{audit::AuditRequest, client::Client, source::Head};

/// Method and headers of a request, and what else is known of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    address: Option<IpAddr>,
    route: Option<Arc<str>>,
    /// Whether the request itself is not known.
    assumed: bool,
    /// The submitted form that this request is, if it is one.
    form: Span,
}

impl RequestHead {
    pub(crate) fn of(head: Head<'_>, edge: &Edge) -> Self {
        Self {
            method: head.method.clone(),
            headers: head.headers.clone(),
            address: edge.client_address(head),
            route: matched_route(head.extensions).map(Arc::from),
            assumed: false,
            form: Span::none(),
        }
    }

    /// The assumed head of a request whose head is not known.
    pub(crate) fn of_a_program() -> Self {
        let headers = [(header::ACCEPT, HeaderValue::from_static("application/json"))];
        let headers = headers.into_iter().collect();
        Self { method: Method::GET, headers, address: None, route: None, assumed: true, form: Span::none() }
    }

    /// What the audit says of the request; `None` if it is not known.
    pub(crate) fn audited(&self) -> Option<AuditRequest> {
        (!self.assumed).then(|| AuditRequest::new(&self.method, self.route.clone(), self.client()))
    }

    /// The pattern of the matched route.
    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// The same head, for a submitted form in this span.
    pub(super) fn within(&self, form: Span) -> Self {
        Self { form, ..self.clone() }
    }

    pub(super) const fn form(&self) -> &Span {
        &self.form
    }

    /// Who sent the request.
    pub(crate) fn client(&self) -> Client {
        let client = Client::of(&self.headers);
        match self.address {
            Some(address) => client.with_address(address),
            None => client,
        }
    }
}

/// The pattern of the route, such as `/accounts/{id}`, if axum matched one.
#[cfg(feature = "axum")]
pub(super) fn matched_route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
pub(super) const fn matched_route(_: &Extensions) -> Option<&str> {
    None
}

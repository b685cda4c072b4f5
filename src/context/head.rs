//! What is kept of a request's head once somebody needs it. Requests that pass keep nothing.

use std::{net::IpAddr, sync::Arc};

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
}

impl RequestHead {
    pub(crate) fn of(head: Head<'_>, edge: &Edge) -> Self {
        Self {
            method: head.method.clone(),
            headers: head.headers.clone(),
            address: edge.client_address(head),
            route: matched_route(head.extensions).map(Arc::from),
            assumed: false,
        }
    }

    /// The assumed head of a request whose head is not known.
    pub(crate) fn of_a_program() -> Self {
        let headers = [(header::ACCEPT, HeaderValue::from_static("application/json"))];
        let headers = headers.into_iter().collect();
        Self { method: Method::GET, headers, address: None, route: None, assumed: true }
    }

    /// What the audit says of the request; `None` if it is not known.
    pub(crate) fn audited(&self) -> Option<AuditRequest> {
        (!self.assumed).then(|| AuditRequest::new(&self.method, self.route.clone(), self.client()))
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
fn matched_route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
const fn matched_route(_: &Extensions) -> Option<&str> {
    None
}

//! What is kept of a request's head once somebody needs it. Requests that pass keep nothing.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, header};

use super::Edge;
use crate::{client::Client, source::Head};

/// Method and headers of a request, and what else is known of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    address: Option<IpAddr>,
}

impl RequestHead {
    pub(crate) fn of(head: Head<'_>, edge: &Edge) -> Self {
        Self { method: head.method.clone(), headers: head.headers.clone(), address: edge.client_address(head) }
    }

    /// The assumed head of a request whose head is not known.
    pub(crate) fn of_a_program() -> Self {
        let headers = [(header::ACCEPT, HeaderValue::from_static("application/json"))];
        Self { method: Method::GET, headers: headers.into_iter().collect(), address: None }
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

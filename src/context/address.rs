//! The address that a request came to.

use http::{Request, uri::PathAndQuery};

/// Path and query of a request as the application got them.
#[derive(Clone)]
pub(crate) struct Address {
    pub(super) path_and_query: Option<PathAndQuery>,
    /// Whether a router has taken a prefix from the request's own URI since.
    pub(super) nested: bool,
}

impl Address {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let own = request.uri().path_and_query();
        #[cfg(feature = "axum")]
        if let Some(original) = request.extensions().get::<axum::extract::OriginalUri>() {
            let original = original.0.path_and_query();
            return Self { path_and_query: original.cloned(), nested: original != own };
        }
        Self { path_and_query: own.cloned(), nested: false }
    }
}

//! What is measured in one process.

pub mod flows;
pub mod hosted;
pub mod limits;
pub mod ours;
pub mod peers;
pub mod sources;

use std::convert::Infallible;

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::Service;

use crate::{
    measure::{Case, Requests},
    requests::{Template, cookies},
    world::World,
};

/// What stands behind all layers.
pub async fn handler() -> &'static str {
    "all payments"
}

pub fn bare_router() -> Router {
    Router::new().route("/", get(handler))
}

/// The server without anything. It gets the same request.
pub fn bare(world: &World) -> Case {
    let template = Template::new(Some(&cookies(&world.session_cookie())));
    let work = Requests::new(bare_router(), &world.runtime, StatusCode::OK, move || template.request());
    Case::new("bare axum 0.8", work)
}

/// The server without anything, then all that were asked for.
pub fn all(world: &World, filter: &str) -> Vec<Case> {
    let mut cases = limits::all(world);
    cases.extend(peers::all(world));
    cases.extend(ours::all(world, filter));
    cases.extend(sources::all(world));
    cases.extend(hosted::all(world));
    cases.extend(flows::all(world, filter));
    cases.retain(|case| case.name.contains(filter));
    cases.insert(0, bare(world));
    cases
}

/// A case of requests.
pub(crate) fn requests<S, B>(
    name: &str,
    runtime: &Runtime,
    service: S,
    expected: StatusCode,
    make: impl FnMut() -> Request<Body> + 'static,
) -> Case
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: 'static,
{
    Case::new(name, Requests::new(service, runtime, expected, make))
}

//! Answers of the router, all with `no-store`.

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::Value;
use url::Url;

use crate::{
    headers::{forbid_storing, never_sniff},
    requirement::Shortfall,
};

pub(crate) fn from_bytes(response: Response<Bytes>) -> Response<Body> {
    response.map(Body::from)
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    forbid_storing(response.headers_mut());
    response
}

/// 303: the browser continues with GET, whatever the method was.
pub(crate) fn see_other(url: &Url) -> Response<Body> {
    let mut response = empty(StatusCode::SEE_OTHER);
    // A header can carry any parsed URL.
    if let Ok(location) = HeaderValue::from_str(url.as_str()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = empty(status);
    *response.body_mut() = body.to_string().into();
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    never_sniff(response.headers_mut());
    response
}

/// Adds the cookie, if there is one.
pub(crate) fn set_cookie(response: &mut Response<Body>, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The same answer, with the shortfall for layers outside.
pub(crate) fn because(mut response: Response<Body>, shortfall: Shortfall) -> Response<Body> {
    response.extensions_mut().insert(shortfall);
    response
}

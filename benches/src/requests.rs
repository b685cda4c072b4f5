//! The request of all in-process cases: one GET with four cookies, of which one is the session.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

/// What a browser sends along. The session stands between the others.
pub fn cookies(session: &str) -> String {
    format!(
        "_ga=GA1.1.1234567890.1700000000; theme=dark; {session}; csrf=5f4dcc3b5aa765d61d8327deb882cf99f00dfacebeefcafe"
    )
}

/// Headers to copy for each request.
#[derive(Clone)]
pub struct Template(HeaderMap);

impl Template {
    /// A browser's headers with these cookies.
    pub fn new(cookies: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("bank.example"));
        headers.insert("accept", HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
        headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"));
        if let Some(cookies) = cookies {
            headers.insert("cookie", cookies.parse().unwrap());
        }
        Self(headers)
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(HeaderName::from_static(name), value.parse().unwrap());
        self
    }

    pub fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.headers_mut() = self.0.clone();
        request
    }

    pub fn to(&self, method: &str, path: &str, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = self.0.clone();
        request
    }
}

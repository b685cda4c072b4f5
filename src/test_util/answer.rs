//! Answers with their whole body.

use std::{fmt::Debug, pin::pin};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, Response, StatusCode, header, request::Builder};
use http_body::Body;
use serde_json::Value;
use tower_service::Service;

use super::Attacks;

pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl<S> Attacks<S> {
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub(super) async fn read<ReqBody, ResBody>(&self, request: Builder, body: String) -> Answer
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: From<String>,
        ResBody: Body,
        ResBody::Error: Debug,
    {
        let request = request.body(ReqBody::from(body)).expect("a path cannot be sent");
        let (parts, body) = self.send(request).await.into_parts();
        let mut body = pin!(body);
        let mut read = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Ok(mut data) = frame.expect("the body failed").into_data() {
                read.extend_from_slice(&data.copy_to_bytes(data.remaining()));
            }
        }
        Answer { status: parts.status, headers: parts.headers, body: read.into() }
    }
}

impl Answer {
    /// The text at a JSON pointer (RFC 6901).
    pub(super) fn text_at(&self, pointer: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        body.pointer(pointer)?.as_str().map(str::to_owned)
    }

    pub(super) fn location(&self) -> Option<String> {
        let place = self.headers.get(header::LOCATION)?.to_str().ok()?;
        (self.status == StatusCode::SEE_OTHER).then(|| place.to_owned())
    }

    /// The cookies that it sets, as `name=value`.
    pub(super) fn cookies(&self) -> impl Iterator<Item = String> {
        let set = self.headers.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        set.filter_map(|cookie| cookie.split(';').next()).map(str::to_owned)
    }

    /// The answer, for a report.
    pub(super) fn seen(&self) -> String {
        match self.text_at("/error/reason").or_else(|| self.text_at("/ui/messages/0/text")) {
            Some(reason) => format!("{} ({reason})", self.status),
            None => self.status.to_string(),
        }
    }
}

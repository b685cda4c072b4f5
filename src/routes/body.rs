//! Submitted bodies: read within limits, then three media types and one outcome.

use std::{future::poll_fn, pin::pin, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, Multipart},
    http::{HeaderMap, Request, header},
};
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::{failure::Failure, scope::Scope};
use crate::{factor::Form, headers::negotiation::has_media_type, wire::ui::reason};

/// Why a body is not a form, in words for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// The most that a body may have which is no form of a login or of the settings: a token, or a few fields.
pub(crate) const SMALL: usize = 8 * 1024;

/// A read of this long ago need not be repeated: other requests change a flow at any moment, and the transaction that completes it notices.
const SAME_MOMENT: Duration = Duration::from_secs(1);

/// A body that is there, and its request at that instant.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    /// Judge the request by this, not by what held when its head came: who sends the body decides how long it takes.
    pub(crate) scope: Scope,
    /// Whether what the head made us read must be read again. The session always is.
    pub(crate) took_long: bool,
}

/// Waits for the whole body, as long as the configuration allows, and for at most so many bytes.
pub(crate) async fn receive(scope: &Scope, body: Body, most: usize) -> Result<Received, Failure> {
    let begun = Instant::now();
    let whole = timeout(scope.engine().limits.body_timeout, read(body, most));
    let bytes = whole.await.map_err(|_| Failure::BodyTooLate)??;
    Ok(Received { bytes, scope: scope.anew(), took_long: begun.elapsed() >= SAME_MOMENT })
}

/// Copies what comes: a piece of a body may keep a much larger buffer in memory.
async fn read(body: Body, most: usize) -> Result<Bytes, Failure> {
    let fits = |size: u64| usize::try_from(size).is_ok_and(|size| size <= most);
    if !fits(body.size_hint().lower()) {
        return Err(Failure::BodyTooLarge);
    }
    let (mut body, mut whole) = (pin!(body), Vec::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(piece) = frame.map_err(|_| Failure::BadBody)?.into_data() else { continue };
        if piece.len() > most.saturating_sub(whole.len()) {
            return Err(Failure::BodyTooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// The body as a form.
pub(crate) async fn form(headers: &HeaderMap, bytes: Bytes) -> Result<Form, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable(reason::FORM_EMPTY));
    }
    if !has_known_charset(headers) {
        Err(Unreadable(reason::FORM_NOT_UTF_8))
    } else if has_media_type(headers, "application/json") {
        json(&bytes)
    } else if has_media_type(headers, "application/x-www-form-urlencoded") {
        urlencoded(&bytes)
    } else if has_media_type(headers, "multipart/form-data") {
        multipart(headers, bytes).await
    } else {
        Err(Unreadable(reason::FORM_MEDIA_TYPE))
    }
}

/// What clients call UTF-8 (the labels of the Encoding standard).
const UTF_8: [&str; 6] = ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"];

/// All three media types share only UTF-8.
fn has_known_charset(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    content_type.split(';').skip(1).all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            UTF_8.iter().any(|label| value.eq_ignore_ascii_case(label))
        }
        _ => true,
    })
}

fn json(bytes: &[u8]) -> Result<Form, Unreadable> {
    // serde_json refuses more than 128 levels of nesting.
    let body = serde_json::from_slice(bytes).map_err(|_| Unreadable(reason::FORM_UNREADABLE))?;
    let form = Form::from_object(body).map_err(|_| Unreadable(reason::FORM_REPEATS))?;
    // Fields of every form. In another type they would count as missing, and their sender would not learn why.
    if ["method", "csrf_token"].iter().any(|name| form.json(name).is_some()) {
        return Err(Unreadable(reason::FORM_FIELD_TYPES));
    }
    Ok(form)
}

fn urlencoded(bytes: &[u8]) -> Result<Form, Unreadable> {
    Form::from_pairs(form_urlencoded::parse(bytes).into_owned()).map_err(|_| Unreadable(reason::FORM_REPEATS))
}

async fn multipart(headers: &HeaderMap, bytes: Bytes) -> Result<Form, Unreadable> {
    let mut request = Request::new(Body::from(bytes));
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| Unreadable(reason::FORM_UNREADABLE))?;
    let mut fields = Vec::new();
    while let Some(field) = parts.next_field().await.map_err(|_| Unreadable(reason::FORM_UNREADABLE))? {
        let name = field.name().unwrap_or_default().to_owned();
        fields.push((name, field.text().await.map_err(|_| Unreadable(reason::FORM_UNREADABLE))?));
    }
    Form::from_pairs(fields).map_err(|_| Unreadable(reason::FORM_REPEATS))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(content_type: &str, body: &str) -> Result<Option<String>, Unreadable> {
        let headers = [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect();
        let form = form(&headers, Bytes::from(body.to_owned())).await?;
        Ok(form.get("totp_code").map(str::to_owned))
    }

    const FORM: &str = "application/x-www-form-urlencoded";
    const MULTIPART: &str = "multipart/form-data; boundary=x";

    #[tokio::test]
    async fn three_media_types_carry_the_same_fields() {
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"totp_code\"\r\n\r\n001234\r\n--x--\r\n";
        for (content_type, body) in [
            ("application/json", r#"{"totp_code":"001234","nested":{"totp_code":"x"}}"#),
            ("application/json; charset=UTF-8", r#"{"totp_code":"001234"}"#),
            ("application/json", r#"{"method":"totp","totp_code":"001234","method":"totp"}"#),
            (FORM, "totp_code=001234&totp_code=001234"),
            ("application/json; charset=utf8", r#"{"totp_code":"001234"}"#),
            ("application/json;charset=\"UTF8\"; v=1", r#"{"totp_code":"001234"}"#),
            ("application/x-www-form-urlencoded; charset=utf8", "totp_code=001234"),
            (FORM, "totp_code=001234&method=totp"),
            (MULTIPART, multipart),
        ] {
            assert_eq!(parse(content_type, body).await, Ok(Some("001234".to_owned())), "{content_type}");
        }
    }

    #[tokio::test]
    async fn everything_else_is_unreadable() {
        let deep = format!("{}1{}", "[".repeat(400), "]".repeat(400));
        for (content_type, body) in [
            ("application/json", ""),
            ("application/json", "[]"),
            ("application/json", "\"x\""),
            ("application/json", "{"),
            ("application/json", "totp_code=001234"),
            ("application/json", r#"{"totp_code":"1","totp_code":"2"}"#),
            ("application/json", r#"{"totp_code":"1","csrf_token":["x"]}"#),
            ("application/json", r#"{"totp_code":"1","csrf_token":1}"#),
            ("application/json", r#"{"totp_code":"1","method":{}}"#),
            ("application/json", &format!("{{\"a\":{deep}}}")),
            ("application/json; charset=utf-16", r#"{"totp_code":"001234"}"#),
            ("application/json; charset=utf-88", r#"{"totp_code":"001234"}"#),
            ("application/json; charset=", r#"{"totp_code":"001234"}"#),
            (FORM, "totp_code=1&totp_code=2"),
            ("multipart/form-data", "x"),
            (MULTIPART, "garbage"),
            ("text/plain", "totp_code=001234"),
            ("application/xml", "<totp_code>001234</totp_code>"),
        ] {
            assert!(matches!(parse(content_type, body).await, Err(Unreadable(_))), "{content_type} {body}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let read = |length| read(Body::from("x".repeat(length)), 1000);
        assert_eq!(read(1000).await, Ok(Bytes::from("x".repeat(1000))));
        assert_eq!(read(1001).await, Err(Failure::BodyTooLarge));
        assert_eq!(read(0).await, Ok(Bytes::new()));
    }

    /// It names no method, and that is what its sender reads.
    #[tokio::test]
    async fn a_body_without_fields_is_a_form() {
        for (content_type, body) in
            [("application/json", "{}"), ("application/json", r#"{"a":null}"#), (FORM, "&"), (MULTIPART, "--x--\r\n")]
        {
            assert_eq!(parse(content_type, body).await, Ok(None), "{content_type} {body}");
        }
    }
}

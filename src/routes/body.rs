//! Submitted bodies: three media types, one limit, one outcome.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Multipart},
    http::{HeaderMap, Request, header},
};
use url::form_urlencoded;

use crate::{factor::Form, headers::negotiation::has_media_type};

/// Why a body is not a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It exceeds the limit.
    TooLarge,
    /// What is wrong, in words for the user.
    Unreadable(&'static str),
}

const UNREADABLE: BodyError = BodyError::Unreadable("The form could not be read. Please send it again.");

const REPEATED: BodyError =
    BodyError::Unreadable("The form has a field twice, with different values. Please send each field once.");

/// Reads the whole body.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    to_bytes(body, limit).await.map_err(|_| BodyError::TooLarge)
}

/// The body as a form.
pub(crate) async fn form(headers: &HeaderMap, bytes: Bytes) -> Result<Form, BodyError> {
    if bytes.is_empty() {
        return Err(BodyError::Unreadable("The form was empty. Please fill it in."));
    }
    if !has_known_charset(headers) {
        Err(BodyError::Unreadable("Please send the form in UTF-8."))
    } else if has_media_type(headers, "application/json") {
        json(&bytes)
    } else if has_media_type(headers, "application/x-www-form-urlencoded") {
        urlencoded(&bytes)
    } else if has_media_type(headers, "multipart/form-data") {
        multipart(headers, bytes).await
    } else {
        Err(BodyError::Unreadable("Please send the form as JSON, URL-encoded or multipart."))
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

fn json(bytes: &[u8]) -> Result<Form, BodyError> {
    // serde_json refuses more than 128 levels of nesting.
    let body = serde_json::from_slice(bytes).map_err(|_| UNREADABLE)?;
    let form = Form::from_object(body).map_err(|_| REPEATED)?;
    // Fields of every form. In another type they would count as missing, and their sender would not learn why.
    if ["method", "csrf_token"].iter().any(|name| form.json(name).is_some()) {
        return Err(BodyError::Unreadable(
            "The fields method and csrf_token must be texts. Please send them as the form has them.",
        ));
    }
    Ok(form)
}

fn urlencoded(bytes: &[u8]) -> Result<Form, BodyError> {
    Form::from_pairs(form_urlencoded::parse(bytes).into_owned()).map_err(|_| REPEATED)
}

async fn multipart(headers: &HeaderMap, bytes: Bytes) -> Result<Form, BodyError> {
    let mut request = Request::new(Body::from(bytes));
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| UNREADABLE)?;
    let mut fields = Vec::new();
    while let Some(field) = parts.next_field().await.map_err(|_| UNREADABLE)? {
        let name = field.name().unwrap_or_default().to_owned();
        fields.push((name, field.text().await.map_err(|_| UNREADABLE)?));
    }
    Form::from_pairs(fields).map_err(|_| REPEATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(content_type: &str, body: &str) -> Result<Option<String>, BodyError> {
        let headers = [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect();
        let form = form(&headers, read(Body::from(body.to_owned()), 1000).await?).await?;
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
            assert!(matches!(parse(content_type, body).await, Err(BodyError::Unreadable(_))), "{content_type} {body}");
        }
        assert_eq!(parse(FORM, &"x".repeat(1001)).await, Err(BodyError::TooLarge));
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

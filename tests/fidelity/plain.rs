//! Answers without what differs from run to run: ids, times, tokens, texts and hosts become placeholders.

use cookie::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{client::Answer, site::PUBLIC};

/// The answer to a step.
pub fn noted(step: &str, answer: &Answer) -> Value {
    let header = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let mut cookies = Map::new();
    for cookie in answer.cookies() {
        let kind = ["csrf", "session"].into_iter().find(|kind| cookie.name.contains(kind));
        let kind = kind.unwrap_or(&cookie.name).to_owned();
        cookies.insert(kind, json!(if cookie.removed { "removed" } else { "set" }));
    }
    let parsed = serde_json::from_str::<Value>(&answer.text);
    let kind = match &parsed {
        Ok(_) => "json",
        Err(_) if answer.text.contains('<') => "html",
        Err(_) if answer.text.trim().is_empty() => "empty",
        Err(_) => "text",
    };
    json!({
        "step": step,
        "status": answer.status.as_u16(),
        "kind": kind,
        "type": header("content-type").split(';').next(),
        "location": place(header("location")),
        "cookies": cookies,
        "error_header": without_ids(header("ory-error-id")),
        "body": parsed.map_or(Value::Null, |body| shaped(plain(body, ""))),
    })
}

const TEXTS: [&str; 9] =
    ["text", "reason", "message", "status_text", "title", "debug", "hint", "reject_reason", "docs"];

const SECRETS: [&str; 8] =
    ["secret", "session_token", "ory_session_token", "logout_token", "totp_secret", "csrf_token", "nonce", "integrity"];

fn plain(value: Value, key: &str) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, inner)| (name.clone(), plain(inner, &name))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(|item| plain(item, key)).collect(),
        Value::Number(number) if number.as_f64().is_some_and(|number| number > 1e9) => json!("<unix>"),
        Value::String(text) => json!(plain_text(&text, key)),
        other => other,
    }
}

fn plain_text(text: &str, key: &str) -> String {
    if TEXTS.contains(&key) && !text.is_empty() {
        "<text>".to_owned()
    } else if key == "ip_address" {
        "<ip>".to_owned()
    } else if SECRETS.contains(&key) {
        if text.is_empty() { String::new() } else { format!("<{key}>") }
    } else if text.contains("\"publicKey\"") {
        let outside = text.find('{').zip(text.rfind('}')).map(|(begin, end)| (&text[..begin], &text[end + 1..]));
        let (before, after) = outside.unwrap();
        format!("{before}<options>{after}")
    } else if text.len() >= 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        "<hex>".to_owned()
    } else if text.starts_with("data:image/") {
        format!("{},<img>", text.split(',').next().unwrap())
    } else if text.starts_with("http://") || text.starts_with("https://") || text.starts_with('/') {
        place(text)
    } else if OffsetDateTime::parse(text, &Rfc3339).is_ok() {
        "<time>".to_owned()
    } else {
        without_ids(text)
    }
}

/// A URL without its host, with its parameters in order.
fn place(url: &str) -> String {
    let url = url.replace(PUBLIC, "{public}");
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let value = |name: &str, value: &str| if name == "token" { "<token>".to_owned() } else { plain_text(value, "") };
    let mut query: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, text)| format!("{name}={}", value(&name, &text.replace("{public}", PUBLIC))))
        .collect();
    query.sort_unstable();
    let path = without_ids(path);
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// The text with `<uuid>` in place of each UUID.
fn without_ids(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut plain = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let id = rest.get(..LENGTH).filter(|id| uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == *id));
        let taken = if id.is_some() { LENGTH } else { character.len_utf8() };
        plain.push_str(id.map_or(&rest[..taken], |_| "<uuid>"));
        rest = &rest[taken..];
    }
    plain
}

/// The body with its nodes and messages as tables.
fn shaped(mut body: Value) -> Value {
    let Some(ui) = body.get_mut("ui").filter(|ui| ui.is_object()) else { return body };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    ui["messages"] = list(&ui["messages"]).iter().map(text_of).collect();
    ui["nodes"] = list(&ui["nodes"]).into_iter().map(node_of).collect();
    body
}

/// Id, type and the names of the context.
fn text_of(text: &Value) -> Value {
    let mut names: Vec<_> =
        text["context"].as_object().map(|context| context.keys().cloned().collect()).unwrap_or_default();
    names.sort_unstable();
    json!([text["id"], text["type"], names])
}

fn node_of(mut node: Value) -> Value {
    let mut attributes = node["attributes"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let name = attributes.remove("name").or_else(|| attributes.remove("id")).unwrap_or_default();
    let name = name.as_str().unwrap_or_default();
    if name == "csrf_token" && attributes.get("value").is_some_and(|value| value != "") {
        attributes.insert("value".to_owned(), json!("<csrf>"));
    }
    if let Some(text) = attributes.get("text").filter(|text| text.is_object()).map(text_of) {
        attributes.insert("text".to_owned(), text);
    }
    let label = node["meta"].get("label").map_or(Value::Null, text_of);
    let messages: Vec<_> = node["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|message| json!([message["id"], message["type"]]))
        .collect();
    json!({
        "node": format!("{}:{name}", node["group"].as_str().unwrap()),
        "type": node["type"],
        "at": attributes,
        "label": label,
        "messages": messages,
    })
}

use axum::{
    body::Body,
    http::{HeaderValue, Request, header},
};
use serde_json::Value;

use super::{
    bank::{Answer, Bank, CSRF_FIELD, Client, Known, NAMES},
    world::{LOOKUP_CODES, NOW, PASSWORD, TOTP_SECRET, block_on, expand, totp_codes},
};
use crate::{
    aal::Aal,
    factor::decode_totp_secret,
    flow::unstored::{self, Found},
    store::StoredFlow,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Purpose {
    SecondFactor,
    Refresh,
    FirstFactor,
    Settings,
}

const KIM: Option<usize> = Some(0);
const LEE: Option<usize> = Some(1);
const MIA: Option<usize> = Some(2);

/// Drawing the QR code takes longer than everything else, and JSON answers contain it. So this flow never answers in JSON, and its page
/// is read only on demand.
const WITH_PICTURE: usize = 6;

/// The open flows, how each began, and where to submit it.
const FLOWS: [(Purpose, Client, &str, &str); 8] = [
    (Purpose::SecondFactor, Client::Browser(KIM), "/self-service/login/browser?aal=aal2", "/self-service/login"),
    (Purpose::SecondFactor, Client::Native(KIM), "/self-service/login/api?aal=aal2", "/self-service/login"),
    (Purpose::Refresh, Client::Browser(KIM), "/self-service/login/browser?refresh=true", "/self-service/login"),
    (Purpose::FirstFactor, Client::Browser(None), "/self-service/login/browser", "/self-service/login"),
    (Purpose::Settings, Client::Browser(LEE), "/self-service/settings/browser", "/self-service/settings"),
    (Purpose::Settings, Client::Native(LEE), "/self-service/settings/api", "/self-service/settings"),
    (Purpose::Settings, Client::Browser(MIA), "/self-service/settings/browser", "/self-service/settings"),
    (Purpose::FirstFactor, Client::Native(None), "/self-service/login/api", "/self-service/login"),
];

/// Made once: the open flows, which each new store gets, and the right codes.
struct Begun {
    flows: Vec<StoredFlow>,
    totp: [String; 3],
    /// The codes for the secret that the last settings flow offers.
    offered: [String; 3],
}

impl Begun {
    fn new() -> Self {
        let mut bank = Bank::new();
        let mut offered = None;
        let mut flows = Vec::new();
        for (_, client, begin, _) in FLOWS {
            let begun = bank.get(client, true, begin);
            let view = begun.json();
            let id: uuid::Uuid = view["id"].as_str().unwrap().parse().unwrap();
            let engine = bank.step_up.engine();
            let stored = block_on(engine.stores.flow(id.into())).unwrap();
            // Without a session the store does not have it yet.
            flows.push(stored.unwrap_or_else(|| match unstored::find(id.into(), &begun.cookies(), engine, NOW) {
                Found::Flow(flow) => flow.to_stored().unwrap(),
                Found::InAnotherBrowser | Found::Unknown => panic!("{begin}: no flow"),
            }));
            let nodes = view["ui"]["nodes"].as_array().unwrap();
            let secret = nodes.iter().find(|node| node["attributes"]["id"] == "totp_secret_key");
            offered = secret
                .and_then(|node| node["attributes"]["text"]["context"]["secret"].as_str().map(str::to_owned))
                .or(offered);
        }
        let offered = decode_totp_secret(&offered.unwrap()).unwrap();
        Self { flows, totp: totp_codes(TOTP_SECRET), offered: totp_codes(&offered) }
    }

    fn stands_for(&self, byte: u8) -> Option<Vec<u8>> {
        let text = match byte {
            1 => CSRF_FIELD,
            2..=4 => &self.totp[usize::from(byte) - 2],
            5 | 6 => LOOKUP_CODES[usize::from(byte) - 5],
            7 => &self.offered[1],
            8 => PASSWORD,
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    }
}

/// Submits up to six forms, separated by the byte 0x1e, to flows of every kind. In each, the first byte picks the flow and whether to ask
/// for a page or JSON, the second picks the content type, and the rest is the body. Control bytes stand for values that no fuzzer could
/// guess.
///
/// Nothing changes unless the body has the right secret, and from a browser also the CSRF token. Then exactly one session is replaced and
/// one secret is used up. No other user is affected. The server never fails, and never echoes its input.
pub fn submit_bodies(data: &[u8]) {
    submitted(data);
}

/// How many of the forms changed something.
pub(super) fn submitted(data: &[u8]) -> usize {
    thread_local!(static BEGUN: Begun = Begun::new());
    BEGUN.with(|begun| {
        let mut bank = Bank::new();
        for flow in &begun.flows {
            block_on(bank.step_up.engine().stores.create_flow(flow, 50, NOW)).unwrap();
        }
        let forms = data.split(|&byte| byte == 0x1e).take(6).filter_map(<[u8]>::split_first_chunk);
        let changed = forms.filter(|&(&[which, media], body)| {
            submit(&mut bank, begun, which, media, &expand(body, |byte| begun.stands_for(byte)))
        });
        changed.count()
    })
}

fn submit(bank: &mut Bank, begun: &Begun, which: u8, media: u8, body: &[u8]) -> bool {
    let number = usize::from(which % 8);
    let (purpose, client, _, path) = FLOWS[number];
    let json = which & 8 == 0 && number != WITH_PICTURE;
    let (content_type, body) = match media % 8 {
        0 => ("application/json".parse().ok(), body),
        1 => ("application/x-www-form-urlencoded".parse().ok(), body),
        2 => ("multipart/form-data; boundary=x".parse().ok(), body),
        3 => ("application/json; charset=utf-8".parse().ok(), body),
        4 => (None, body),
        _ => {
            let line = body.iter().position(|&byte| byte == b'\n').unwrap_or(body.len());
            (HeaderValue::from_bytes(&body[..line]).ok(), body.get(line + 1..).unwrap_or_default())
        }
    };
    let uri = format!("{path}?flow={}", begun.flows[number].id);
    let mut request = Request::post(uri).body(Body::from(body.to_vec())).unwrap();
    request.headers_mut().extend(content_type.map(|value| (header::CONTENT_TYPE, value)));
    let before = bank.known();
    let answer = bank.send(client, json, request);
    assert!(matches!(answer.status.as_u16(), 200 | 303 | 400 | 401 | 403 | 404 | 413 | 422 | 429), "{answer:?}");
    let after = bank.known();
    let said = readings(body);
    let changed: Vec<_> = (0..NAMES.len()).filter(|&user| before[user] != after[user]).collect();
    assert!(changed.len() <= 1, "several users are changed");
    assert_eq!(changed.len(), usize::from(answer.token().is_some()), "{answer:?}");
    if let Some(&user) = changed.first() {
        assert!(client.user().is_none_or(|own| own == user), "another user is changed");
        if matches!(client, Client::Browser(_)) {
            assert!(said.contains(&plain(CSRF_FIELD)), "without the token of the browser");
        }
        change(purpose, begun, &said, (user, &before[user], &after[user]));
        if client.user().is_some() {
            bank.tokens[user] = answer.token().unwrap();
        }
    } else if purpose != Purpose::Settings {
        assert!(!json || answer.status != 200, "a success that changes nothing: {answer:?}");
    }
    if number != WITH_PICTURE || which & 8 != 0 {
        page(bank, client, &answer);
    }
    !changed.is_empty()
}

/// The page that a browser is redirected to.
fn page(bank: &mut Bank, client: Client, answer: &Answer) {
    let path = answer.header("location").strip_prefix("https://bank.example");
    if let Some(path) = path.filter(|path| path.starts_with("/self-service/ui/")) {
        let page = bank.get(client, false, path);
        assert!(matches!(page.status.as_u16(), 200 | 303), "{page:?}");
    }
}

fn change(purpose: Purpose, begun: &Begun, said: &str, (user, before, after): (usize, &Known, &Known)) {
    let says = |texts: &[&str]| texts.iter().any(|text| said.contains(&plain(text)));
    let totp: Vec<_> = begun.totp.iter().map(String::as_str).collect();
    match purpose {
        Purpose::SecondFactor => {
            assert!(says(&totp) || says(&LOOKUP_CODES), "without a right code: {said}");
            follows(before, after);
            assert_eq!(after.level(), Aal::Aal2);
            let stepped =
                after.credentials.iter().zip(&before.credentials).any(|(new, old)| new.last_step > old.last_step);
            let spent = after.spent() - before.spent();
            // A look-up secret also burns the current codes, so the steps rise too.
            assert!(spent == 1 || (spent == 0 && stepped), "no code was used up");
        }
        Purpose::Refresh => {
            assert!(says(&[PASSWORD]), "without the password: {said}");
            follows(before, after);
            assert_eq!((after.level(), &after.credentials), (before.level(), &before.credentials));
        }
        Purpose::FirstFactor => {
            assert!(says(&[PASSWORD]) && says(&[NAMES[user]]), "without the password: {said}");
            assert_eq!((after.sessions.len(), &after.credentials), (before.sessions.len() + 1, &before.credentials));
            let new: Vec<_> = after.sessions.iter().filter(|session| !before.sessions.contains(session)).collect();
            assert!(new.len() == 1 && new[0].1 == Aal::Aal1, "{new:?}");
        }
        Purpose::Settings => {
            follows(before, after);
            let first = before.credentials.is_empty()
                && before.sessions.iter().all(|(session, _)| session.id() == uuid::Uuid::from_u128(3).into());
            let offered: Vec<_> = begun.offered.iter().map(String::as_str).collect();
            if first {
                assert!(
                    says(&offered) || says(&["lookup_secret_confirm"]),
                    "without the code of the offered secret: {said}"
                );
            } else {
                let flags = ["totp_code", "totp_unlink", "lookup_secret_confirm", "lookup_secret_disable"];
                assert!(says(&flags), "without being asked: {said}");
            }
            assert!(after.level() <= before.level() || before.credentials.is_empty(), "a change of settings lifts");
        }
    }
}

/// Exactly one session replaces one.
fn follows(before: &Known, after: &Known) {
    let kept =
        after.sessions.iter().filter(|(session, _)| before.sessions.iter().any(|(old, _)| old.id() == session.id()));
    assert_eq!((kept.count() + 1, after.sessions.len()), (before.sessions.len(), before.sessions.len()));
}

/// Without the separators that people type.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
        .collect::<String>()
        .to_ascii_uppercase()
}

/// All readings of the body: raw, as a form, as JSON.
fn readings(body: &[u8]) -> String {
    let mut all = String::from_utf8_lossy(body).into_owned();
    for (name, value) in url::form_urlencoded::parse(body) {
        all.extend(["\n", &name, "\n", &value]);
    }
    if let Ok(value) = serde_json::from_slice(body) {
        texts(&value, &mut all);
    }
    plain(&all)
}

fn texts(value: &Value, all: &mut String) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            all.push_str(name);
            texts(value, all);
        }),
        Value::Array(values) => values.iter().for_each(|value| texts(value, all)),
        Value::String(text) => all.extend(["\n", text]),
        other => all.push_str(&other.to_string()),
    }
}

#[cfg(test)]
pub(super) const FRAGMENTS: &[&[u8]] = &[
    b"00{\"method\":\"totp\",\"totp_code\":\"\x03\",\"csrf_token\":\"\x01\"}",
    b"10{\"method\":\"totp\",\"totp_code\":\"\x03\"}",
    b"10{\"method\":\"lookup_secret\",\"lookup_secret\":\"\x05\"}",
    b"01method=lookup_secret&lookup_secret=\x05&csrf_token=\x01",
    b"21method=password&identifier=kim&password=\x08&csrf_token=\x01",
    b"31method=password&identifier=kim&password=\x08&csrf_token=\x01",
    b"61method=totp&totp_code=\x07&csrf_token=\x01",
    b"51lookup_secret_regenerate=true",
    b"51lookup_secret_confirm=true",
    b"51lookup_secret_disable=true",
    b"51totp_unlink=true",
    b"02--x\r\nContent-Disposition: form-data; name=\"totp_code\"\r\n\r\n\x03\r\n--x--\r\n",
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
    b"7",
    b"8",
    b"9",
    b"\x1e",
    b"\x01",
    b"\x02",
    b"\x03",
    b"\x04",
    b"\x05",
    b"\x06",
    b"\x07",
    b"\x08",
    b"method=",
    b"&",
    b"=",
    b"totp",
    b"totp_code",
    b"lookup_secret",
    b"csrf_token",
    b"\"",
    b"{",
    b"}",
    b":",
    b",",
    b"true",
    b"\r\n--x\r\n",
    b"Content-Disposition: form-data; name=",
    b"%00",
    b"\\u0031",
    b"<script>",
    b"+",
    b"-",
    b" ",
];

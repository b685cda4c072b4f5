use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::world::{
    LOOKUP_CODES, NOW, TOTP_SECRET, credential_id, credentials, expand, now_or_never, password, sealer, session,
    subject, totp_codes,
};
use crate::{
    aal::Aal,
    factor::{
        Factor, FactorContext, Form, LookupSecrets, Totp, Verdict, lookup_secret, no_memory, no_stores,
        totp_seal_context,
    },
    flow::record::Flow,
    session::{SigningKey, StoredSession, token::KeyRing},
    standing::{CredentialSummary, Standing},
    store::{Consumption, Credential, StoredFlow},
    wire::session as view,
};

/// Sealed for credential 20 of kim, and for credential 10 of lee.
struct Sealed([Vec<u8>; 2]);

impl Sealed {
    fn new() -> Self {
        Self([credentials("kim", 20), credentials("lee", 10)].map(|[totp, _]| totp.data))
    }

    fn stands_for(&self, byte: u8) -> Option<Vec<u8>> {
        match byte {
            1 | 2 => Some(self.0[usize::from(byte) - 1].clone()),
            3 | 4 => Some(lookup_secret::hash(credential_id(21), LOOKUP_CODES[usize::from(byte) - 3]).to_vec()),
            _ => None,
        }
    }
}

fn id(byte: u8) -> Uuid {
    Uuid::from_u128(byte.into())
}

fn number(text: &[u8]) -> i64 {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    // Text that is not a number still makes one, so all input has an effect.
    parsed
        .unwrap_or_else(|| text.iter().fold(0, |number: i64, &byte| number.wrapping_mul(257).wrapping_add(byte.into())))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Rows from a store that anybody may have written. The first byte picks the kind of row.
///
/// Each row is a value or an error. A session's level never exceeds its proofs. A flow lifts only its owner. A sealed value opens only if
/// it is unchanged. Pages show markup in a row as text.
pub fn stored_rows(data: &[u8]) {
    thread_local!(static SEALED: Sealed = Sealed::new());
    let Some((which, rest)) = data.split_first() else { return };
    SEALED.with(|sealed| match which % 7 {
        0 => {
            flow_body(rest);
        }
        1 => session_row(rest),
        2 => standing_rows(rest),
        3 => credential_rows(rest, sealed),
        4 => flow_row(rest),
        5 => redis_answer(rest),
        _ => sealed_value(rest, sealed),
    });
}

/// Flags, then the body of a flow in JSON. Returns whether a right code lifted a session.
pub(super) fn flow_body(data: &[u8]) -> bool {
    let Some((flags, body)) = data.split_first() else { return false };
    let Ok(body) = std::str::from_utf8(body) else { return false };
    let stored = StoredFlow {
        id: Uuid::from_u128(7).into(),
        subject: (flags & 1 == 0).then(|| subject("kim")),
        binding: (flags & 8 != 0).then(|| Uuid::from_u128(if flags & 16 == 0 { 0x101 } else { 0x102 }).into()),
        expires_at: if flags & 2 == 0 { NOW + Duration::from_secs(60) } else { NOW },
        version: 0,
        completed: flags & 4 != 0,
        in_use: false,
        body: body.to_owned(),
    };
    let read = Flow::from_stored(stored.clone());
    if let Ok(flow) = &read {
        let written = flow.to_stored().unwrap();
        let again = Flow::from_stored(written.clone()).unwrap();
        assert_eq!(again.to_stored().unwrap(), written, "it changes by being written");
        let kim = session("kim", 1, vec![password()]);
        if flow.belongs_to(kim.as_ref()) {
            let value: Value = serde_json::from_str(body).unwrap();
            let binding: Uuid = kim.binding().into();
            // Flows of an older version have the binding in their body.
            let in_body = value["binding"].as_str().and_then(|text| Uuid::try_parse(text).ok());
            let said = stored.binding.map(Uuid::from).or(in_body);
            assert!(stored.subject.is_some() && said == Some(binding), "{body}");
        }
    }
    #[cfg(feature = "axum")]
    return served::flow(&stored, read.ok().as_ref());
    #[cfg(not(feature = "axum"))]
    false
}

#[cfg(feature = "axum")]
mod served {
    use axum::{body::Body, http::Request};

    use super::{Flow, StoredFlow, TOTP_SECRET, session, totp_codes};
    use crate::{
        aal::Aal,
        flow::{login, settings},
        fuzzing::{
            bank::{Answer, Bank, CSRF_FIELD, Client},
            world::{NOW, block_on, password},
        },
    };

    /// Reads the flow in every way, then submits a right code.
    pub(super) fn flow(stored: &StoredFlow, read: Option<&Flow>) -> bool {
        let mut bank = Bank::new();
        block_on(bank.step_up.engine().stores.create_flow(stored, 50, NOW)).unwrap();
        let id = stored.id;
        let answers = |answer: &Answer| {
            // An unreadable row is not the client's fault.
            let corrupt = answer.status == 503 && answer.header("content-type").starts_with("application/json");
            assert!(corrupt || answer.status.as_u16() < 500, "{answer:?}");
        };
        for client in
            [Client::Browser(Some(0)), Client::Native(Some(0)), Client::Browser(Some(1)), Client::Native(None)]
        {
            for path in ["login/flows?id", "settings/flows?id", "ui/login?flow", "ui/settings?flow"] {
                answers(&bank.get(client, path.contains("flows"), &format!("/self-service/{path}={id}")));
            }
        }
        let before = bank.known();
        for (client, path) in [
            (Client::Native(Some(1)), "login"),
            (Client::Native(None), "login"),
            (Client::Native(Some(0)), "settings"),
            (Client::Native(Some(0)), "login"),
            (Client::Browser(Some(0)), "login"),
        ] {
            let code = &totp_codes(TOTP_SECRET)[1];
            let form = format!(r#"{{"method":"totp","totp_code":"{code}","csrf_token":"{CSRF_FIELD}"}}"#);
            let request =
                Request::post(format!("/self-service/{path}?flow={id}")).header("content-type", "application/json");
            let answer = bank.send(client, true, request.body(Body::from(form)).unwrap());
            answers(&answer);
            let after = bank.known();
            if after != before {
                let kim = session("kim", 1, vec![password()]);
                let flow = read.expect("a flow that can be read");
                let asked = login::asked(flow).expect("a flow that asks for something");
                let open = !flow.completed && flow.expires_at > NOW;
                assert!(
                    !settings::is_settings(flow) && asked.aal2 && open && flow.belongs_to(kim.as_ref()),
                    "{stored:?}"
                );
                assert_eq!((after[0].level(), &after[1..]), (Aal::Aal2, &before[1..]));
                return true;
            }
        }
        false
    }
}

/// The highest level that such proofs can have if only `alive` is enrolled, read without the types under test.
fn highest(proofs: &Value, alive: &[Uuid]) -> Aal {
    let field = |proof: &Value, name: &str, place: usize| match proof {
        Value::Array(fields) => fields.get(place).cloned().unwrap_or_default(),
        other => other[name].clone(),
    };
    let proofs: Vec<_> = proofs.as_array().map(|proofs| proofs.iter().collect()).unwrap_or_default();
    let counting = proofs.into_iter().filter(|proof| {
        let credential = field(proof, "credential", 3);
        let named = credential.as_str().and_then(|text| Uuid::try_parse(text).ok());
        credential.is_null() || named.is_some_and(|id| alive.contains(&id))
    });
    let kinds: Vec<_> = counting.map(|proof| (field(proof, "method", 0), field(proof, "aal", 1))).collect();
    let has = |aal: &str| kinds.iter().any(|(_, own)| own == aal);
    let vouched = kinds.iter().any(|(method, aal)| aal == "aal2" && (method == "oidc" || method == "saml"));
    if vouched || (has("aal1") && has("aal2")) {
        Aal::Aal2
    } else if kinds.is_empty() {
        Aal::Aal0
    } else {
        Aal::Aal1
    }
}

/// A session: issue time and end, each on a line, then its proofs in JSON.
fn session_row(data: &[u8]) {
    let mut lines = data.splitn(4, |&byte| byte == b'\n');
    let [issued_at, expires_at] = [(); 2].map(|()| number(lines.next().unwrap_or_default()));
    let proofs = text(lines.next().unwrap_or_default());
    let device = lines.next().map(text);
    let Some(session) = read_session(issued_at, expires_at, &proofs, device) else { return };
    let credential = CredentialSummary { id: id(10).into(), method: crate::Method::Totp, aal: Aal::Aal2 };
    for known in [vec![], vec![credential]] {
        let alive: Vec<Uuid> = known.iter().map(|credential| credential.id.into()).collect();
        let standing = Standing::new(known);
        let level = standing.level(session.as_ref(), NOW);
        assert!(level <= highest(&serde_json::from_str(&proofs).unwrap(), &alive), "{level} of {proofs}");
        let view = view::session(&session, &standing, &Value::Null, NOW, Duration::MAX, |method| method);
        assert_eq!(view["authenticator_assurance_level"], level.as_str());
        for name in ["issued_at", "expires_at", "authenticated_at"] {
            assert!(serde_json::from_value::<crate::clock::Timestamp>(view[name].clone()).is_ok(), "{view}");
        }
        let agent = view["devices"][0]["user_agent"].as_str().unwrap_or_default();
        assert!(agent.len() <= 512 && agent.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{agent:?}");
        minted(&session, level);
    }
    let rotated = session.rotated();
    assert_eq!((rotated.proofs(), rotated.expires_at()), (session.proofs(), session.expires_at()));
    assert_eq!(rotated.device(), session.device());
    let minute = Duration::from_secs(60);
    let renewed = session.renewed(password(), NOW - Duration::from_secs(300), Duration::MAX, Some(minute));
    assert!(renewed.expires_at() <= session.issued_at() + minute, "it outlives its absolute end");
}

fn minted(session: &StoredSession, level: Aal) {
    thread_local!(static RING: KeyRing = {
        let key = SigningKey::generate("a").unwrap();
        KeyRing::new(&[key], "https://bank.example/", Duration::from_secs(5)).unwrap()
    });
    RING.with(|ring| {
        let token = ring.mint(session, level).unwrap();
        match ring.verify(token.as_str(), NOW) {
            Ok(verified) => {
                assert_eq!((verified.id, &verified.subject), (session.id(), session.subject()));
                assert!(NOW < session.expires_at(), "it has expired");
            }
            Err(_) => assert!(
                token.as_str().len() > 3_800
                    || session.expires_at().unix_seconds() <= NOW.unix_seconds()
                    || session.issued_at() > NOW + Duration::from_secs(5),
                "{session:?}"
            ),
        }
    });
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn read_session(issued_at: i64, expires_at: i64, proofs: &str, device: Option<String>) -> Option<StoredSession> {
    let row = (id(1), id(2), proofs.to_owned(), issued_at, expires_at, None, None, device, None);
    crate::store::sql::rows::session(&subject("kim"), &row).ok()
}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
fn read_session(issued_at: i64, expires_at: i64, proofs: &str, device: Option<String>) -> Option<StoredSession> {
    let proofs: Vec<crate::aal::Proof> = serde_json::from_str(proofs).ok()?;
    let at = crate::clock::Timestamp::from_unix_milliseconds;
    let (kim, binding) = (subject("kim"), id(2).into());
    let session = StoredSession::from_parts(id(1).into(), kim, binding, proofs, at(issued_at), at(expires_at));
    Some(match device {
        Some(device) => session.with_device(&serde_json::from_str(&device).ok()?),
        None => session,
    })
}

/// The proofs of a session on the first line, then one credential per line: id, method and level, separated by blanks.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn standing_rows(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let proofs = text(lines.next().unwrap_or_default());
    let rows: Vec<_> = lines
        .map(|line| {
            let mut fields = line.splitn(3, |&byte| byte == b' ');
            let credential = fields.next().and_then(|field| field.first()).map(|&byte| id(byte));
            let [method, aal] = [(); 2].map(|()| fields.next().map(text));
            (id(1), id(2), proofs.clone(), 0, i64::MAX, None, None, None, None, credential, method, aal)
        })
        .collect();
    let given = rows.clone();
    let Ok(Some(standing)) = crate::store::sql::rows::standing(&subject("kim"), rows) else { return };
    for summary in &standing.credentials {
        let (id, method, aal) = (Some(summary.id.into()), summary.method.to_string(), summary.aal.to_string());
        assert!(
            given.iter().any(|row| row.9 == id && row.10.as_ref() == Some(&method) && row.11.as_ref() == Some(&aal))
        );
    }
    let alive: Vec<Uuid> = standing.credentials.iter().map(|credential| credential.id.into()).collect();
    let level = Standing::new(standing.credentials).level(standing.session.as_ref(), NOW);
    assert!(level <= highest(&serde_json::from_str(&proofs).unwrap(), &alive), "{level} of {proofs}");
}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
fn standing_rows(data: &[u8]) {
    let _: Result<Vec<crate::aal::Proof>, _> = serde_json::from_slice(data);
}

/// One credential with one secret per line: id, method, level (and, after a slash, the name), last step, creation, use, data and hash.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn credential_rows(data: &[u8], sealed: &Sealed) {
    let rows = data.split(|&byte| byte == b'\n').map(|line| {
        let mut fields = line.splitn(8, |&byte| byte == b' ');
        let mut next = || fields.next();
        let id = id(next().and_then(|field| field.first().copied()).unwrap_or_default());
        let [method, aal] = [(); 2].map(|()| text(next().unwrap_or_default()));
        let (aal, name) =
            aal.split_once('/').map_or((aal.clone(), None), |(aal, name)| (aal.into(), Some(name.into())));
        let [last_step, created_at] = [(); 2].map(|()| number(next().unwrap_or_default()));
        let used_at = next().filter(|field| !field.is_empty()).map(number);
        let data = expand(next().unwrap_or_default(), |byte| sealed.stands_for(byte));
        let hash = next().map(|field| expand(field, |byte| sealed.stands_for(byte)));
        (id, method, aal, name, data, last_step, created_at, used_at, hash.clone(), hash, used_at)
    });
    let Ok(credentials) = crate::store::sql::rows::credentials(rows.collect()) else { return };
    for credential in &credentials {
        assert!(i64::try_from(credential.last_step).is_ok());
        assert!(credential.name.as_ref().is_none_or(|name| (1..=255).contains(&name.as_str().len())));
    }
    answered(&credentials, sealed);
}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
fn credential_rows(data: &[u8], sealed: &Sealed) {
    let data = expand(data, |byte| sealed.stands_for(byte));
    let [mut totp, _] = credentials("kim", 20);
    totp.data = data;
    answered(&[totp], sealed);
}

/// Right codes work only with data that was sealed or hashed for exactly this credential of this subject.
fn answered(credentials: &[Credential], sealed: &Sealed) {
    let (subject, sealer) = (subject("kim"), sealer());
    let public_url = url::Url::parse("https://bank.example").unwrap();
    let stores = no_stores();
    let session = crate::session::Session::external(subject.clone(), Vec::new());
    let context = FactorContext {
        application_name: "Example Bank",
        flow: crate::store::FlowId::random(),
        memory: no_memory(&stores, &sealer, &subject),
        public_url: &public_url,
        subject: &subject,
        identifier: "kim",
        directory: &crate::directory::NoDirectory,
        credentials,
        stored: credentials.len(),
        session: &session,
        now: NOW,
        sealer: &sealer,
        state: None,
        browser: true,
    };
    let answer = |factor: &dyn Factor, field: &str, code: &str| {
        let form = Form::from_pairs([(field.to_owned(), code.to_owned())]).unwrap();
        let verdict = now_or_never(factor.answer(context, &form));
        let _ = factor.is_usable(credentials);
        if let Some(one) = credentials.first() {
            let _ = factor.reseal(&subject, one, &sealer);
        }
        verdict
    };
    match answer(&Totp::new("Example Bank"), "totp_code", &totp_codes(TOTP_SECRET)[1]) {
        Ok(Verdict::Proven(Consumption::Step { credential, .. })) => {
            assert_eq!(credential, credential_id(20));
            assert!(credentials.iter().any(|one| one.summary.id == credential && one.data == sealed.0[0]));
        }
        Ok(Verdict::Wrong) => assert!(credentials.is_empty(), "what was sealed with another secret opens"),
        Err(_) => {}
        Ok(other) => panic!("{other:?}"),
    }
    if let Ok(Verdict::Proven(consumption)) = answer(&LookupSecrets::default(), "lookup_secret", LOOKUP_CODES[0]) {
        let Consumption::Secret { credential, hash } = consumption else { panic!("{consumption:?}") };
        assert_eq!(hash, lookup_secret::hash(credential, LOOKUP_CODES[0]));
        let of =
            |one: &Credential| one.summary.id == credential && one.secrets.iter().any(|secret| secret.hash == hash);
        assert!(credentials.iter().any(of), "no such secret is stored");
    }
}

/// A flow: subject, binding, end, version, and 1 if it is completed or 2 if it is in use, each on a line, then the body.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn flow_row(data: &[u8]) {
    let mut lines = data.splitn(6, |&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let subject = Some(text(next())).filter(|subject| subject != "-");
    let binding = next().first().map(|&byte| id(byte));
    let (expires_at, version, marks, body) = (number(next()), number(next()), next(), text(next()));
    let (completed, in_use) = (marks == b"1", marks == b"2");
    let sound = subject
        .as_deref()
        .is_none_or(|subject| (1..=255).contains(&subject.len()) && !subject.chars().any(char::is_control))
        && version >= 0;
    let id: crate::store::FlowId = id(7).into();
    let read = crate::store::sql::rows::flow(id, (subject, binding, expires_at, version, completed, in_use, body));
    assert_eq!(read.is_ok(), sound);
    if let Ok(stored) = read {
        let _ = Flow::from_stored(stored);
    }
}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
fn flow_row(data: &[u8]) {
    let _ = crate::Subject::new(text(data));
}

/// An answer of Redis, byte by byte.
#[cfg(feature = "redis")]
fn redis_answer(data: &[u8]) {
    let id: crate::store::FlowId = id(7).into();
    if let Ok(Some(stored)) = crate::store::redis::read_answer(id, data) {
        assert_eq!(stored.id, id);
        if let Ok(flow) = Flow::from_stored(stored.clone()) {
            assert_eq!((flow.id(), flow.subject()), (id, stored.subject.as_ref()));
            assert_eq!((flow.completed, flow.expires_at), (stored.completed, stored.expires_at));
        }
    }
}

#[cfg(not(feature = "redis"))]
fn redis_answer(data: &[u8]) {
    flow_row(data);
}

/// Sealed data: pairs of a position and a change on the first line, then the column's content.
fn sealed_value(data: &[u8], sealed: &Sealed) {
    let line = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let mut value = expand(data.get(line + 1..).unwrap_or_default(), |byte| sealed.stands_for(byte));
    for pair in data[..line].chunks_exact(2) {
        if let Some(byte) = value.get_mut(usize::from(pair[0])) {
            *byte ^= pair[1];
        }
    }
    for (name, number, own) in [("kim", 20, 0), ("lee", 10, 1), ("kim", 10, 2)] {
        let context = totp_seal_context(&subject(name), credential_id(number));
        let same = sealed.0.get(own) == Some(&value);
        assert_eq!(sealer().open(&context, &value).is_ok(), same, "{name} {value:?}");
        assert_eq!(sealer().is_newest(&context, &value), same);
    }
}

#[cfg(test)]
pub(super) const FRAGMENTS: &[&[u8]] = &[
    b"i",
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
    b"7",
    b"\n",
    b" ",
    b"\x01",
    b"\x02",
    b"\x03",
    b"\x04",
    b"\x01\xff",
    b"\x14",
    b"\x15",
    b"-1",
    b"[{\"method\":\"password\",\"aal\":\"aal1\",\"completed_at\":\"2027-01-15T07:55:00Z\"}]",
    b"[{\"method\":\"totp\",\"aal\":\"aal2\",\
      \"completed_at\":\"2027-01-15T07:55:00Z\",\
      \"credential\":\"00000000-0000-0000-0000-00000000000a\"},\
      {\"method\":\"password\",\"aal\":\"aal1\",\"completed_at\":\"2027-01-15T07:55:00Z\"}]",
    b"{\"purpose\":\"login\",\"requested_aal\":\"aal2\",\"refresh\":false,\"flow_type\":\"api\",\
      \"binding\":\"00000000-0000-0000-0000-000000000101\",\"return_to\":null,\
      \"request_url\":\"https://bank.example/\",\
      \"issued_at\":\"2027-01-15T08:00:00Z\",\
      \"updated_at\":\"2027-01-15T08:00:00Z\",\
      \"csrf\":null,\"messages\":[],\"field_messages\":[],\
      \"active\":null,\"failures\":0,\"factor_states\":{}}",
    b"totp aal2 0 0  \x01",
    b"lookup_secret aal2 0 0   \x03",
    b"*7\r\n",
    b"$-1\r\n",
    b"$1\r\n0\r\n",
    b":1\r\n",
    b"$2\r\n{}\r\n",
    b"\"aal2\"",
    b"\"oidc\"",
    b"null",
    b"9999-12-31T23:59:59.999Z",
    b"0000-01-01T00:00:00Z",
    b"9223372036854775807",
    b"-9223372036854775808",
];

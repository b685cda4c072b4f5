//! Flows without a session that nobody has sent a password to. No store has them: anybody can begin any number, and those of strangers would
//! push out each other.
//!
//! An id says when its flow began and for which kind of client, under a digest that only a holder of the key can make. An API flow is no more
//! than that. A browser has the rest in a cookie, sealed. Once something is compared, the store has the flow, and what it says is what counts:
//! a cookie of before takes nothing back.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use uuid::Uuid;

use super::{
    login::{Asked, begin_path},
    record::{Flow, FlowType, Opening},
};
use crate::{
    clock::Timestamp,
    engine::Engine,
    error::{Error, ErrorKind},
    seal::Sealer,
    session::cookie,
    store::{EXPIRED_FLOWS_KEPT, FlowId, StoredFlow},
};

/// Browsers take 4 kB, proxies little more for all headers of an answer.
const LONGEST_COOKIE: usize = 2048;

/// Of one browser. Servers take about 8 kB for all cookies of a request.
const COOKIES_KEPT: usize = 4;

/// What a flow that was begun without a session is known by, for as long as expired flows are known.
#[derive(Clone, Copy)]
struct Stamp {
    flow_type: FlowType,
    issued_at: Timestamp,
}

/// The bytes of an id that say something: the second (4), random ones (2), the kind and random ones (3). The others are the digest.
const SAID: usize = 9;

impl Stamp {
    /// The id of a new flow, and when it begins: in whole seconds.
    fn make(sealer: &Sealer, flow_type: FlowType, now: Timestamp) -> Option<(FlowId, Timestamp)> {
        let mut bytes = *Uuid::new_v4().as_bytes();
        let seconds = u32::try_from(now.unix_seconds()).ok()?;
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[7] = (bytes[7] & !1) | u8::from(flow_type == FlowType::Browser);
        let digest = sealer.digest(&message(&bytes))?;
        for (byte, digest) in bytes.iter_mut().skip(SAID).zip(digest) {
            *byte = digest;
        }
        Some((Uuid::from_bytes(bytes).into(), Timestamp::from_unix_seconds(seconds.into())))
    }

    /// What an id says, if it is one of ours.
    fn read(sealer: &Sealer, id: FlowId) -> Option<Self> {
        let bytes = *Uuid::from(id).as_bytes();
        let seconds = u32::from_be_bytes(*bytes.first_chunk()?);
        let flow_type = if bytes[7] & 1 == 1 { FlowType::Browser } else { FlowType::Api };
        let made = sealer.is_beginning_of_digest(&message(&bytes), bytes.get(SAID..)?);
        made.then(|| Self { flow_type, issued_at: Timestamp::from_unix_seconds(seconds.into()) })
    }
}

/// No other digest is of a message that begins like this: those begin with zeros, or with other words.
fn message(id: &[u8; 16]) -> Vec<u8> {
    [b"flow without a session\0", &id[..SAID]].concat()
}

/// What is known of an id that no store has.
pub(crate) enum Found {
    Flow(Box<Flow>),
    /// A flow of a browser, and this request does not bring it.
    InAnotherBrowser,
    Unknown,
}

fn failed() -> Error {
    Error::new(ErrorKind::Cryptography)
}

/// A new flow. If it is begun without a session, it gets an id that is known again.
pub(crate) fn named(flow: Flow, engine: &Engine) -> Result<Flow, Error> {
    if flow.is_bound() {
        return Ok(flow);
    }
    let (id, issued_at) = Stamp::make(&engine.sealer, flow.flow_type, flow.issued_at).ok_or_else(failed)?;
    Ok(flow.begun_as(id, issued_at))
}

/// Whether a new flow has more to say than its id and a cookie can.
pub(crate) fn needs_the_store(flow: &Flow) -> bool {
    flow.is_bound() || !flow.is_of_browser() && (flow.return_to.is_some() || !flow.messages.is_empty())
}

/// The flow of this id, if the id and the request's cookies say what it is.
pub(crate) fn find(id: FlowId, headers: &HeaderMap, engine: &Engine, now: Timestamp) -> Found {
    let Some(stamp) = Stamp::read(&engine.sealer, id) else { return Found::Unknown };
    let flow = match stamp.flow_type {
        FlowType::Api => by_api(engine, stamp.issued_at).begun_as(id, stamp.issued_at),
        FlowType::Browser => {
            let name = engine.sessions.cookies.flow_name(id.into());
            match cookie::values(headers, &name).find_map(|value| open(&engine.sealer, id, value)) {
                Some(flow) => flow,
                None => return Found::InAnotherBrowser,
            }
        }
    };
    if is_forgotten(&flow, now) { Found::Unknown } else { Found::Flow(Box::new(flow)) }
}

/// The store forgets expired flows at the same time.
#[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
fn is_forgotten(flow: &Flow, now: Timestamp) -> bool {
    flow.expires_at + EXPIRED_FLOWS_KEPT <= now
}

#[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
fn by_api(engine: &Engine, issued_at: Timestamp) -> Flow {
    let opening = Opening {
        purpose: Asked { aal2: false, refresh: false, methods: None }.purpose(),
        flow_type: FlowType::Api,
        session: None,
        return_to: None,
        request_url: engine.urls.route(begin_path(FlowType::Api), &[]),
        csrf: None,
        messages: Vec::new(),
        expires_at: issued_at + engine.limits.login_flow_lifespan,
    };
    Flow::open(opening, issued_at)
}

/// The cookies that an answer sets for a browser flow: its own, and those that give way to it.
pub(crate) fn cookies(
    flow: &Flow,
    headers: &HeaderMap,
    engine: &Engine,
    now: Timestamp,
) -> Result<Vec<HeaderValue>, Error> {
    let (jar, sealer) = (&engine.sessions.cookies, &engine.sealer);
    let own = Uuid::from(flow.id());
    let value = seal(sealer, flow).ok_or_else(failed)?;
    let seconds = flow.expires_at.since(now).saturating_add(EXPIRED_FLOWS_KEPT).as_secs();
    let mut others: Vec<_> = jar
        .flows(headers)
        .filter(|(id, _)| *id != own)
        .map(|(id, value)| (open(sealer, id.into(), value).map(|flow| flow.issued_at), id))
        .collect();
    others.sort();
    let surplus = others.len().saturating_sub(COOKIES_KEPT.saturating_sub(1));
    let going = others.iter().take(surplus).map(|(_, id)| jar.flow_removal(*id));
    Ok(going.chain([jar.flow(own, &value, seconds)]).flatten().collect())
}

fn context(id: FlowId) -> Vec<u8> {
    format!("unstored flow\0{id}").into_bytes()
}

fn seal(sealer: &Sealer, flow: &Flow) -> Option<String> {
    let cookie_of = |flow: &Flow| {
        let stored = flow.to_stored().ok()?;
        let expires_at = stored.expires_at.unix_milliseconds().to_be_bytes();
        let bytes = sealer.seal(&context(flow.id()), &[&expires_at, stored.body.as_bytes()].concat()).ok()?;
        Some(URL_SAFE_NO_PAD.encode(bytes))
    };
    let whole = cookie_of(flow)?;
    if whole.len() <= LONGEST_COOKIE {
        return Some(whole);
    }
    // What a front end asked for itself with is the longest part, and the one that can be missed.
    let mut shorter = flow.clone();
    shorter.request_url.set_query(None);
    cookie_of(&shorter)
}

fn open(sealer: &Sealer, id: FlowId, value: &[u8]) -> Option<Flow> {
    let opened = sealer.open(&context(id), &URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    let (expires_at, body) = opened.split_first_chunk()?;
    let expires_at = Timestamp::from_unix_milliseconds(i64::from_be_bytes(*expires_at));
    let stored = StoredFlow::new(id, expires_at, std::str::from_utf8(body).ok()?);
    Flow::from_stored(stored).ok().map(Flow::not_stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, seal::EncryptionKey};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn an_id_says_when_and_for_whom_and_only_the_key_makes_one() {
        let key = |id| EncryptionKey::generate(id).unwrap();
        let (old, new) = (key("old"), key("new"));
        let before = Sealer::new(vec![old.clone()]);
        let after = Sealer::new(vec![new.clone(), old]);
        for flow_type in [FlowType::Browser, FlowType::Api] {
            let (id, issued_at) = Stamp::make(&before, flow_type, NOW).unwrap();
            assert_eq!(issued_at, NOW);
            for sealer in [&before, &after] {
                let read = Stamp::read(sealer, id).unwrap();
                assert_eq!((read.flow_type, read.issued_at), (flow_type, NOW));
            }
            assert!(Stamp::read(&Sealer::new(vec![new.clone()]), id).is_none(), "another key");
            let uuid = Uuid::from(id);
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, uuid::Variant::RFC4122));
            for bit in 0..128 {
                let changed = Uuid::from_u128(uuid.as_u128() ^ (1 << bit)).into();
                assert!(Stamp::read(&before, changed).is_none(), "{bit}");
            }
        }
        assert!((0..1000).all(|_| Stamp::read(&before, FlowId::random()).is_none()));
    }
}

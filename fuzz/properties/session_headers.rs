use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, Response, StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey};
use tower_layer::Layer;
use tower_service::Service;
use uuid::Uuid;

use super::world::{
    COOKIE, NOW, OLD_SECRET, SIGNING_SECRET, block_on, builder, credential_id, credentials, expand, password, session,
    subject, totp,
};
use crate::{
    aal::Aal,
    context::SessionContext,
    guard::RequireAal2,
    session::{SessionId, SigningKey, StoredSession, Subject, token::KeyRing},
    step_up::StepUp,
    store::{Completed, Completion, CredentialChange, Revocation},
};

/// Valid tokens, with their session and its level.
struct Good {
    token: String,
    session: StoredSession,
    level: Aal,
}

struct World {
    /// One with a cache, and one that always reads the store. They have the same keys and equal stores.
    remembering: StepUp,
    forgetful: StepUp,
    good: [Good; 3],
    /// Tokens that are revoked, expired, of another issuer, or signed with another secret.
    bad: [String; 4],
}

const ISSUER: &str = "https://bank.example/";
const DAY: Duration = Duration::from_secs(86_400);

fn ring(keys: &[SigningKey], issuer: &str) -> KeyRing {
    KeyRing::new(keys, issuer, Duration::from_secs(5)).unwrap()
}

impl World {
    fn new() -> Self {
        let [new, old, foreign] =
            [("new", SIGNING_SECRET), ("old", OLD_SECRET), ("new", *b"a key of somebody else entirely!")]
                .map(|(id, secret)| SigningKey::hs256(id, secret).unwrap());
        let kim = session("kim", 1, vec![password()]);
        let lee = session("lee", 2, vec![password(), totp(credential_id(10))]);
        let ann = session("kim", 3, vec![password()]);
        let dead = session("kim", 4, vec![password(), totp(credential_id(10))]);
        let past = NOW - DAY;
        let expired = StoredSession::from_parts(
            Uuid::from_u128(5).into(),
            subject("lee"),
            Uuid::from_u128(0x105).into(),
            lee.proofs().to_vec(),
            past,
            NOW,
        );
        let mint = |key: &SigningKey, issuer, session, level| {
            ring(std::slice::from_ref(key), issuer).mint(session, level).unwrap().as_str().to_owned()
        };
        let good = [
            Good { token: mint(&new, ISSUER, &kim, Aal::Aal1), session: kim.clone(), level: Aal::Aal1 },
            Good { token: mint(&new, ISSUER, &lee, Aal::Aal2), session: lee.clone(), level: Aal::Aal2 },
            // The level in a token is not trusted.
            Good { token: mint(&old, ISSUER, &ann, Aal::Aal2), session: ann.clone(), level: Aal::Aal1 },
        ];
        let bad = [
            mint(&new, ISSUER, &dead, Aal::Aal2),
            mint(&new, ISSUER, &expired, Aal::Aal2),
            mint(&new, "https://shop.example/", &lee, Aal::Aal2),
            mint(&foreign, ISSUER, &lee, Aal::Aal2),
        ];
        let step_up = |max_age| {
            let step_up = builder().standing_max_age(max_age).build().unwrap();
            let stores = &step_up.engine().stores;
            block_on(async {
                for session in good.iter().map(|good| &good.session).chain([&dead, &expired]) {
                    stores.create_session(session).await.unwrap();
                }
                for (name, id) in [("kim", 20), ("lee", 10)] {
                    let mut completion = Completion::new(subject(name), NOW);
                    completion.credentials = credentials(name, id).map(CredentialChange::Add).to_vec();
                    assert_eq!(stores.apply(completion).await.unwrap(), Completed::Done);
                }
                stores.revoke(&subject("kim"), Revocation::One(dead.id())).await.unwrap();
            });
            step_up
        };
        Self { remembering: step_up(Duration::from_secs(1)), forgetful: step_up(Duration::ZERO), good, bad }
    }

    fn stands_for(&self, byte: u8) -> Option<Vec<u8>> {
        let text = match byte {
            1..=3 => self.good[usize::from(byte) - 1].token.as_str(),
            4..=7 => self.bad[usize::from(byte) - 4].as_str(),
            8 => COOKIE,
            14 => self.good[1].token.split('.').next()?,
            15 => self.good[1].token.split('.').nth(1)?,
            16 => self.good[1].token.split('.').nth(2)?,
            17 => self.good[0].token.split('.').nth(1)?,
            18 => "00000000-0000-0000-0000-000000000001",
            19 => "00000000-0000-0000-0000-000000000002",
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    }
}

/// A token that only a thief of the key could make: any claims, signed.
fn forged(claims: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"session+jwt","alg":"HS256","kid":"new"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(&SIGNING_SECRET).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// The request with these lines as headers, in this order, and the claims that were signed for it.
struct Sent {
    method: HttpMethod,
    uri: http::Uri,
    headers: HeaderMap,
    claims: Vec<Vec<u8>>,
}

fn sent<'a>(world: &World, lines: impl Iterator<Item = &'a [u8]>) -> Sent {
    let mut sent = Sent {
        method: HttpMethod::GET,
        uri: http::Uri::from_static("/payments"),
        headers: HeaderMap::new(),
        claims: Vec::new(),
    };
    for line in lines {
        let Some((&kind, rest)) = line.split_first() else { continue };
        let mut value = expand(rest, |byte| world.stands_for(byte));
        let name = match kind {
            b'c' => header::COOKIE,
            b'x' => HeaderName::from_static("x-session-token"),
            b'b' => header::AUTHORIZATION,
            b's' => {
                let token = forged(&value);
                sent.claims.push(std::mem::replace(&mut value, token.into_bytes()));
                HeaderName::from_static("x-session-token")
            }
            b'a' => header::ACCEPT,
            b't' => header::CONTENT_TYPE,
            b'h' => HeaderName::from_static("hx-request"),
            b'H' => HeaderName::from_static("hx-current-url"),
            b'B' => HeaderName::from_static("hx-boosted"),
            b'r' => header::REFERER,
            b'u' => {
                sent.uri = value.as_slice().try_into().unwrap_or(sent.uri);
                continue;
            }
            b'p' => {
                sent.method = HttpMethod::POST;
                continue;
            }
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            sent.headers.append(name, value);
        }
    }
    sent
}

/// Returns what the layer found.
#[derive(Clone)]
struct Handler;

#[derive(Clone, Debug, PartialEq)]
struct Seen(Option<(SessionId, Subject, Aal)>);

impl Service<Request<()>> for Handler {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let context = SessionContext::of(request.extensions()).unwrap().clone();
        Box::pin(async move {
            let (session, standing) = (context.session().await.unwrap(), context.standing().await.unwrap());
            let seen = session.zip(standing).map(|(session, standing)| {
                (session.id().unwrap(), session.subject().clone(), standing.level(session, context.now()))
            });
            let mut response = Response::new(Bytes::new());
            response.extensions_mut().insert(Seen(seen));
            Ok(response)
        })
    }
}

impl Sent {
    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    fn seen_by(&self, step_up: &StepUp) -> Seen {
        let mut service = step_up.layer().layer(Handler);
        let response = block_on(service.call(self.request())).unwrap();
        response.extensions().get::<Seen>().unwrap().clone()
    }

    /// Whether a header carries exactly this token where a token belongs.
    fn carries(&self, token: &str) -> bool {
        let all = |name: &str| self.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        let direct = all("x-session-token");
        if !direct.is_empty() {
            return direct == [token.as_bytes()];
        }
        let in_cookie = all("cookie").iter().flat_map(|value| value.split(|&byte| byte == b';')).any(|pair| {
            let pair = pair.trim_ascii();
            pair.len() == COOKIE.len() + 1 + token.len()
                && pair.starts_with(COOKIE.as_bytes())
                && pair[COOKIE.len()] == b'='
                && pair.ends_with(token.as_bytes())
        });
        let as_bearer = all("authorization").iter().any(|value| {
            value.len() > 7
                && value[..7].eq_ignore_ascii_case(b"bearer ")
                && value[7..].trim_ascii() == token.as_bytes()
        });
        in_cookie || as_bearer
    }

    /// Whether signed claims name this session and this subject.
    fn claims(&self, id: SessionId, subject: &Subject) -> bool {
        self.claims.iter().filter_map(|claims| serde_json::from_slice::<serde_json::Value>(claims).ok()).any(|claims| {
            let named = claims["sid"].as_str().and_then(|text| Uuid::try_parse(text).ok());
            named == Some(id.into()) && claims["sub"] == subject.as_str()
        })
    }
}

/// The headers that carry a session, and those that decide how a refusal looks. Each line is one, named by its first byte.
///
/// A session is found only by its exact token in the right place, or by claims that name it and are signed with the key. It has the level
/// from the store, whatever the token says. Neither order nor cache matters. Refused clients are redirected only to pages of the bank.
pub fn session_headers(data: &[u8]) {
    thread_local!(static WORLD: World = World::new());
    WORLD.with(|world| {
        let lines: Vec<_> = data.split(|&byte| byte == b'\n').take(32).collect();
        let sent = sent(world, lines.iter().copied());
        let seen = sent.seen_by(&world.forgetful);
        assert_eq!(sent.seen_by(&world.remembering), seen, "the cache says something else");
        assert_eq!(in_other_order(world, &lines).seen_by(&world.forgetful), seen, "the order matters");

        let level = if let Some((id, subject, level)) = &seen.0 {
            let good = world.good.iter().find(|good| good.session.id() == *id).expect("a session of the world");
            assert_eq!((subject, *level), (good.session.subject(), good.level));
            assert!(sent.carries(&good.token) || sent.claims(*id, subject), "{:?}", sent.headers);
            *level
        } else {
            // One header may have several cookies of the name. Then none counts.
            let names: usize =
                sent.headers.values().map(|value| occurrences(value.as_bytes(), COOKIE.as_bytes())).sum();
            let alone = sent.headers.len() == 1 && names <= 1;
            let good = world.good.iter().any(|good| sent.carries(&good.token));
            assert!(!(alone && good), "a good token was not found: {:?}", sent.headers);
            Aal::Aal0
        };
        refusal(world, &sent, level);
    });
}

fn occurrences(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|window| *window == part).count()
}

/// The same headers in reverse order, with the cookies in each reversed too.
fn in_other_order(world: &World, lines: &[&[u8]]) -> Sent {
    let turned: Vec<Vec<u8>> = lines
        .iter()
        .rev()
        .map(|line| match line.split_first() {
            Some((b'c', cookies)) => {
                let pairs: Vec<_> = cookies.rsplit(|&byte| byte == b';').collect();
                [b"c", pairs.join(&b';').as_slice()].concat()
            }
            _ => line.to_vec(),
        })
        .collect();
    sent(world, turned.iter().map(Vec::as_slice))
}

fn refusal(world: &World, sent: &Sent, level: Aal) {
    let mut service = world.forgetful.layer().layer(RequireAal2.layer(Handler));
    let response = block_on(service.call(sent.request())).unwrap();
    match response.status() {
        StatusCode::OK => assert_eq!(level, Aal::Aal2),
        // RFC 9470 answers 401 for a level that is too low.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SEE_OTHER => assert!(level < Aal::Aal2),
        other => panic!("answered {other}"),
    }
    for name in ["location", "hx-redirect"] {
        let Some(url) = response.headers().get(name) else { continue };
        let url = url::Url::parse(url.to_str().unwrap()).unwrap();
        assert_eq!(url.origin().ascii_serialization(), "https://bank.example");
        assert!(matches!(url.path(), "/login" | "/self-service/login/browser"), "{url}");
        for (name, value) in url.query_pairs().filter(|(name, _)| name == "return_to") {
            assert!(world.forgetful.return_url(&value).is_some(), "{name} {value}");
        }
    }
}

#[cfg(test)]
pub(super) const FRAGMENTS: &[&[u8]] = &[
    b"c", b"x", b"b", b"s", b"\n", b"\nc", b"\nx", b"\nb", b"a", b"h", b"u", b"p", b"r", b"c\x08=\x01", b"c\x08=\x02", b"x\x01",
    b"x\x02", b"bBearer \x01", b"bbearer \x02", b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x07", b"\x08", b"\x08=",
    b"\x0e.\x0f.\x10", b"\x0e", b"\x0f", b"\x10", b"\x11", b".", b"; ", b";", b"=", b"\"", b" ", b"\t", b"Bearer ", b"\xff",
    b"\naapplication/json", b"\nhtrue", b"\nu/payments?x=1#y", b"\nrhttps://bank.example/x", b"\nHhttps://evil.example/",
    b"\ns{\"iss\":\"https://bank.example/\",\"aud\":\"https://bank.example/\",\"sub\":\"lee\",\"sid\":\"\x13\",\"iat\":1799999700,\
      \"exp\":1800086100,\"auth_time\":1799999760,\"acr\":\"aal2\",\"amr\":[],\"bnd\":\"\x13\",\"proofs\":[]}",
];

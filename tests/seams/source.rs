//! Sessions of another system: a source written outside this crate, guarded like our own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Extension, Router, routing::any};
use http::{HeaderMap, HeaderValue, header};
use tower_step_up::{
    Aal, Aal2, CurrentSession, Method, RequireAal, RequireAal2, Requirement, RouterExt, Shortfall, StepUp, StepUpGuard,
    Subject,
    aal::Proof,
    audit::{AuditEvent, AuditEventKind},
    clock::{Clock, Timestamp},
    error::BuildErrorKind,
    session::Session,
    source::{
        Clue, Evidence, Head, Look, Recalled, Remedy, SecondFactorRequired, SessionSource, SourceError, SourceFuture,
        Transport, Unmet,
    },
    standing::{Enrolled, Standing},
};

use crate::common::{Answer, log::Log, query, request, send};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// The answers of another service about its users, by the ticket in their cookie.
#[derive(Clone, Default)]
struct Elsewhere(Arc<State>);

#[derive(Default)]
struct State {
    known: Mutex<HashMap<&'static str, Evidence>>,
    /// What the source trusts without asking.
    remembered: Mutex<HashMap<&'static str, Evidence>>,
    looks: AtomicUsize,
    asks: AtomicUsize,
    down: AtomicUsize,
    settled: Mutex<Vec<String>>,
}

/// The user whom the host has signed in meanwhile.
#[derive(Clone, Default)]
struct HostSession(Arc<Mutex<Option<&'static str>>>);

fn evidence(second_factor: Option<u64>, enrolled: Enrolled) -> Evidence {
    let mut proofs = vec![Proof::at_unknown_time(Method::Password, Aal::Aal1)];
    proofs.extend(second_factor.map(|age| Proof::new(Method::Totp, Aal::Aal2, NOW - Duration::from_secs(age))));
    Evidence::new(Session::external(Subject::new("kim").unwrap(), proofs), Standing::external(enrolled))
}

impl SessionSource for Elsewhere {
    fn look(&self, head: Head<'_>) -> Look {
        self.0.looks.fetch_add(1, SeqCst);
        if let Some(host) = head.extensions.get::<HostSession>() {
            return Look::Clue(Clue::from_value(host.clone(), Transport::Cookie));
        }
        if head.headers.contains_key("x-broken") {
            return Look::Miswired("put the layer of the host outside of the step-up layer");
        }
        let (cookie, bearer) = (head.headers.get(header::COOKIE), head.headers.get(header::AUTHORIZATION));
        match (cookie, bearer) {
            (Some(_), Some(_)) => Look::Ambiguous(Transport::Cookie),
            (Some(cookie), None) => Look::Clue(Clue::from_part_of_header(cookie, 7..cookie.len(), Transport::Cookie)),
            (None, Some(bearer)) => Look::Clue(Clue::from_part_of_header(bearer, 7..bearer.len(), Transport::Bearer)),
            (None, None) => Look::Nothing,
        }
    }

    fn recall(&self, clue: &Clue, _: Timestamp) -> Recalled {
        let ticket = clue.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        match self.0.remembered.lock().unwrap().get(ticket) {
            Some(evidence) => Recalled::Evidence(Arc::new(evidence.clone())),
            None if ticket == "forged" => Recalled::NoSession,
            None => Recalled::Unknown,
        }
    }

    fn ask<'a>(&'a self, clue: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        self.0.asks.fetch_add(1, SeqCst);
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.0.down.load(SeqCst) > 0 {
                return Err("no route to 10.0.0.7".into());
            }
            let ticket = clue.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
            Ok(self.0.known.lock().unwrap().get(ticket).cloned().map(Arc::new))
        })
    }

    fn remedy(&self, unmet: &Unmet<'_>) -> Remedy {
        let mut page = url::Url::parse("https://auth.example/step-up").unwrap();
        let known = unmet.evidence.map_or("nobody", |evidence| evidence.session.subject().as_str());
        page.query_pairs_mut().append_pair("user", known);
        if let Some(return_to) = unmet.return_to {
            page.query_pairs_mut().append_pair("back", return_to.as_str());
        }
        let expired = unmet.clue.and_then(Clue::bytes) == Some(b"expired");
        match unmet.shortfall {
            Shortfall::NoSession if expired => Remedy::default().with_error_description("it has expired"),
            Shortfall::NoSession | Shortfall::CannotTell => Remedy::default(),
            Shortfall::TooOld { max_age, .. } => {
                Remedy::page(page).with_acr_values("urn:example:2fa").with_max_age(max_age)
            }
            _ => Remedy::page(page).with_acr_values("urn:example:2fa urn:example:key"),
        }
    }

    fn is_unsettled(&self, clue: &Clue) -> bool {
        clue.downcast_ref::<HostSession>().is_some_and(|host| host.0.lock().unwrap().is_some())
    }

    fn settle<'a>(&'a self, clue: &'a Clue) -> SourceFuture<'a, HeaderMap> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let host = clue.downcast_ref::<HostSession>().ok_or("not of the host")?;
            let who = host.0.lock().unwrap().take().ok_or("nobody")?;
            self.0.settled.lock().unwrap().push(who.to_owned());
            let mut headers = HeaderMap::new();
            headers.append(header::SET_COOKIE, HeaderValue::from_static("handle=1"));
            headers.append(header::SET_COOKIE, HeaderValue::from_static("handle=2"));
            Ok(headers)
        })
    }
}

impl Elsewhere {
    fn knows(&self, ticket: &'static str, evidence: Evidence) {
        self.0.known.lock().unwrap().insert(ticket, evidence);
    }

    fn remembers(&self, ticket: &'static str, evidence: Evidence) {
        self.0.remembered.lock().unwrap().insert(ticket, evidence);
    }

    fn take_asks(&self) -> usize {
        self.0.asks.swap(0, SeqCst)
    }

    fn guard(&self) -> StepUpGuard {
        StepUp::guard("https://app.example").source(self.clone()).clock(Still).build().unwrap()
    }
}

fn app(guard: &StepUpGuard) -> Router {
    let recent = Requirement::aal2().max_age(Duration::from_secs(300));
    let page = || any(async |user: CurrentSession| user.subject().to_string());
    Router::new()
        .route("/aal1", page().layer(RequireAal::new(Requirement::aal1())))
        .route("/aal2", page().layer(RequireAal2))
        .route("/proof", any(async |user: Aal2| user.subject().to_string()))
        .route("/highest", page().layer(RequireAal::new(Requirement::highest_available())))
        .route("/aal1-recent", page().layer(RequireAal::new(Requirement::aal1().max_age(Duration::from_secs(300)))))
        .route_requiring("/recent", recent, page())
        .route_requiring("/key", Requirement::aal2().phishing_resistant(), page())
        .route("/open", any(async || "open"))
        .layer(guard.layer())
}

async fn ask(app: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(app, request("GET", path, headers)).await
}

#[tokio::test]
async fn routes_are_guarded_by_what_the_source_knows_and_unknown_never_passes() {
    let source = Elsewhere::default();
    let app = app(&source.guard());
    source.knows("one", evidence(None, Enrolled::Yes));
    source.knows("none", evidence(None, Enrolled::No));
    source.knows("unknown", evidence(None, Enrolled::Unknown));
    source.knows("fresh", evidence(Some(10), Enrolled::Unknown));
    source.knows("old", evidence(Some(1000), Enrolled::Yes));
    let paths = ["/aal1", "/aal2", "/proof", "/highest", "/aal1-recent", "/recent", "/open"];
    for (ticket, expected) in [
        ("stranger", [401, 401, 401, 401, 401, 401, 200]),
        ("one", [200, 403, 403, 403, 403, 403, 200]),
        ("none", [200, 403, 403, 200, 403, 403, 200]),
        ("unknown", [200, 403, 403, 403, 403, 403, 200]),
        ("fresh", [200, 200, 200, 200, 200, 200, 200]),
        ("old", [200, 200, 200, 200, 403, 403, 200]),
    ] {
        let cookie = format!("ticket={ticket}");
        for (path, expected) in paths.into_iter().zip(expected) {
            source.take_asks();
            let answer = ask(&app, path, &[("cookie", &cookie), ("accept", "application/json")]).await;
            assert_eq!(answer.status, expected, "{ticket} {path}");
            assert_eq!(
                source.take_asks(),
                usize::from(path != "/open"),
                "{ticket} {path}: once, and only if somebody asks"
            );
        }
    }
    let cannot_tell = ask(&app, "/highest", &[("cookie", "ticket=unknown"), ("accept", "application/json")]).await;
    assert_eq!(cannot_tell.json()["error"]["message"], "second factor unknown");
    assert!(source.0.looks.load(SeqCst) > 40, "every request is looked at");
}

#[tokio::test]
async fn what_is_remembered_spares_asking_but_not_where_no_second_factor_decides() {
    let source = Elsewhere::default();
    let app = app(&source.guard());
    source.remembers("fresh", evidence(Some(10), Enrolled::Yes));
    source.remembers("none", evidence(None, Enrolled::No));
    source.knows("none", evidence(None, Enrolled::Yes));
    source.remembers("unknown", evidence(None, Enrolled::Unknown));
    source.knows("unknown", evidence(None, Enrolled::No));
    for (ticket, path, status, asks) in [
        ("fresh", "/aal2", 200, 0),
        ("fresh", "/recent", 200, 0),
        ("none", "/aal1", 200, 0),
        ("none", "/highest", 403, 1),
        ("unknown", "/highest", 200, 1),
        ("forged", "/aal1", 401, 0),
        ("forged", "/highest", 401, 0),
    ] {
        let cookie = format!("ticket={ticket}");
        let answer = ask(&app, path, &[("cookie", &cookie), ("accept", "application/json")]).await;
        assert_eq!((answer.status.as_u16(), source.take_asks()), (status, asks), "{ticket} {path}");
    }
}

/// A source need not know methods: what would do is told all the same. And it may know more than it remembers.
#[tokio::test]
async fn methods_are_judged_by_what_the_source_knows_now() {
    let source = Elsewhere::default();
    let app = app(&source.guard());
    let key = |vouched: bool| {
        let key = Proof::new(Method::WebAuthn, Aal::Aal2, NOW);
        let proofs = vec![
            Proof::at_unknown_time(Method::Password, Aal::Aal1),
            if vouched { key.with_provider("idp") } else { key },
        ];
        Evidence::new(Session::external(Subject::new("kim").unwrap(), proofs), Standing::external(Enrolled::Unknown))
    };
    for vouched in [false, true] {
        source.knows("key", key(vouched));
        let answer = ask(&app, "/key", &[("cookie", "ticket=key"), ("accept", "application/json")]).await;
        assert_eq!((answer.status.as_u16(), source.take_asks()), (200, 1));
    }
    source.remembers("code", evidence(Some(10), Enrolled::Yes));
    source.knows("code", evidence(Some(10), Enrolled::Yes));
    let answer = ask(&app, "/key", &[("authorization", "Bearer code")]).await;
    assert_eq!((answer.status.as_u16(), source.take_asks()), (401, 1), "asked before it refuses");
    assert_eq!(answer.error_id(), "session_refresh_required");
    assert_eq!(answer.json()["error"]["details"]["methods"], serde_json::json!(["passkey", "webauthn"]));
    assert!(answer.header("www-authenticate").unwrap().ends_with("acr_values=\"urn:example:2fa urn:example:key\""));
    assert_eq!(ask(&app, "/aal2", &[("cookie", "ticket=code")]).await.status, 200);
    assert_eq!(source.take_asks(), 0);
    // Meanwhile the user has proven a key elsewhere.
    source.knows("code", key(false));
    assert_eq!(ask(&app, "/key", &[("cookie", "ticket=code")]).await.status, 200);
}

#[tokio::test]
async fn the_remedy_is_the_sources() {
    let source = Elsewhere::default();
    let app = app(&source.guard());
    source.knows("one", evidence(None, Enrolled::Yes));
    source.knows("old", evidence(Some(1000), Enrolled::Yes));

    let browser = ask(&app, "/aal2?a=b", &[("cookie", "ticket=one")]).await;
    let back = query(&[("user", "kim"), ("back", "https://app.example/aal2?a=b")]);
    assert_eq!((browser.status.as_u16(), browser.location()), (303, ("https://auth.example/step-up".to_owned(), back)));

    let api = ask(&app, "/aal2", &[("authorization", "Bearer one")]).await;
    assert_eq!(
        (api.status.as_u16(), api.header("www-authenticate").as_deref()),
        (
            401,
            Some(
                "Bearer error=\"insufficient_user_authentication\", error_description=\"second factor missing\", \
            acr_values=\"urn:example:2fa urn:example:key\""
            )
        )
    );
    let old = ask(&app, "/recent", &[("authorization", "Bearer old")]).await;
    assert!(old.header("www-authenticate").unwrap().ends_with("acr_values=\"urn:example:2fa\", max_age=\"300\""));

    // The age is the requirement's. So one login is enough for both.
    let both = ask(&app, "/recent", &[("authorization", "Bearer one")]).await;
    let challenge = both.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("acr_values=\"urn:example:2fa urn:example:key\", max_age=\"300\""), "{challenge}");

    let why = async |token: &str| ask(&app, "/aal1", &[("authorization", token)]).await.header("www-authenticate");
    assert_eq!(why("Bearer stranger").await.unwrap(), "Bearer error=\"invalid_token\"");
    let expired = "Bearer error=\"invalid_token\", error_description=\"it has expired\"";
    assert_eq!(why("Bearer expired").await.unwrap(), expired);

    // There is no remedy, so no client gets a page.
    let nobody = ask(&app, "/aal1", &[]).await;
    assert_eq!((nobody.status.as_u16(), nobody.header("location")), (401, None));
    assert_eq!(nobody.error_id(), "session_inactive");
}

#[tokio::test]
async fn a_source_that_fails_lets_nobody_in_and_tells_nothing() {
    let (log, _guard) = Log::begin();
    let source = Elsewhere::default();
    let app = app(&source.guard());
    source.0.down.store(1, SeqCst);
    for path in ["/aal1", "/aal2", "/proof", "/highest", "/recent"] {
        let answer = ask(&app, path, &[("cookie", "ticket=one")]).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("10.0.0.7"));
    }
    assert_eq!(ask(&app, "/open", &[("cookie", "ticket=one")]).await.status, 200);
    assert!(log.take().iter().any(|line| line.contains("could not be looked up")));
}

#[tokio::test]
async fn a_source_says_how_the_application_is_to_be_mended() {
    let (log, _guard) = Log::begin();
    let app = app(&Elsewhere::default().guard());
    let paths = ["/aal1", "/aal2", "/proof", "/highest"];
    for path in paths.iter().chain(&paths) {
        assert_eq!(ask(&app, path, &[("x-broken", "1")]).await.status, 500, "{path}");
    }
    let told: Vec<_> = log.take().into_iter().filter(|line| line.contains("layer of the host outside")).collect();
    assert_eq!(told.len(), paths.len(), "once a route: {told:?}");
}

#[tokio::test]
async fn two_credentials_are_none_and_told_once() {
    let events = Arc::new(Mutex::new(Vec::<AuditEventKind>::new()));
    let source = Elsewhere::default();
    source.knows("one", evidence(Some(1), Enrolled::Yes));
    let sink = Arc::clone(&events);
    let guard = StepUp::guard("https://app.example")
        .source(source.clone())
        .audit(move |event: &AuditEvent| sink.lock().unwrap().push(event.kind.clone()))
        .build()
        .unwrap();
    let both = [("cookie", "ticket=one"), ("authorization", "Bearer one"), ("accept", "application/json")];
    let answer = ask(&app(&guard), "/aal2", &both).await;
    assert_eq!((answer.status.as_u16(), source.take_asks()), (401, 0));
    assert_eq!(*events.lock().unwrap(), [AuditEventKind::CredentialsRefused]);
}

/// The source sees what the host did during the request, and adds its headers to the response.
#[tokio::test]
async fn a_source_follows_what_the_host_did() {
    let source = Elsewhere::default();
    let login = async |Extension(host): Extension<HostSession>| {
        *host.0.lock().unwrap() = Some("kim");
        [("set-cookie", "host=1")]
    };
    let app = Router::new()
        .route("/login", any(login))
        .route("/page", any(async || ()))
        .layer(source.guard().layer())
        .layer(Extension(HostSession::default()));
    assert_eq!(ask(&app, "/page", &[]).await.header("set-cookie"), None);
    assert_eq!(ask(&app, "/login", &[]).await.header("set-cookie").as_deref(), Some("host=1, handle=1, handle=2"));
    assert_eq!(*source.0.settled.lock().unwrap(), ["kim"]);
    assert_eq!(ask(&app, "/page", &[]).await.header("set-cookie"), None);
}

/// Without a store nothing is kept, and a browser that returns near the page is better than a proxy's error.
#[tokio::test]
async fn without_a_store_a_long_address_is_cut_down() {
    let source = Elsewhere::default();
    source.knows("one", evidence(None, Enrolled::Yes));
    let app = app(&source.guard());
    let browser = [("cookie", "ticket=one"), ("accept", "text/html")];
    for (path, back) in [
        (format!("/aal2?q={}", "x".repeat(1500)), format!("https://app.example/aal2?q={}", "x".repeat(1500))),
        (format!("/aal2?q={}", "x".repeat(8000)), "https://app.example/aal2".to_owned()),
    ] {
        let location = ask(&app, &path, &browser).await.header("location").unwrap();
        let url = url::Url::parse(&location).unwrap();
        assert_eq!(url.query_pairs().find(|(name, _)| name == "back").unwrap().1, back);
    }
}

#[test]
fn a_guard_is_built_of_a_source_and_a_url() {
    assert_eq!(StepUp::guard("https://app.example").build().unwrap_err().kind(), BuildErrorKind::Source);
    let bad = StepUp::guard("http://app.example").source(Elsewhere::default()).build();
    assert_eq!(bad.unwrap_err().kind(), BuildErrorKind::PublicUrl);
    let bad = StepUp::guard("https://app.example").source(Misconfigured).build().unwrap_err();
    assert_eq!((bad.kind(), bad.to_string().as_str()), (BuildErrorKind::Source, "call issuer(..) with an address"));
}

struct Misconfigured;

impl SessionSource for Misconfigured {
    fn check(&self) -> Result<(), SourceError> {
        Err("call issuer(..) with an address".into())
    }

    fn look(&self, _: Head<'_>) -> Look {
        Look::Nothing
    }

    fn ask<'a>(&'a self, _: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async { Ok(None) })
    }
}

/// A source that says nothing about levels.
struct Silent(Elsewhere);

impl SessionSource for Silent {
    fn look(&self, head: Head<'_>) -> Look {
        self.0.look(head)
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        self.0.ask(clue, now)
    }
}

#[tokio::test]
async fn a_guard_names_levels_where_its_source_does_not() {
    let source = Elsewhere::default();
    source.knows("one", evidence(None, Enrolled::Yes));
    let builder = || StepUp::guard("https://app.example").source(Silent(source.clone())).clock(Still);
    let named = || builder().acr_values(Aal::Aal2, ["phr", "mfa"]);
    let own = StepUp::guard("https://app.example").source(source.clone()).clock(Still).acr_values(Aal::Aal2, ["phr"]);
    for (guard, path, ends) in [
        (builder(), "/aal2", "\"second factor missing\""),
        (builder(), "/recent", "\"second factor missing\", max_age=\"300\""),
        (named(), "/aal2", ", acr_values=\"phr mfa\""),
        (named(), "/recent", ", acr_values=\"phr mfa\", max_age=\"300\""),
        (own, "/aal2", ", acr_values=\"urn:example:2fa urn:example:key\""),
    ] {
        let answer = ask(&app(&guard.build().unwrap()), path, &[("authorization", "Bearer one")]).await;
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.ends_with(ends), "{challenge}");
    }
    for bad in ["", "a b", "a\"b", "a\\b", "\u{fc}"] {
        let error = builder().acr_values(Aal::Aal2, ["good", bad]).build().expect_err(bad);
        assert_eq!(error.kind(), BuildErrorKind::AcrValues);
    }
}

/// A service whose users prove more at pages of its own. It shows no session of those who must.
#[derive(Clone, Default)]
struct Strict {
    known: Elsewhere,
}

impl SessionSource for Strict {
    fn look(&self, head: Head<'_>) -> Look {
        match head.headers.get("x-session-token") {
            Some(token) => Look::Clue(Clue::from_header(token, Transport::Header)),
            None => self.known.look(head),
        }
    }

    fn recall(&self, clue: &Clue, now: Timestamp) -> Recalled {
        self.known.recall(clue, now)
    }

    fn ask<'a>(&'a self, clue: &'a Clue, now: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async move {
            if clue.bytes() == Some(b"low") {
                return Err(SecondFactorRequired::new().into());
            }
            self.known.ask(clue, now).await
        })
    }

    fn rises_unseen(&self) -> bool {
        true
    }

    fn remedy(&self, _: &Unmet<'_>) -> Remedy {
        let at = |path: &str| url::Url::parse(&format!("https://auth.example/{path}")).unwrap();
        Remedy::page(at("browser")).with_api(at("api"))
    }
}

#[tokio::test]
async fn a_session_that_is_not_shown_needs_the_second_factor_everywhere() {
    let source = Strict::default();
    let guard = StepUp::guard("https://app.example").source(source.clone()).clock(Still).build().unwrap();
    let optional =
        async |user: Option<CurrentSession>| user.map_or("nobody".to_owned(), |user| user.subject().to_string());
    let seen = async |context: tower_step_up::SessionContext| match context.session().await {
        Ok(Some(session)) => session.subject().to_string(),
        Ok(None) => "nobody".to_owned(),
        Err(_) => "unavailable".to_owned(),
    };
    let app = Router::new().route("/optional", any(optional)).route("/seen", any(seen)).layer(guard.layer());
    let app = self::app(&guard).merge(app);
    for path in ["/aal1", "/aal2", "/proof", "/highest", "/aal1-recent", "/recent"] {
        let answer = ask(&app, path, &[("x-session-token", "low")]).await;
        assert_eq!((answer.status.as_u16(), answer.error_id()), (403, "session_aal2_required".to_owned()), "{path}");
        assert_eq!(answer.json()["error"]["details"]["api"], "https://auth.example/api", "{path}");
        assert_eq!(answer.json()["redirect_browser_to"], "https://auth.example/browser", "{path}");
        let browser = ask(&app, path, &[("cookie", "ticket=low"), ("accept", "text/html")]).await;
        assert_eq!(browser.header("location").as_deref(), Some("https://auth.example/browser"), "{path}");
        let page = ask(&app, path, &[("cookie", "ticket=low"), ("accept", "application/json")]).await;
        assert!(page.json()["error"]["details"].get("api").is_none(), "{path}: a page has no use for it");
    }
    for path in ["/optional", "/seen"] {
        let answer = ask(&app, path, &[("x-session-token", "low")]).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"nobody"[..]), "{path}");
    }
    source.known.knows("good", evidence(Some(10), Enrolled::Yes));
    assert_eq!(&ask(&app, "/optional", &[("x-session-token", "good")]).await.body[..], b"kim");
    source.known.0.down.store(1, SeqCst);
    assert_eq!(ask(&app, "/optional", &[("x-session-token", "good")]).await.status, 503);
}

#[tokio::test]
async fn a_remembered_session_refuses_nobody_who_may_have_proven_more_since() {
    let source = Strict::default();
    let guard = StepUp::guard("https://app.example").source(source.clone()).clock(Still).build().unwrap();
    let app = app(&guard);
    source.known.remembers("risen", evidence(None, Enrolled::Yes));
    source.known.remembers("renewed", evidence(Some(1000), Enrolled::Yes));
    for ticket in ["risen", "renewed"] {
        source.known.knows(ticket, evidence(Some(10), Enrolled::Yes));
        let headers = [("x-session-token", ticket)];
        let passes = if ticket == "risen" { "/aal1" } else { "/aal2" };
        assert_eq!((ask(&app, passes, &headers).await.status.as_u16(), source.known.take_asks()), (200, 0), "{ticket}");
        assert_eq!(
            (ask(&app, "/recent", &headers).await.status.as_u16(), source.known.take_asks()),
            (200, 1),
            "{ticket}"
        );
    }
    // And it is refused if it has not.
    source.known.knows("risen", evidence(None, Enrolled::Yes));
    let answer = ask(&app, "/aal2", &[("x-session-token", "risen")]).await;
    assert_eq!((answer.status.as_u16(), source.known.take_asks()), (403, 1));
}

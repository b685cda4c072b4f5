//! What operators get: events with request and actor, spans, counters, and calls for the whole store or one subject.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write},
    net::IpAddr,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use axum::{Router, routing::post};
use serde_json::{Value, json};
use tower_step_up::{
    Aal, Method, SessionContext, StepUpBuilder, Subject,
    aal::{CredentialId, Proof},
    audit::{Actor, AuditEvent, AuditEventKind},
    clock::Clock,
    error::ErrorKind,
    store::{MemoryStore, Revocation},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    log,
    site::{Client, Kind, SECRET, Site},
    store::TestStore,
    witness,
};

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// A site whose proxy says where a client is, and the events that its application hears.
fn audited(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> (Site, mpsc::Receiver<AuditEvent>) {
    let (sender, receiver) = mpsc::channel();
    let site = Site::with(|builder| {
        let builder = builder.audit(move |event: &AuditEvent| {
            witness::hear(event);
            drop(sender.send(event.clone()));
        });
        configure(builder.client_address(|head| head.headers.get("x-real-ip")?.to_str().ok()?.parse().ok()))
    });
    (site, receiver)
}

/// The client as a proxy hands its requests on.
fn behind_a_proxy(client: Client) -> Client {
    client.sending(&[
        ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
        ("x-real-ip", b"192.0.2.7"),
        ("x-request-id", b"4bf92f3577b34da6"),
    ])
}

/// The events in JSON, with the ids numbered as they appear.
fn numbered(events: impl Iterator<Item = AuditEvent>) -> Vec<Value> {
    let mut names = BTreeMap::new();
    let mut rows: Vec<_> = events.map(|event| serde_json::to_value(event).unwrap()).collect();
    for row in &mut rows {
        for (field, kind) in [("session", "session"), ("replaced", "session"), ("credential", "credential")] {
            if let Some(id) = row.get_mut(field) {
                let next = format!("[{kind} {}]", names.len() + 1);
                *id = json!(names.entry(id.to_string()).or_insert(next).clone());
            }
        }
    }
    rows
}

#[tokio::test]
async fn an_event_in_json_says_who_did_what_with_which_request() {
    let (site, events) = audited(|builder| builder);
    site.enrol("kim").await;
    let mut kim = behind_a_proxy(site.native("kim").await);
    kim.get("/payments").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let code = site.code();
    kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
    kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    site.stranger(Kind::Browser).get("/payments?token=secret").await;
    site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
    site.step_up.revoke_all(&subject("kim")).await.unwrap();
    let rows = numbered(events.try_iter());
    let text = format!("{rows:?}");
    for secret in [SECRET, &code, "000000", "secret", kim.token.as_deref().unwrap()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(rows);
    });
}

/// Calls of the application are told with their usual actor, and with the request that caused them if it says which.
#[tokio::test]
async fn the_application_says_who_asked_for_a_call() {
    let (site, events) = audited(|builder| builder);
    let last = || events.try_iter().last().unwrap();
    let kim = subject("kim");
    site.step_up.import_totp(&kim, SECRET).await.unwrap();
    let imported = last();
    assert_eq!((imported.actor, imported.request), (Actor::System, None));
    let signed_in = site.step_up.sign_in(kim.clone(), Method::Password).await.unwrap();
    assert_eq!(last().actor, Actor::User);
    site.step_up.revoke(&kim, Revocation::One(signed_in.session().id())).await.unwrap();
    assert_eq!(last().actor, Actor::Administrator);
    site.step_up.acting_as(Actor::User).revoke_all(&kim).await.unwrap();
    assert_eq!(last().actor, Actor::User);
    let _impersonated =
        site.step_up.acting_as(Actor::Administrator).sign_in(kim.clone(), Method::Password).await.unwrap();
    assert_eq!(last().actor, Actor::Administrator, "somebody signs in as the user");

    let step_up = site.step_up.clone();
    let login = move |context: SessionContext| {
        let step_up = step_up.for_request(&context);
        async move { (step_up.sign_in(subject("kim"), Method::Password).await.unwrap(), ()) }
    };
    let router = Router::new().route("/my/{kind}/login", post(login)).layer(site.step_up.layer());
    let mut stranger = behind_a_proxy(Client { router, ..site.stranger(Kind::Browser) });
    stranger.post("/my/own/login", &[]).await;
    let request = last().request.unwrap();
    assert_eq!((request.method.as_str(), request.route.as_deref()), ("POST", Some("/my/{kind}/login")));
    assert_eq!(request.client.address(), Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(request.client.request_id(), Some("4bf92f3577b34da6"));
}

#[tokio::test]
async fn credentials_are_shown_without_secrets() {
    let (site, _events) = audited(|builder| builder);
    let kim = subject("kim");
    assert_eq!(site.step_up.credentials(&kim).await.unwrap(), []);
    let id = site.step_up.import_totp(&kim, SECRET).await.unwrap();
    site.clock.advance(Duration::from_secs(60));
    let codes = ["aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh"];
    site.step_up.import_lookup_secrets(&kim, &codes).await.unwrap();
    let mut client = site.native("kim").await;
    let flow = client.begin("login", "?aal=aal2").await;
    let answer = client.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", codes[0])]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let now = site.clock.now();
    let [totp, lookup] = &site.step_up.credentials(&kim).await.unwrap()[..] else { panic!("two of them") };
    assert_eq!((totp.id, totp.method, totp.aal), (id, Method::Totp, Aal::Aal2));
    assert_eq!((totp.created_at, totp.last_used_at, totp.unused_secrets), (now - Duration::from_secs(60), None, None));
    assert_eq!((lookup.method, lookup.created_at, lookup.last_used_at), (Method::LookupSecret, now, Some(now)));
    assert_eq!(lookup.unused_secrets, Some(1));
    let shown = format!("{totp:?} {lookup:?}");
    assert!(![SECRET, codes[0], codes[1]].iter().any(|secret| shown.contains(secret)), "{shown}");
}

/// Everything of a user goes, from one store and from two; others stay.
#[tokio::test]
async fn a_deleted_user_is_a_stranger_again() {
    for split in [false, true] {
        let (site, events) =
            audited(|builder| if split { builder.flow_store(MemoryStore::default()) } else { builder });
        for name in ["kim", "lee"] {
            site.enrol(name).await;
        }
        let (mut kim, mut lee) = (site.native("kim").await, site.native("lee").await);
        let flow = kim.begin("login", "?aal=aal2").await;
        for _ in 0..5 {
            kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
        }
        site.step_up.delete(&subject("kim")).await.unwrap();
        let event = events.try_iter().last().unwrap();
        assert_eq!((event.kind, event.actor), (AuditEventKind::Deleted, Actor::Administrator));
        assert_eq!(kim.get("/account").await.status, 401);
        assert_eq!(lee.get("/account").await.status, 200);
        assert_eq!(site.step_up.credentials(&subject("kim")).await.unwrap(), []);
        assert_eq!(site.step_up.sessions(&subject("kim")).await.unwrap(), []);
        let mut anew = site.native("kim").await;
        assert_eq!(anew.read("login", flow.id()).await.status, 404, "split: {split}");
        site.enrol("kim").await;
        assert_eq!(anew.step_up(&site.code()).await.status, 200, "no lock is left");
        site.step_up.delete(&subject("kim")).await.unwrap();
        site.step_up.delete(&subject("kim")).await.unwrap();
    }
}

/// After a restored backup: what was revoked since then is alive again in the store, and ends with all other sessions, on each process.
#[tokio::test]
async fn everybody_is_revoked_on_every_process() {
    let store = TestStore::default();
    let here = Site::on(store.clone(), |builder| builder);
    let there = Site::on(store.clone(), |builder| builder);
    here.enrol("kim").await;
    let mut kim = here.native("kim").await;
    let mut lee = here.spa("lee").await;
    let elsewhere = |client: &Client| Client { router: there.router.clone(), ..client.clone() };
    for client in [&mut kim, &mut lee] {
        assert_eq!(client.get("/account").await.status, 200);
        assert_eq!(elsewhere(client).get("/account").await.status, 200);
    }
    // A third process, after the restart. A session that is issued at this very instant may live.
    let site = Site::on(store.clone(), |builder| builder);
    for clock in [&here.clock, &there.clock, &site.clock] {
        clock.advance(Duration::from_millis(999));
    }
    assert_eq!(site.step_up.revoke_everyone().await.unwrap(), 2);
    assert_eq!(kim.get("/account").await.status, 200, "remembered, for the standing time of a second");
    for clock in [&here.clock, &there.clock, &site.clock] {
        clock.advance(Duration::from_millis(1));
    }
    for client in [&mut kim, &mut lee] {
        assert_eq!(client.get("/account").await.status, 401);
        assert_eq!(elsewhere(client).get("/account").await.status, 401);
        let mut at_once = Client { router: site.router.clone(), ..client.clone() };
        assert_eq!(at_once.get("/account").await.status, 401);
    }
    let mut anew = site.native("kim").await;
    assert_eq!(anew.get("/account").await.status, 200);
    assert_eq!(anew.step_up(&site.code()).await.status, 200, "credentials stay");
}

/// This process forgets at once what it has cached.
#[tokio::test]
async fn the_process_that_revokes_everybody_asks_the_store_again() {
    let (site, events) = audited(|builder| builder.standing_max_age(Duration::from_secs(60)));
    let mut kim = site.native("kim").await;
    assert_eq!(kim.get("/account").await.status, 200);
    site.clock.advance(Duration::from_millis(1));
    assert_eq!(site.step_up.acting_as(Actor::System).revoke_everyone().await.unwrap(), 1);
    let event = events.try_iter().last().unwrap();
    assert_eq!((event.kind, event.subject), (AuditEventKind::RevokedEveryone { sessions: 1 }, None));
    assert_eq!(kim.get("/account").await.status, 401);
}

/// A store that is older than these calls does nothing and says so; a probe says when a store does not answer.
#[tokio::test]
async fn a_store_that_cannot_says_so() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder);
    let mut kim = site.native("kim").await;
    store.knows_less(true);
    for error in
        [site.step_up.delete(&subject("kim")).await.unwrap_err(), site.step_up.revoke_everyone().await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    assert_eq!(kim.get("/account").await.status, 200, "nothing was done");
    store.knows_less(false);
    site.step_up.ready().await.unwrap();
    store.is_down();
    assert_eq!(site.step_up.ready().await.unwrap_err().kind(), ErrorKind::Store);
    for split in [false, true] {
        let flows = TestStore::default();
        let site = Site::with(|builder| if split { builder.flow_store(flows.clone()) } else { builder });
        site.step_up.ready().await.unwrap();
        flows.is_down();
        assert_eq!(site.step_up.ready().await.is_err(), split);
    }
}

/// Proofs that the application has checked itself begin a session at the level that they reach.
#[tokio::test]
async fn a_sign_in_with_proofs_has_their_level() {
    let (site, events) = audited(|builder| builder);
    let kim = subject("kim");
    let totp = site.step_up.import_totp(&kim, SECRET).await.unwrap();
    let now = site.clock.now();
    let proof = |method, aal| Proof::new(method, aal, now);
    let second = || proof(Method::Totp, Aal::Aal2).with_credential(totp);
    let cases = [
        (vec![proof(Method::Passkey, Aal::Aal1)], 403),
        (vec![proof(Method::Oidc, Aal::Aal1).with_provider("https://id.example")], 403),
        (vec![proof(Method::Oidc, Aal::Aal2).with_provider("https://id.example")], 200),
        (vec![second(), proof(Method::Password, Aal::Aal1)], 200),
        (vec![proof(Method::Oidc, Aal::Aal1), second()], 200),
        (vec![Proof::at_unknown_time(Method::Saml, Aal::Aal2)], 200),
    ];
    for (proofs, payments) in cases {
        events.try_iter().for_each(drop);
        let count = proofs.len();
        let signed_in = site.step_up.sign_in_with(kim.clone(), proofs.clone()).await.unwrap();
        let told: Vec<_> = events.try_iter().map(|event| event.kind).collect();
        assert!(matches!(told[0], AuditEventKind::SignedIn { method } if method != Method::Totp), "{told:?}");
        assert_eq!(told.len(), count);
        let token = Some(signed_in.token().as_str().to_owned());
        let mut client = Client { token, ..site.stranger(Kind::Native) };
        assert_eq!(client.get("/account").await.status, 200);
        assert_eq!(client.get("/payments").await.status, payments, "{proofs:?}");
        let fresh = proofs.iter().all(|proof| proof.completed_at().is_some());
        let transfer = if fresh { payments } else { 403 };
        assert_eq!(client.get("/transfer").await.status, transfer, "an unknown time is no age");
    }
    // It dies with the credential, as any second factor.
    let signed_in = site.step_up.sign_in_with(kim.clone(), vec![proof(Method::Password, Aal::Aal1), second()]).await;
    let token = Some(signed_in.unwrap().token().as_str().to_owned());
    let mut client = Client { token, ..site.stranger(Kind::Native) };
    assert_eq!(client.get("/payments").await.status, 200);
    site.step_up.unbind(&kim, Method::Totp).await.unwrap();
    assert_eq!(client.get("/payments").await.status, 403);
}

#[tokio::test]
async fn a_sign_in_with_proofs_that_make_no_sense_is_refused() {
    let (site, _events) = audited(|builder| builder.second_factor_lifespan(Duration::from_secs(3600)));
    let (kim, lee) = (subject("kim"), subject("lee"));
    let mine = site.step_up.import_totp(&kim, SECRET).await.unwrap();
    let lees = site.step_up.import_totp(&lee, SECRET).await.unwrap();
    let now = site.clock.now();
    let proof = |method, aal| Proof::new(method, aal, now);
    let password = || proof(Method::Password, Aal::Aal1);
    let totp = || proof(Method::Totp, Aal::Aal2).with_credential(mine);
    let soon = |seconds| Proof::new(Method::Password, Aal::Aal1, now + Duration::from_secs(seconds));
    let push = Method::custom("push").unwrap();
    for (senseless, proofs) in [
        ("none", vec![]),
        ("the future", vec![soon(6)]),
        ("only a second factor", vec![totp()]),
        ("a second factor as a first one", vec![proof(Method::Totp, Aal::Aal1)]),
        ("no credential", vec![password(), proof(Method::Totp, Aal::Aal2)]),
        ("an unknown credential", vec![password(), totp().with_credential(CredentialId::random())]),
        ("another user's credential", vec![password(), totp().with_credential(lees)]),
        ("a credential of another method", vec![password(), proof(Method::WebAuthn, Aal::Aal2).with_credential(mine)]),
        ("a credential of another level", vec![proof(Method::WebAuthn, Aal::Aal1).with_credential(mine)]),
        ("a password as a second factor", vec![proof(Method::Oidc, Aal::Aal1), proof(Method::Password, Aal::Aal2)]),
        ("a second factor that nobody configured", vec![password(), proof(push, Aal::Aal2).with_credential(mine)]),
        ("the same twice", vec![password(), password()]),
        ("one key as two factors", vec![proof(Method::Passkey, Aal::Aal1), proof(Method::WebAuthn, Aal::Aal2)]),
        ("two codes by mail", vec![proof(Method::LinkRecovery, Aal::Aal1), proof(Method::Code, Aal::Aal2)]),
        ("nothing", vec![proof(Method::Password, Aal::Aal0)]),
        ("the profile", vec![proof(Method::Profile, Aal::Aal1)]),
        ("a provider of passwords", vec![password().with_provider("https://id.example")]),
        ("lapsed", vec![Proof::new(Method::Oidc, Aal::Aal2, now - Duration::from_secs(3600))]),
    ] {
        let error = site.step_up.sign_in_with(kim.clone(), proofs).await.expect_err(senseless);
        assert_eq!(error.kind(), ErrorKind::Proof, "{senseless}");
        assert!(std::error::Error::source(&error).is_some(), "{senseless}");
    }
    assert_eq!(site.step_up.sessions(&kim).await.unwrap(), []);
    // The honest twins: clocks may differ by the leeway, and a first factor may be older than the second one lasts.
    for proofs in [vec![soon(5)], vec![Proof::new(Method::Oidc, Aal::Aal1, now - Duration::from_secs(7200)), totp()]] {
        drop(site.step_up.sign_in_with(kim.clone(), proofs).await.unwrap());
    }
    site.users.disable("kim");
    let error = site.step_up.sign_in_with(kim, vec![password()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Inactive);
}

/// The spans of one thread, with their fields, in the order in which they closed.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<SpanState>>);

#[derive(Default)]
struct SpanState {
    open: BTreeMap<u64, String>,
    /// How often each was cloned.
    clones: BTreeMap<u64, usize>,
    closed: Vec<String>,
    opened: u64,
    entered: Vec<u64>,
    /// Audit events, with the span that they are in.
    events: Vec<String>,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_step_up")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = attributes.metadata().name().to_owned();
        attributes.record(&mut Fields(&mut text));
        let mut state = self.0.lock().unwrap();
        state.opened += 1;
        let id = state.opened;
        state.open.insert(id, text);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, record: &Record<'_>) {
        let mut state = self.0.lock().unwrap();
        if let Some(text) = state.open.get_mut(&id.into_u64()) {
            record.record(&mut Fields(text));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut state = self.0.lock().unwrap();
        let around = state.entered.last().and_then(|id| state.open.get(id)).cloned().unwrap_or_default();
        let target = event.metadata().target();
        state.events.push(format!("{target} in {}", around.split(' ').next().unwrap_or_default()));
    }

    fn enter(&self, id: &Id) {
        self.0.lock().unwrap().entered.push(id.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }

    fn clone_span(&self, id: &Id) -> Id {
        *self.0.lock().unwrap().clones.entry(id.into_u64()).or_default() += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        let clones = state.clones.entry(id.into_u64()).or_default();
        if *clones > 0 {
            *clones -= 1;
            return false;
        }
        if let Some(text) = state.open.remove(&id.into_u64()) {
            state.closed.push(text);
        }
        true
    }
}

#[tokio::test]
async fn decisions_and_step_ups_are_spans_without_secrets() {
    log::listen();
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let take = || {
        let mut state = spans.0.lock().unwrap();
        (std::mem::take(&mut state.closed), std::mem::take(&mut state.events))
    };
    let (site, _events) = audited(|builder| builder);
    site.enrol("kim").await;
    let mut kim = site.native("kim").await;
    take();
    kim.get("/transfer?to=secret").await;
    assert_eq!(take().0, ["decision requirement=aal2, max_age=5m route=\"/transfer\" outcome=\"level_too_low\""]);
    site.stranger(Kind::Native).get("/payments?to=secret").await;
    assert_eq!(take().0, ["decision requirement=aal2 route=\"/payments\" outcome=\"no_session\""]);
    let flow = kim.begin("login", "?aal=aal2").await;
    take();
    let code = site.code();
    kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
    let (closed, events) = take();
    assert_eq!(closed, ["step_up route=\"/self-service/login\" requirement=\"aal2\" outcome=\"wrong\""]);
    assert_eq!(events, ["tower_step_up::audit in step_up"]);
    let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    kim.token = answer.json()["session_token"].as_str().map(str::to_owned);
    let (closed, events) = take();
    assert_eq!(closed, ["step_up route=\"/self-service/login\" requirement=\"aal2\" outcome=\"passed\""]);
    assert_eq!(events, ["tower_step_up::audit in step_up"; 2]);
    for _cached in 0..2 {
        kim.get("/payments").await;
        assert_eq!(take().0, ["decision requirement=aal2 route=\"/payments\" outcome=\"passed\""]);
    }
    let settings = kim.begin("settings", "").await;
    take();
    kim.submit(&settings, &[("totp_unlink", "true")]).await;
    let gate = "decision requirement=highest_available, without_trusted_devices route=\"/self-service/settings\" outcome=\"passed\"";
    // At the head, and once more when the body is there.
    assert_eq!(take().0, [gate, gate, "settings route=\"/self-service/settings\" outcome=\"removed\""]);
}

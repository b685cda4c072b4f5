//! A tonic server and its clients over HTTP/2: calls that are let through, and calls that are refused.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic, reason = "a test that fails panics")]

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Extensions, Method as HttpMethod, Request as HttpRequest};
use proptest::prelude::*;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Response, Status, metadata::MetadataValue, service::LayerExt as _, transport::Channel,
    transport::Server,
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tower::ServiceBuilder;
use tower_step_up::{
    Aal, Method, RequireAal, Requirement, Shortfall, SigningKey, StepUp, Subject,
    aal::Proof,
    clock::{Clock, SystemClock, Timestamp},
    factor::Totp,
    source::{Clue, Evidence, Head, Look, Remedy, SessionSource, SourceFuture, Transport, Unmet},
    store::MemoryStore,
    test_util::FixedClock,
};
use tower_step_up_tonic::{StepUpRequired, answer, body, require};

use self::table::{Credential, Headers, Outcome, Route, Way};

#[path = "../../../tests/ways/table.rs"]
mod table;

const HOUR: Duration = Duration::from_secs(3600);
const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn step_up() -> StepUp {
    step_up_at(SystemClock)
}

fn step_up_at(clock: impl Clock) -> StepUp {
    StepUp::builder("https://bank.example")
        .clock(clock)
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(MemoryStore::default())
        .factor(Totp::new("Example Bank"))
        .acr_values(Aal::Aal2, ["urn:example:2fa"])
        .on_refusal(answer)
        .build()
        .unwrap()
}

/// Asks in its methods for what its name says, in addition to what stands in front of it. Answers with the subject's name in the metadata. Counts what
/// it lets through.
#[derive(Clone, Default)]
struct Account(Arc<AtomicUsize>);

fn asked(request: &Request<HealthCheckRequest>) -> Requirement {
    match request.get_ref().service.as_str() {
        "small" => Requirement::aal1(),
        "large" => Requirement::aal2().max_age(Duration::from_secs(300)),
        _ => Requirement::aal2(),
    }
}

#[tonic::async_trait]
impl Health for Account {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let evidence = require(request.extensions(), asked(&request)).await?;
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(HealthCheckResponse { status: 1 });
        response.metadata_mut().insert("subject", evidence.session.subject().as_str().parse().unwrap());
        Ok(response)
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        require(request.extensions(), asked(&request)).await?;
        let answers = (1..=3).map(|status| Ok(HealthCheckResponse { status }));
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }
}

/// A free port, and the connections that come in there.
async fn listen() -> (SocketAddr, TcpListenerStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), TcpListenerStream::new(listener))
}

/// With this guard in front of the service, if any.
async fn serve(step_up: &StepUp, guard: Option<Requirement>) -> SocketAddr {
    serve_account(step_up, guard, Account::default()).await
}

async fn serve_account(step_up: &StepUp, guard: Option<Requirement>, account: Account) -> SocketAddr {
    let (address, calls) = listen().await;
    let guard = RequireAal::new(guard.unwrap_or(Requirement::aal1()));
    let service = ServiceBuilder::new().layer(guard).named_layer(HealthServer::new(account));
    let server = Server::builder().layer(step_up.layer().body_with(body)).add_service(service);
    tokio::spawn(server.serve_with_incoming(calls));
    address
}

async fn client(address: SocketAddr) -> HealthClient<Channel> {
    HealthClient::new(Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

fn call(token: &str, what: &str) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest { service: what.to_owned() });
    if !token.is_empty() {
        let bearer: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

/// Signed in with a password, and with an app enrolled if they have one.
async fn aal1(step_up: &StepUp, name: &str, has_app: bool) -> String {
    if has_app {
        step_up.import_totp(&subject(name), SECRET).await.unwrap();
    }
    step_up.sign_in(subject(name), Method::Password).await.unwrap().token().as_str().to_owned()
}

/// Signed in by a provider that has seen two factors so long ago.
async fn aal2(step_up: &StepUp, name: &str, ago: Duration) -> String {
    let proof = Proof::new(Method::Oidc, Aal::Aal2, SystemClock.now() - ago).with_provider("https://id.example");
    step_up.sign_in_with(subject(name), vec![proof]).await.unwrap().token().as_str().to_owned()
}

#[tokio::test]
async fn calls_pass_or_say_what_is_missing() {
    let step_up = step_up();
    let (fresh, old) = (aal2(&step_up, "kim", Duration::ZERO).await, aal2(&step_up, "lee", HOUR).await);
    let (low, bare) = (aal1(&step_up, "bob", true).await, aal1(&step_up, "sam", false).await);
    let revoked = aal2(&step_up, "ada", Duration::ZERO).await;
    step_up.revoke_all(&subject("ada")).await.unwrap();
    let mut forged = fresh.clone();
    forged.replace_range(fresh.len() - 8.., "AAAAAAAA");
    let too_old = |seconds| Shortfall::TooOld { max_age: Duration::from_secs(seconds), second_factor: true };
    let guarded = serve(&step_up, Some(Requirement::aal2().max_age(Duration::from_secs(600)))).await;
    let inside = serve(&step_up, None).await;
    let cases = [
        ("a fresh second factor", guarded, &fresh, "small", None),
        ("nobody", guarded, &String::new(), "small", Some(Shortfall::NoSession)),
        ("forged", guarded, &forged, "small", Some(Shortfall::NoSession)),
        ("revoked", guarded, &revoked, "small", Some(Shortfall::NoSession)),
        ("a password alone", guarded, &low, "small", Some(Shortfall::LevelTooLow)),
        ("nothing enrolled", guarded, &bare, "small", Some(Shortfall::NothingEnrolled)),
        ("an hour ago", guarded, &old, "small", Some(too_old(600))),
        ("inside, a password for little", inside, &low, "small", None),
        ("inside, a password for much", inside, &low, "", Some(Shortfall::LevelTooLow)),
        ("inside, an hour ago for much", inside, &old, "", None),
        ("inside, an hour ago for very much", inside, &old, "large", Some(too_old(300))),
        ("inside, fresh for very much", inside, &fresh, "large", None),
        ("inside, nobody", inside, &String::new(), "small", Some(Shortfall::NoSession)),
    ];
    for (name, address, token, what, expected) in cases {
        let mut client = client(address).await;
        let unary = client.check(call(token, what)).await.map(|_| ());
        let streamed = match client.watch(call(token, what)).await {
            Ok(stream) => stream.into_inner().collect::<Result<Vec<_>, _>>().await.map(|answers| {
                assert_eq!(answers.len(), 3, "{name}");
            }),
            Err(status) => Err(status),
        };
        for (way, outcome) in [("unary", unary), ("streaming", streamed)] {
            let Some(shortfall) = expected else {
                assert!(outcome.is_ok(), "{name}, {way}: {outcome:?}");
                continue;
            };
            let status = outcome.unwrap_err();
            let code = if shortfall == Shortfall::NoSession { Code::Unauthenticated } else { Code::PermissionDenied };
            assert_eq!(status.code(), code, "{name}, {way}: {status:?}");
            let required = StepUpRequired::of(&status).unwrap_or_else(|| panic!("{name}, {way}: {status:?}"));
            assert_eq!(required.shortfall, shortfall, "{name}, {way}");
            if shortfall != Shortfall::NoSession && shortfall != Shortfall::NothingEnrolled {
                assert_eq!(required.acr_values.as_deref(), Some("urn:example:2fa"), "{name}, {way}");
                let page = required.page.unwrap();
                assert!(page.starts_with("https://bank.example/self-service/login/browser?"), "{name}: {page}");
            }
            if let Shortfall::TooOld { max_age, .. } = shortfall {
                assert_eq!(required.max_age, Some(max_age), "{name}, {way}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_says_by_which_methods_it_can_be_made() {
    let step_up = step_up();
    let key = Requirement::aal2().phishing_resistant();
    let vouched = Requirement::aal2().any_of([Method::Saml, Method::WebAuthn]);
    let nobody = key.any_of([Method::Totp]);
    let stepped_up = aal2(&step_up, "kim", Duration::ZERO).await;
    for (requirement, shortfall, methods, acr_values) in [
        (key, Shortfall::MethodNotEnrolled, &["passkey", "webauthn"][..], Some("phr phrh")),
        (vouched, Shortfall::MethodMissing { second_factor: true }, &["saml", "webauthn"], Some("urn:example:2fa")),
        (nobody, Shortfall::NoMethodPossible, &[], None),
    ] {
        let mut client = client(serve(&step_up, Some(requirement)).await).await;
        let status = client.check(call(&stepped_up, "small")).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        let required = StepUpRequired::of(&status).unwrap_or_else(|| panic!("{status:?}"));
        assert_eq!(
            (required.shortfall, required.methods),
            (shortfall, methods.iter().map(|&name| name.to_owned()).collect())
        );
        assert_eq!((required.acr_values.as_deref(), required.page.is_some()), (acr_values, acr_values.is_some()));
    }
}

/// A method that asks itself, behind a guard that lets every session through.
struct Grpc {
    step_up: StepUp,
    clock: FixedClock,
    account: Account,
    address: SocketAddr,
}

impl Way for Grpc {
    async fn credential(&self, which: Credential) -> Result<Headers, &'static str> {
        let (step_up, now) = (&self.step_up, self.clock.now());
        let name = if which == Credential::OtherUsers { "lee" } else { "kim" };
        let credential = step_up.import_totp(&subject(name), SECRET).await.unwrap();
        let at = if which == Credential::TooOld { now - 2 * Duration::from_secs(300) } else { now };
        let mut proofs = vec![Proof::new(Method::Password, Aal::Aal1, at)];
        if which != Credential::LevelTooLow {
            proofs.push(Proof::new(Method::Totp, Aal::Aal2, at).with_credential(credential));
        }
        let token = step_up.sign_in_with(subject(name), proofs).await.unwrap().token().as_str().to_owned();
        if which == Credential::Expired {
            self.clock.advance(400 * 24 * HOUR);
        }
        Ok(match which {
            Credential::Nothing => Vec::new(),
            Credential::Forged => vec![("authorization", format!("Bearer {}AAAAAAAA", &token[..token.len() - 8]))],
            _ => vec![("authorization", format!("Bearer {token}"))],
        })
    }

    async fn happens(&self, which: Credential) {
        if which == Credential::Revoked {
            self.step_up.revoke_all(&subject("kim")).await.unwrap();
        } else {
            self.step_up.unbind(&subject("kim"), Method::Totp).await.unwrap();
        }
    }

    async fn ask(&self, route: Route, headers: &Headers) -> Outcome {
        let what = match route {
            Route::Aal1 => "small",
            Route::Aal2 => "",
            Route::Recent => "large",
        };
        let mut request = call("", what);
        for (name, value) in headers {
            let value: MetadataValue<_> = value.parse().unwrap();
            request.metadata_mut().insert(*name, value);
        }
        match client(self.address).await.check(request).await {
            Ok(answer) => Outcome::Passed(answer.metadata().get("subject").unwrap().to_str().unwrap().to_owned()),
            Err(status) if status.code() == Code::Unauthenticated => Outcome::NoSession,
            Err(status) if status.code() == Code::PermissionDenied => Outcome::StepUp,
            Err(status) => panic!("{route:?}: {status:?}"),
        }
    }

    fn take_calls(&self) -> usize {
        self.account.0.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_table_of_attacks_holds_over_grpc() {
    let (clock, account) = (FixedClock::default(), Account::default());
    let step_up = step_up_at(clock.clone());
    let address = serve_account(&step_up, None, account.clone()).await;
    table::holds(&Grpc { step_up, clock, account, address }).await;
}

#[tokio::test]
async fn a_method_knows_who_calls() {
    let step_up = step_up();
    let token = aal2(&step_up, "kim", Duration::ZERO).await;
    let mut client = client(serve(&step_up, None).await).await;
    let response = client.check(call(&token, "")).await.unwrap();
    assert_eq!(response.metadata().get("subject").unwrap(), "kim");
}

/// As gRPC over HTTP/2 has it: one frame of headers that ends the stream, HTTP 200, and the status in it.
#[tokio::test]
async fn a_refusal_is_trailers_only() {
    let step_up = step_up();
    let address = serve(&step_up, Some(Requirement::aal2())).await;
    let (mut sender, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    for method in ["Check", "Watch"] {
        let request = HttpRequest::builder()
            .method(HttpMethod::POST)
            .uri(format!("http://{address}/grpc.health.v1.Health/{method}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(())
            .unwrap();
        sender = sender.ready().await.unwrap();
        let response = sender.send_request(request, true).unwrap().0.await.unwrap();
        let headers = response.headers();
        assert_eq!(response.status(), 200);
        assert_eq!(headers["grpc-status"], "16");
        assert_eq!(headers["content-type"], "application/grpc+proto");
        assert!(headers.contains_key("grpc-message") && headers.contains_key("grpc-status-details-bin"));
        assert!(response.body().is_end_stream(), "nothing follows");
    }
}

/// Says of each token why it is no good, or does not answer.
struct Source {
    answers: bool,
}

impl SessionSource for Source {
    fn look(&self, head: Head<'_>) -> Look {
        let token = head.headers.get("authorization");
        token.map_or(Look::Nothing, |token| Look::Clue(Clue::from_header(token, Transport::Bearer)))
    }

    fn ask<'a>(&'a self, _: &'a Clue, _: Timestamp) -> SourceFuture<'a, Option<Arc<Evidence>>> {
        Box::pin(async { if self.answers { Ok(None) } else { Err("the issuer is away".into()) } })
    }

    fn remedy(&self, _: &Unmet<'_>) -> Remedy {
        Remedy::default().with_error_description("access token: expired")
    }
}

#[tokio::test]
async fn a_guard_of_other_sessions_says_why_and_lets_nothing_through_when_they_are_away() {
    for (answers, code, text) in [
        (true, Code::Unauthenticated, "access token: expired"),
        (false, Code::Unavailable, "the session could not be looked up"),
    ] {
        let guard =
            StepUp::guard("https://bank.example").source(Source { answers }).on_refusal(answer).build().unwrap();
        let (address, calls) = listen().await;
        let service = ServiceBuilder::new()
            .layer(RequireAal::new(Requirement::aal1()))
            .named_layer(HealthServer::new(Account::default()));
        let server = Server::builder().layer(guard.layer().body_with(body)).add_service(service);
        tokio::spawn(server.serve_with_incoming(calls));
        let status = client(address).await.check(call("token", "small")).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text));
        assert!(!status.message().contains("away"), "the cause is not told");
    }
}

#[tokio::test]
async fn without_the_outer_layer_nothing_is_let_through() {
    let status = require(&Extensions::new(), Requirement::aal1()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let (address, calls) = listen().await;
    let service = ServiceBuilder::new()
        .layer(RequireAal::new(Requirement::aal1()))
        .named_layer(HealthServer::new(Account::default()));
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(calls));
    let status = client(address).await.check(call("", "small")).await.unwrap_err();
    assert!(!matches!(status.code(), Code::Ok), "{status:?}");
}

/// From a browser, over HTTP/1.1.
#[tokio::test]
async fn grpc_web_gets_the_same_status() {
    let step_up = step_up();
    let low = aal1(&step_up, "bob", true).await;
    let (address, calls) = listen().await;
    let guard = RequireAal::new(Requirement::aal2());
    let server = Server::builder()
        .accept_http1(true)
        .layer(tonic_web::GrpcWebLayer::new())
        .layer(step_up.layer().body_with(body))
        .add_service(ServiceBuilder::new().layer(guard).named_layer(HealthServer::new(Account::default())));
    tokio::spawn(server.serve_with_incoming(calls));
    for (kind, token, code) in [
        ("application/grpc-web+proto", "", "16"),
        ("application/grpc-web+proto", low.as_str(), "7"),
        ("application/grpc-web-text+proto", low.as_str(), "7"),
    ] {
        let request = reqwest::Client::new()
            .post(format!("http://{address}/grpc.health.v1.Health/Check"))
            .header("content-type", kind)
            .header("authorization", format!("Bearer {token}"))
            .body(vec![0_u8; 5]);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{kind}");
        assert_eq!(response.headers()["grpc-status"], code, "{kind}");
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/grpc-web"), "{kind}");
    }
}

/// Clients of HTTP on the same port get the crate's own answers.
#[tokio::test]
async fn what_is_not_grpc_is_answered_in_json() {
    let step_up = step_up();
    let address = serve(&step_up, Some(Requirement::aal2())).await;
    let (sender, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let request = HttpRequest::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(())
        .unwrap();
    let response = sender.ready().await.unwrap().send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["content-type"], "application/json");
}

proptest! {
    /// Whatever a server sends as details.
    #[test]
    fn details_of_others_are_no_step_up(details: Vec<u8>, code in 0..17_i32) {
        let status = Status::with_details(Code::from(code), "text", details.into());
        prop_assert_eq!(StepUpRequired::of(&status), None);
    }
}

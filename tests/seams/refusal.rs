//! The application's own answer to a refusal.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::{any, get},
};
use bytes::Bytes;
use tower_step_up::{
    AccessDenied, RequireAal, RequireAal2, Requirement, SessionContext, Shortfall, StepUpBuilder,
    audit::{AuditEvent, AuditEventKind},
    context::Refusal,
};

use crate::common::{Bank, NO_STORE, VARY, query, request, send};

type Seen = Arc<Mutex<Vec<String>>>;

/// Answers programs itself, and leaves browsers to the crate.
fn own_words(seen: Seen) -> impl FnOnce(StepUpBuilder) -> StepUpBuilder {
    move |builder| {
        builder.on_refusal(move |refusal: &Refusal<'_>| {
            let user = refusal.subject.map_or("nobody", |subject| subject.as_str());
            let page = refusal.remedy.page.as_ref().map(ToString::to_string).unwrap_or_default();
            seen.lock().unwrap().push(format!(
                "{} {} {} {:?} {:?} {page}",
                refusal.method, refusal.uri, user, refusal.shortfall, refusal.transport
            ));
            assert!(!refusal.headers.contains_key("cookie") && !refusal.headers.contains_key("authorization"));
            assert!(!refusal.headers.contains_key("x-session-token"));
            refusal.headers.get("x-locale").map(|locale| {
                http::Response::builder()
                    .status(451)
                    .header("content-type", "text/plain")
                    .header("cache-control", "public")
                    .header("set-cookie", "a=1")
                    .header("set-cookie", "b=2")
                    .body(Bytes::from(format!("{}: {}", locale.to_str().unwrap(), refusal.shortfall)))
                    .unwrap()
            })
        })
    }
}

#[tokio::test]
async fn an_application_answers_by_itself_or_declines() {
    let (seen, events) = (Seen::default(), Arc::new(Mutex::new(Vec::<AuditEvent>::new())));
    let sink = Arc::clone(&events);
    let bank = Bank::with(|builder| {
        own_words(Arc::clone(&seen))(builder).audit(move |event: &AuditEvent| sink.lock().unwrap().push(event.clone()))
    });
    let app = Router::new()
        .route("/pay", any(async || ()).layer(RequireAal2))
        .route("/middle", get(async |context: SessionContext| context.challenge(Requirement::aal2())))
        .route("/extracted", get(async |_: tower_step_up::CurrentSession| ()))
        .layer(bank.step_up.layer());
    let kim = bank.aal1("kim").await;
    events.lock().unwrap().clear();

    let asking = request("POST", "/pay?x=1", &[("cookie", &kim.cookie()), ("x-locale", "de")]);
    let answer = send(&app, asking).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (451, &b"de: second factor missing"[..]));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain"));
    assert_eq!(answer.header("set-cookie").as_deref(), Some("a=1, b=2"), "all values of a header stay");
    // Whatever the application answers, it gets `no-store`, and the audit gets the refusal.
    assert_eq!(answer.header("cache-control").as_deref(), Some(NO_STORE));
    assert_eq!(answer.header("vary").as_deref(), Some(VARY));
    let told: Vec<_> = events.lock().unwrap().drain(..).map(|event| event.kind).collect();
    assert!(matches!(told[..], [AuditEventKind::Challenged { .. }]), "{told:?}");
    assert_eq!(
        seen.lock().unwrap().drain(..).collect::<Vec<_>>(),
        ["POST /pay?x=1 kim LevelTooLow Some(Cookie) \
          https://bank.example/self-service/login/browser?aal=aal2&return_to=https%3A%2F%2Fbank.example%2F"]
    );

    // It returns `None`: the crate answers.
    let answer = send(&app, request("GET", "/pay", &[("cookie", &kim.cookie())])).await;
    let login = "https://bank.example/self-service/login/browser".to_owned();
    let to = query(&[("aal", "aal2"), ("return_to", "https://bank.example/pay")]);
    assert_eq!((answer.status.as_u16(), answer.location()), (303, (login, to)));

    // The same from the middle of a handler and from an extractor, without a body for HEAD, and without a session.
    for (method, path, cookie, body) in [
        ("GET", "/middle", kim.cookie(), "en: second factor missing"),
        ("HEAD", "/pay", kim.cookie(), ""),
        ("GET", "/extracted", String::new(), "en: no valid session"),
    ] {
        let answer = send(&app, request(method, path, &[("cookie", &cookie), ("x-locale", "en")])).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (451, body.as_bytes()), "{method} {path}");
    }
    bank.step_up.forget(&kim.subject());
    bank.store.is_down();
    let answer = send(&app, request("GET", "/pay", &[("cookie", &kim.cookie()), ("x-locale", "en")])).await;
    assert_eq!(answer.body, "en: the session could not be looked up");
}

/// A layer outside sees why a request was refused, also if the application answered.
#[tokio::test]
async fn layers_outside_see_the_shortfall() {
    async fn outside(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        if let Some(shortfall) = response.extensions().get::<Shortfall>() {
            let text = shortfall.to_string();
            response.headers_mut().insert("x-why", text.parse().unwrap());
        }
        response
    }
    let bank = Bank::with(own_words(Seen::default()));
    let app = Router::new()
        .route("/pay", get(async || ()).layer(RequireAal2))
        .route("/open", get(async || ()))
        .merge(bank.step_up.router())
        .layer(bank.step_up.layer())
        .layer(from_fn(outside));
    let kim = bank.aal1("kim").await;
    for headers in [&[][..], &[("x-locale", "en")], &[("accept", "application/json")]] {
        let cookie = kim.cookie();
        let headers: Vec<_> = headers.iter().copied().chain([("cookie", cookie.as_str())]).collect();
        assert_eq!(
            send(&app, request("GET", "/pay", &headers)).await.header("x-why").as_deref(),
            Some("second factor missing")
        );
        assert_eq!(send(&app, request("GET", "/open", &headers)).await.header("x-why"), None);
    }
    // The same for what the companion router refuses.
    let (of_kim, nobody) = (kim.cookie(), String::new());
    for (cookie, path, why) in [
        (&of_kim, "/sessions/whoami", "second factor missing"),
        (&of_kim, "/self-service/settings/browser", "second factor missing"),
        (&nobody, "/sessions/whoami", "no valid session"),
        (&nobody, "/self-service/settings/browser", "no valid session"),
        (&nobody, "/self-service/login/browser?aal=aal2", "no valid session"),
    ] {
        let answer = send(&app, request("GET", path, &[("cookie", cookie)])).await;
        assert_eq!(answer.header("x-why").as_deref(), Some(why), "{path}");
    }
}

/// A refusal passes through handlers as a value, and the layer still renders it.
#[tokio::test]
async fn a_denial_that_an_extractor_made_is_rendered_wherever_it_comes_out() {
    let bank = Bank::new();
    let handler = async |user: Result<tower_step_up::Aal2, AccessDenied>| -> Result<String, AccessDenied> {
        Ok(user?.subject().to_string())
    };
    let app = Router::new()
        .route("/", get(handler))
        .route("/two", get(handler).layer(RequireAal::new(Requirement::aal1())))
        .layer(bank.step_up.layer());
    let (kim, bob) = (bank.aal2("kim").await, bank.aal1("bob").await);
    for path in ["/", "/two"] {
        let ask = async |bearer: &str| send(&app, request("GET", path, &[("authorization", bearer)])).await;
        assert_eq!(ask(&kim.bearer()).await.body, "kim");
        let refused = ask(&bob.bearer()).await;
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").unwrap().contains("acr_values=\"aal2\""));
    }
}

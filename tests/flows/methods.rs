//! Requirements that name methods, from the refusal to the form that offers only those, and back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    http::StatusCode,
    routing::{any, get},
};
use serde_json::json;
use tower_step_up::{
    Aal, Method, Proven, RequireAal, RequireAal2, Required, Requirement, RouterExt, Subject,
    aal::{Proof, UpstreamAssurance},
    clock::Clock,
    error::ErrorKind,
};

use crate::{
    key::{Key, TOUCHED, bind},
    push::{PUSH, Push},
    site::{Answer, Client, KINDS, Kind, ORIGIN, Site},
    witness,
};

const KEY: Requirement = Requirement::aal2().phishing_resistant();

/// A key, as the signature of a handler.
struct WithKey;

impl Required for WithKey {
    const REQUIREMENT: Requirement = KEY;
}

/// An application whose administration takes a key, written in each of the three ways.
fn site() -> Site {
    with_routes(Site::with(|builder| builder.factor(Key).factor(Push)))
}

fn with_routes(site: Site) -> Site {
    let counted = || {
        let calls = Arc::clone(&site.calls);
        move || async move {
            calls.fetch_add(1, Ordering::SeqCst);
            witness::handler_runs();
            "open"
        }
    };
    let router = Router::new()
        .route("/layered", get(counted()).layer(RequireAal2.phishing_resistant()))
        .route_requiring("/admin", KEY, any(counted()))
        .route("/extracted", get(async |_: Proven<WithKey>| "open"))
        .route_requiring("/recent", KEY.max_age(Duration::from_secs(300)), get(counted()))
        .route_requiring("/pushed", Requirement::aal2().any_of([PUSH]), get(counted()))
        .route_requiring("/code-or-key", Requirement::aal2().any_of([Method::Totp, Method::WebAuthn]), get(counted()))
        .route("/nobody", get(counted()).layer(RequireAal::new(KEY.any_of([Method::Totp]))))
        .layer(site.step_up.layer());
    let router = router.merge(site.router.clone());
    Site { router, ..site }
}

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

/// Kim with an app, recovery codes and a key.
async fn kim(site: &Site, kind: Kind) -> Client {
    site.enrol("kim").await;
    let codes = ["JBSWY3DPEHPK3PXPJBSWY3DP", "JBSWY3DPEHPK3PXPJBSWY3DQ"];
    site.step_up.import_lookup_secrets(&Subject::new("kim").unwrap(), &codes).await.unwrap();
    bind(&site.step_up, "kim").await;
    client(site, kind, "kim").await
}

fn begin(kind: Kind, query: &str) -> String {
    format!("/self-service/login/{}{query}", if kind == Kind::Native { "api" } else { "browser" })
}

/// The flow after a submit: browsers read it anew.
async fn shown(client: &mut Client, id: &str, answer: Answer) -> Answer {
    if client.kind == Kind::Browser { client.read("login", id).await } else { answer }
}

/// Where an answer leads a browser, whatever the client.
fn page(answer: &Answer) -> String {
    match answer.status {
        StatusCode::SEE_OTHER => answer.location().to_owned(),
        _ => answer.json()["redirect_browser_to"]
            .as_str()
            .unwrap_or_else(|| panic!("leads nowhere: {answer:?}"))
            .to_owned(),
    }
}

/// Whatever was proven before.
async fn prove_code(site: &Site, client: &mut Client) {
    let flow = client.begin("login", "?aal=aal2&refresh=true").await;
    let answer = client.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
    assert!(answer.status == StatusCode::OK || answer.status == StatusCode::SEE_OTHER, "{answer:?}");
    client.keep_token_of(&answer);
}

fn query_of(url: &str) -> String {
    format!("?{}", url.split_once('?').unwrap().1)
}

#[tokio::test]
async fn only_the_named_methods_are_offered_and_taken() {
    for kind in KINDS {
        let site = site();
        let mut kim = kim(&site, kind).await;
        let flow = kim.begin("login", "?aal=aal2&methods=webauthn&return_to=/admin").await;
        let nodes = ["default: csrf_token", "webauthn: webauthn_login", "webauthn: method"];
        assert_eq!(flow.nodes(), nodes, "{kind:?}");
        assert_eq!((flow.messages(), &flow.view["refresh"]), (vec![1_010_003, 1_010_004], &json!(true)), "{kind:?}");
        assert_eq!(kim.read("login", flow.id()).await.nodes(), nodes);

        let other = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
        let other = shown(&mut kim, flow.id(), other).await;
        assert_eq!((other.messages(), other.nodes()), (vec![4_010_002], nodes.map(str::to_owned).to_vec()), "{kind:?}");
        // A form that does not name its method is told by its fields. This one is of no method that is offered.
        let unnamed = kim.submit(&flow, &[("totp_code", &site.code())]).await;
        assert_eq!(shown(&mut kim, flow.id(), unnamed).await.messages(), [4_010_002]);

        let passed = kim.submit(&flow, &TOUCHED).await;
        kim.keep_token_of(&passed);
        for path in ["/layered", "/admin", "/extracted", "/recent", "/code-or-key", "/payments"] {
            assert_eq!(kim.get(path).await.status, StatusCode::OK, "{kind:?} {path}");
        }
        // The level is there now. The flow is for a new proof all the same.
        let flow = kim.begin("login", "?aal=aal2&methods=totp,lookup_secret").await;
        let nodes = flow.nodes();
        assert!(nodes.contains(&"totp: totp_code".into()) && nodes.contains(&"lookup_secret: lookup_secret".into()));
        assert_eq!((flow.messages(), nodes.len()), (vec![1_010_003], 5), "{nodes:?}");
        // The key has burnt the codes of that minute.
        site.clock.advance(Duration::from_secs(60));
        let passed = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        assert!(
            passed.status == StatusCode::OK || passed.status == StatusCode::SEE_OTHER,
            "the code is not spent: {passed:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_leads_to_a_form_of_its_methods_and_back() {
    for (path, names, nodes) in [
        ("/admin", "passkey%2Cwebauthn", &["default: csrf_token", "webauthn: webauthn_login", "webauthn: method"][..]),
        ("/layered", "passkey%2Cwebauthn", &["default: csrf_token", "webauthn: webauthn_login", "webauthn: method"]),
        ("/extracted", "passkey%2Cwebauthn", &["default: csrf_token", "webauthn: webauthn_login", "webauthn: method"]),
    ] {
        let site = site();
        let mut kim = kim(&site, Kind::Browser).await;
        // The level is too low at first, and then high enough by another method.
        for refresh in ["", "&refresh=true"] {
            let refused = kim.get(path).await;
            let back = format!("return_to=https%3A%2F%2Fbank.example%2F{}", &path[1..]);
            let expected = format!("{ORIGIN}/self-service/login/browser?aal=aal2&methods={names}{refresh}&{back}");
            assert_eq!(refused.location(), expected);
            let flow = kim.begin("login", &query_of(&expected)).await;
            assert_eq!(flow.nodes(), nodes, "{path}");
            prove_code(&site, &mut kim).await;
        }
        let flow = kim.begin("login", &query_of(&page(&kim.clone().get(path).await))).await;
        assert_eq!(kim.submit(&flow, &TOUCHED).await.location(), format!("{ORIGIN}{path}"));
        assert_eq!(kim.get(path).await.text, "open");
        // A fresh code does not renew the key.
        site.clock.advance(Duration::from_secs(301));
        prove_code(&site, &mut kim).await;
        assert_eq!(kim.get("/admin").await.status, StatusCode::OK);
        let stale = kim.get("/recent").await;
        assert!(stale.location().contains("?aal=aal2&methods=passkey%2Cwebauthn&refresh=true&"), "{stale:?}");
    }
}

#[tokio::test]
async fn a_list_of_methods_that_says_nothing_is_refused() {
    let site = site();
    for kind in KINDS {
        for user in [true, false] {
            let mut client = if user { kim(&site, kind).await } else { site.stranger(kind) };
            for query in [
                "?methods=",
                "?methods",
                "?methods=,",
                "?methods=webauthn,",
                "?methods=magic",
                "?methods=custom%3Apush",
                "?methods=WEBAUTHN",
                "?methods=totp&methods=webauthn",
            ] {
                let query = query.replace('?', "?aal=aal2&");
                let answer = client.get(&begin(kind, &query)).await;
                if kind == Kind::Browser {
                    let id = answer.location().rsplit_once("id=").expect("an error page").1.to_owned();
                    let told = client.get(&format!("/self-service/errors?id={id}")).await.json();
                    assert_eq!(told["error"]["code"], 400, "{query}");
                } else {
                    assert_eq!((answer.status.as_u16(), answer.error_id().as_str()), (400, ""), "{query} {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_methods_stay_when_a_flow_expires() {
    for kind in KINDS {
        let site = site();
        let mut kim = kim(&site, kind).await;
        let query = "?aal=aal2&methods=webauthn&return_to=/admin";
        let flow = kim.begin("login", query).await;
        site.clock.advance(Duration::from_secs(3601));
        let gone = kim.read("login", flow.id()).await;
        assert_eq!(gone.status, StatusCode::GONE);
        let key = if kind == Kind::Native { "api" } else { "redirect_to" };
        let url = format!(
            "{ORIGIN}{}",
            begin(kind, "?aal=aal2&methods=webauthn&refresh=true&return_to=https%3A%2F%2Fbank.example%2Fadmin")
        );
        assert_eq!(gone.json()["error"]["details"][key], url, "{kind:?}");

        let late = kim.submit(&flow, &TOUCHED).await;
        let id = match kind {
            Kind::Browser => late.location().rsplit_once("flow=").unwrap().1.to_owned(),
            _ => late.json()["use_flow_id"].as_str().unwrap().to_owned(),
        };
        let new = kim.read("login", &id).await;
        assert_eq!(new.nodes(), flow.nodes(), "{kind:?}");
        assert_eq!(new.messages(), [1_010_003, 1_010_004, 4_010_001]);
    }
}

#[tokio::test]
async fn a_second_click_gets_its_answer_while_the_key_is_there() {
    for kind in KINDS {
        for removed in [false, true] {
            let site = site();
            let mut kim = kim(&site, kind).await;
            kim.step_up(&site.code()).await;
            let flow = kim.begin("login", "?aal=aal2&methods=webauthn&return_to=/admin").await;
            let mut again = kim.clone();
            let first = kim.submit(&flow, &TOUCHED).await;
            if removed {
                site.step_up.unbind(&Subject::new("kim").unwrap(), Method::WebAuthn).await.unwrap();
            }
            let second = again.submit(&flow, &TOUCHED).await;
            assert_eq!(witness::hands_out_a_session(&first.headers), kind != Kind::Native);
            if removed {
                // The code is still a second factor, so the level alone would say that all is well.
                assert!(!witness::hands_out_a_session(&second.headers), "{kind:?} {second:?}");
                assert!(!second.text.contains("session_token"), "{second:?}");
            } else {
                assert_eq!(
                    (second.status, &second.headers.get("location")),
                    (first.status, &first.headers.get("location"))
                );
            }
        }
    }
}

#[tokio::test]
async fn who_has_none_of_the_methods_is_led_to_enrolment_behind_what_they_have() {
    let settings = format!("{ORIGIN}/self-service/settings/browser?return_to=https%3A%2F%2Fbank.example%2Fadmin");
    let encoded: String = url::form_urlencoded::byte_serialize(settings.as_bytes()).collect();
    let behind = format!("{ORIGIN}/self-service/login/browser?aal=aal2&refresh=true&return_to={encoded}");
    let query = "?aal=aal2&methods=webauthn&return_to=/admin";
    for kind in [Kind::Browser, Kind::Spa] {
        let site = site();
        // Nobody can be asked for a second factor that they do not have.
        let mut bob = client(&site, kind, "bob").await;
        assert_eq!(page(&bob.get(&begin(kind, query)).await), settings);
        assert_eq!(page(&bob.get("/admin").await), settings);
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        assert_eq!(page(&kim.get("/admin").await), behind, "{kind:?}");
        assert_eq!(page(&kim.get(&begin(kind, query)).await), behind);
        // The way through it ends in the settings, which let her in.
        let flow = kim.begin("login", &query_of(&behind)).await;
        let passed = kim.submit(&flow, &[("method", "totp"), ("totp_code", &site.next_code())]).await;
        let next = match kind {
            Kind::Browser => passed.location().to_owned(),
            _ => passed.json()["continue_with"][0]["redirect_browser_to"].as_str().unwrap().to_owned(),
        };
        assert_eq!(next, settings);
        assert_eq!(page(&kim.get("/admin").await), settings, "her proof is recent");
        site.clock.advance(Duration::from_secs(3601));
        assert_eq!(page(&kim.get("/admin").await), behind, "and now it is not");
    }
    let site = site();
    site.enrol("kim").await;
    let mut kim = site.native("kim").await;
    let refused = kim.get("/admin").await.json();
    assert_eq!(
        refused["error"]["details"],
        json!({ "methods": ["passkey", "webauthn"], "redirect_browser_to": behind, "second_factor": "missing" })
    );
    let flow = kim.begin("login", query).await;
    assert_eq!((flow.nodes(), flow.messages()), (Vec::<String>::new(), vec![1_010_003, 1_010_004, 1_990_001]));
    assert_eq!(flow.view["ui"]["messages"][2]["context"]["settings_url"], settings);
    let answer = kim.submit(&flow, &TOUCHED).await;
    assert_eq!((answer.status.as_u16(), answer.messages()), (400, vec![4_000_013]), "not enrolled");
}

/// There is no way to enrol a factor that is not configured, so nobody is led there and back for ever.
#[tokio::test]
async fn where_no_such_factor_is_configured_the_form_says_that_nothing_can_be_used() {
    let site = with_routes(Site::new());
    site.enrol("kim").await;
    for kind in KINDS {
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("login", "?aal=aal2&methods=webauthn").await;
        let csrf = if kind == Kind::Native { vec![] } else { vec!["default: csrf_token".to_owned()] };
        assert_eq!((flow.nodes(), flow.messages()), (csrf, vec![1_010_003, 1_010_004, 1_990_002]), "{kind:?}");
    }
}

#[tokio::test]
async fn a_method_of_ones_own_is_asked_for_by_the_name_that_ory_knows() {
    let site = site();
    site.enrol("kim").await;
    site.step_up.bind(&Subject::new("kim").unwrap(), PUSH, b"device".to_vec()).await.unwrap();
    let mut kim = site.spa("kim").await;
    let refused = kim.get("/pushed").await.json();
    assert_eq!(refused["error"]["details"]["methods"], json!(["code"]));
    let url = refused["redirect_browser_to"].as_str().unwrap();
    assert!(url.contains("?aal=aal2&methods=code&"), "{url}");
    let flow = kim.begin("login", &query_of(url)).await;
    assert!(flow.nodes().iter().all(|node| !node.starts_with("totp")), "{:?}", flow.nodes());
    assert!(flow.nodes().contains(&"code: push_number".to_owned()));
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_prove_by_a_method() {
    let site = Site::with_password();
    for kind in KINDS {
        let flow = site.stranger(kind).begin("login", "?methods=totp").await;
        assert_eq!(
            (flow.nodes(), &flow.view["refresh"]),
            (
                ["default: csrf_token", "default: identifier", "password: password", "password: method"]
                    .map(str::to_owned)
                    .to_vec(),
                &json!(false)
            )
        );
        let answer = site.stranger(kind).get(&begin(kind, "?aal=aal2&methods=totp")).await;
        if kind != Kind::Browser {
            assert_eq!(answer.error_id(), "session_aal1_required");
        }
    }
}

#[tokio::test]
async fn a_first_factor_is_renewed_by_its_method_alone() {
    let site = Site::with_password();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("login", "?methods=password").await;
    let nodes = ["default: csrf_token", "default: identifier", "password: password", "password: method"];
    assert_eq!((flow.nodes(), flow.messages()), (nodes.map(str::to_owned).to_vec(), vec![1_010_003]));
    // A method that only the application's own login has, or another provider.
    for methods in ["oidc", "passkey,webauthn", "totp"] {
        let led = kim.get(&format!("/self-service/login/browser?methods={methods}&return_to=/pay")).await;
        let url = format!("{ORIGIN}/login?return_to=https%3A%2F%2Fbank.example%2Fpay");
        assert_eq!((led.status.as_u16(), led.json()["redirect_browser_to"].as_str()), (422, Some(url.as_str())));
    }
}

#[tokio::test]
async fn requirements_that_exclude_each_other_let_nobody_pass() {
    let site = site();
    for kind in KINDS {
        let mut kim = kim(&site, kind).await;
        let answer = kim.get("/nobody").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{kind:?}");
        let text =
            "Nobody can open this: what it requires excludes itself. Please tell those who run this application.";
        assert_eq!(
            answer.json(),
            json!({"error": {"code": 403, "status": "Forbidden",
                "message": "no method can meet the requirement", "reason": text}})
        );
        assert!(!answer.headers.contains_key("location") && !answer.headers.contains_key("www-authenticate"));
    }
    let answer = site.stranger(Kind::Spa).get("/nobody").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "strangers learn nothing of it");
}

#[test]
#[should_panic(expected = "no method can meet what \"/x\" requires: aal2, methods=none")]
fn a_route_is_not_annotated_with_what_nobody_can_meet() {
    let _: Router = Router::new().route_requiring("/x", KEY.any_of([Method::Totp]), get(async || ""));
}

#[tokio::test]
async fn an_upstream_login_with_a_key_opens_what_takes_one() {
    let site = site();
    let subject = Subject::new("kim").unwrap();
    let table = UpstreamAssurance::of("https://id.example")
        .acr("2fa", Aal::Aal2)
        .second_factor_acr("phr", Method::WebAuthn)
        .amr("otp", Method::Totp);
    let now = site.clock.now();
    for (acr, amr, opens) in
        [("phr", &[][..], [200, 200]), ("2fa", &["otp"], [200, 303]), ("1fa", &["otp"], [303, 303])]
    {
        let proofs = table.proofs([acr], amr.iter().copied(), Some(now));
        let signed_in = site.step_up.sign_in_with(subject.clone(), proofs).await.unwrap();
        let mut kim = site.stranger(Kind::Browser);
        kim.keep_cookie(signed_in.cookie().to_str().unwrap());
        for (path, status) in ["/payments", "/admin"].into_iter().zip(opens) {
            assert_eq!(kim.get(path).await.status.as_u16(), status, "{acr} {path}");
        }
        // What is bound and removed here has nothing to do with it.
        bind(&site.step_up, "kim").await;
        site.step_up.unbind(&subject, Method::WebAuthn).await.unwrap();
        assert_eq!(kim.get("/admin").await.status.as_u16(), opens[1], "{acr}");
        // Its age ends it: whoever vouched for both factors must do so again.
        if acr == "phr" {
            site.clock.advance(Duration::from_secs(301));
            let stale = kim.get("/recent").await;
            let back = "return_to=https%3A%2F%2Fbank.example%2Frecent";
            let url = format!("{ORIGIN}/self-service/login/browser?methods=passkey%2Cwebauthn&refresh=true&{back}");
            assert_eq!(stale.location(), url);
            assert_eq!(kim.get(&url).await.location(), format!("{ORIGIN}/login?{back}"));
            site.clock.advance(Duration::from_secs(23 * 3600));
        }
    }
    // A day after, the second factor has lapsed, and the first has not.
    let proofs = table.proofs(["phr"], [], Some(site.clock.now()));
    let signed_in = site.step_up.sign_in_with(subject.clone(), proofs).await.unwrap();
    let mut kim = site.stranger(Kind::Browser);
    kim.keep_cookie(signed_in.cookie().to_str().unwrap());
    assert_eq!(kim.get("/admin").await.status, StatusCode::OK);
    site.clock.advance(Duration::from_secs(86_399));
    assert_eq!((kim.get("/admin").await.status, kim.get("/account").await.status), (StatusCode::OK, StatusCode::OK));
    site.clock.advance(Duration::from_millis(999));
    let late = table.proofs(["phr"], [], Some(now));
    let signed_in = site.step_up.sign_in_with(subject, late).await.unwrap();
    assert_eq!(site.step_up.describe(signed_in.session()).await.unwrap()["authenticator_assurance_level"], "aal1");
}

/// Nobody can enrol a key here. Who came by a provider is sent there again, and the others are not sent in circles.
#[tokio::test]
async fn where_only_a_provider_has_keys_its_users_prove_theirs_there() {
    let site = with_routes(Site::new());
    let table = UpstreamAssurance::of("https://id.example").acr("2fa", Aal::Aal2);
    for acr in ["1fa", "2fa"] {
        let proofs = table.proofs([acr], [], Some(site.clock.now()));
        let signed_in = site.step_up.sign_in_with(Subject::new("kim").unwrap(), proofs).await.unwrap();
        let mut kim = site.stranger(Kind::Browser);
        kim.keep_cookie(signed_in.cookie().to_str().unwrap());
        let back = "return_to=https%3A%2F%2Fbank.example%2Fadmin";
        let begins = kim.get("/admin").await.location().to_owned();
        assert_eq!(
            begins,
            format!("{ORIGIN}/self-service/login/browser?methods=passkey%2Cwebauthn&refresh=true&{back}"),
            "{acr}"
        );
        assert_eq!(kim.get(&begins).await.location(), format!("{ORIGIN}/login?{back}"));
        let settings = site.browser("bob").await.get("/admin").await;
        assert_eq!(settings.location(), format!("{ORIGIN}/self-service/settings/browser?{back}"));
    }
}

/// What a proof of another provider is worth must be said by that provider.
#[tokio::test]
async fn nothing_is_vouched_for_by_nobody() {
    let site = site();
    let now = site.clock.now();
    let key = Proof::new(Method::WebAuthn, Aal::Aal2, now);
    let oidc = |level| Proof::new(Method::Oidc, level, now).with_provider("a");
    for proofs in [
        vec![oidc(Aal::Aal2), key.clone()],
        vec![oidc(Aal::Aal2), key.clone().with_provider("b")],
        vec![oidc(Aal::Aal1), key.clone().with_provider("a")],
        vec![key.clone().with_provider("a")],
        vec![Proof::new(Method::Oidc, Aal::Aal2, now), key.clone().with_provider("a")],
        vec![oidc(Aal::Aal2), oidc(Aal::Aal2)],
        vec![oidc(Aal::Aal2), Proof::new(Method::Oidc, Aal::Aal1, now)],
        vec![oidc(Aal::Aal2), key.clone().with_provider("a"), key.clone().with_provider("a")],
        vec![oidc(Aal::Aal2), Proof::new(Method::Password, Aal::Aal0, now).with_provider("a")],
    ] {
        let told = format!("{proofs:?}");
        let refused = site.step_up.sign_in_with(Subject::new("kim").unwrap(), proofs).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::Proof), "{told}");
    }
    let proofs = vec![oidc(Aal::Aal2), oidc(Aal::Aal1), key.with_provider("a")];
    assert!(site.step_up.sign_in_with(Subject::new("kim").unwrap(), proofs).await.is_ok());
}

//! A method of the application's own, from the builder to whoami: see `push.rs` for the factor.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use tower_step_up::{
    Aal, Method, Subject,
    aal::CredentialId,
    audit::{AuditEvent, AuditEventKind},
    error::ErrorKind,
    factor::{
        Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal,
        Verdict,
    },
    standing::CredentialSummary,
    store::Credential,
    wire::ui::{Group, InputKind, Node, Script, Text},
};

use crate::{
    push::{PAIRING_CODE, PUSH, Push},
    site::{Answer, Client, KINDS, Kind, OpenFlow, SECRET, Site},
    witness,
};

const METHODS: [&str; 11] = [
    "password",
    "oidc",
    "saml",
    "totp",
    "lookup_secret",
    "webauthn",
    "code",
    "passkey",
    "profile",
    "link_recovery",
    "code_recovery",
];
const GROUPS: [&str; 9] =
    ["default", "password", "oidc", "code", "totp", "lookup_secret", "webauthn", "passkey", "saml"];

/// Nothing in the body that an SDK of Ory's does not know.
fn assert_ory_knows(body: &Value) {
    assert!(!body.to_string().contains("custom:"), "{body}");
    if let Value::Object(members) = body {
        for (name, value) in members {
            match name.as_str() {
                "active" => assert!(value.is_boolean() || METHODS.contains(&value.as_str().unwrap()), "{body}"),
                "group" => assert!(GROUPS.contains(&value.as_str().unwrap()), "{body}"),
                "method" => assert!(value == "POST" || METHODS.contains(&value.as_str().unwrap()), "{body}"),
                _ => {}
            }
            assert_ory_knows(value);
        }
    } else if let Value::Array(items) = body {
        items.iter().for_each(assert_ory_knows);
    }
}

fn subject() -> Subject {
    Subject::new("kim").unwrap()
}

fn site() -> Site {
    Site::with(|builder| builder.factor(Push))
}

async fn client(site: &Site, kind: Kind) -> Client {
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

/// The flow after a submit: browsers read it anew.
async fn shown(client: &mut Client, kind: &str, id: &str, answer: Answer) -> Answer {
    let answer = if client.kind == Kind::Browser { client.read(kind, id).await } else { answer };
    assert_ory_knows(&answer.json());
    answer
}

/// Binds a device in two steps, and gives the id that the settings remove it by.
async fn pair(client: &mut Client, name: &str) -> String {
    let flow = client.begin("settings", "").await;
    let begun = client.submit(&flow, &[("method", "code"), ("push_name", name)]).await;
    let begun = shown(client, "settings", flow.id(), begun).await;
    assert_eq!((begun.messages(), &begun.json()["active"]), (vec![1_010_025], &json!("code")));
    assert_eq!(begun.node("push_code")["group"], "code");
    let known = devices(&begun);
    let answer = client.submit(&flow, &[("method", "code"), ("push_code", PAIRING_CODE)]).await;
    if client.kind == Kind::Native {
        client.keep_token(&answer);
    }
    let saved = shown(client, "settings", flow.id(), answer).await;
    assert_eq!(saved.messages(), [1_050_001], "{saved:?}");
    devices(&saved).into_iter().find(|id| !known.contains(id)).expect("a new device")
}

/// The devices of a settings flow, in the order of its buttons.
fn devices(flow: &Answer) -> Vec<String> {
    let flow = flow.json();
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let own = nodes.iter().filter(|node| node["attributes"]["name"] == "push_remove");
    own.map(|node| node["attributes"]["value"].as_str().unwrap().to_owned()).collect()
}

/// Confirms the number that the flow shows, on this device.
async fn confirm(client: &mut Client, flow: &OpenFlow, device: &str, number: u64) -> Answer {
    let approval = json!({ "device": device, "number": number });
    if client.kind == Kind::Browser {
        return client.submit(flow, &[("approval", &approval.to_string())]).await;
    }
    let body = json!({ "approval": approval, "csrf_token": flow.csrf() });
    let request = client.request(axum::http::Method::POST, &flow.action());
    let request = request.header(header::CONTENT_TYPE, "application/json");
    client.send(request.body(body.to_string().into()).unwrap()).await
}

fn methods(session: &Value) -> Vec<String> {
    let methods = session["authentication_methods"].as_array().unwrap();
    methods.iter().map(|entry| entry["method"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_method_of_ones_own_lifts_the_session_under_a_name_that_ory_knows() {
    for kind in KINDS {
        let site = site();
        let mut kim = client(&site, kind).await;
        let device = pair(&mut kim, "blue phone").await;
        // Whoever has just bound the first second factor has proven it.
        assert_eq!(kim.get("/payments").await.text, "payments", "{kind:?}");

        let mut kim = client(&site, kind).await;
        assert_eq!(kim.whoami().await.error_id(), "session_aal2_required");
        let flow = kim.begin("login", "?aal=aal2&return_to=/payments").await;
        assert_ory_knows(&flow.view);
        let mut nodes = vec!["default: csrf_token", "code: push_number", "code: push_app"];
        if kind != Kind::Native {
            nodes.extend(["code: push_script", "code: push_progress", "code: push_trigger"]);
        }
        nodes.push("code: method");
        assert_eq!(flow.nodes(), nodes, "{kind:?}");

        // A wrong answer spends the number.
        let wrong = confirm(&mut kim, &flow, &device, 7).await;
        let wrong = shown(&mut kim, "login", flow.id(), wrong).await;
        assert_eq!((wrong.messages(), &wrong.json()["active"]), (vec![4_010_008], &json!("code")));
        assert_eq!(wrong.node("push_number")["attributes"]["text"]["context"]["number"], 42);
        let spent = confirm(&mut kim, &flow, &device, 41).await;
        assert_eq!(shown(&mut kim, "login", flow.id(), spent).await.messages(), [4_010_008]);

        let answer = confirm(&mut kim, &flow, &device, 43).await;
        if kind != Kind::Browser {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            assert_ory_knows(&answer.json());
        }
        kim.keep_token(&answer);
        let session = kim.whoami().await.json();
        assert_ory_knows(&session);
        assert_eq!(session["authenticator_assurance_level"], "aal2", "{kind:?}");
        let proven = &session["authentication_methods"][1];
        assert_eq!((&proven["method"], &proven["custom_method"]), (&json!("code"), &json!("push")));
        assert!(session["authentication_methods"][0].get("custom_method").is_none());
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn forms_name_the_shown_method_and_no_invented_one() {
    let site = site();
    let mut kim = client(&site, Kind::Spa).await;
    pair(&mut kim, "blue phone").await;
    for name in ["custom:push", "push", "custom"] {
        for (kind, query, id) in [("login", "?aal=aal2&refresh=true", 4_010_002), ("settings", "", 4_010_004)] {
            let flow = kim.begin(kind, query).await;
            let answer = kim.submit(&flow, &[("method", name), ("push_name", "x"), ("approval", "{}")]).await;
            assert_eq!(answer.messages(), [id], "{kind} {name}: {answer:?}");
        }
    }
    // The honest twin: there it is, if only without what it needs.
    let login = kim.begin("login", "?aal=aal2&refresh=true").await;
    assert_eq!(kim.submit(&login, &[("method", "code")]).await.node_messages("push_trigger"), [4_000_002]);
    let settings = kim.begin("settings", "").await;
    assert_eq!(kim.submit(&settings, &[("method", "code")]).await.node_messages("push_name"), [4_000_002]);
}

#[tokio::test]
async fn devices_come_and_go_one_by_one() {
    for kind in KINDS {
        let site = site();
        let mut kim = client(&site, kind).await;
        let blue = pair(&mut kim, "blue phone").await;
        let codes = kim.begin("settings", "").await;
        kim.submit(&codes, &[("lookup_secret_regenerate", "true")]).await;
        let confirmed = kim.submit(&codes, &[("lookup_secret_confirm", "true")]).await;
        kim.keep_token(&confirmed);
        let before = kim.whoami().await.json();

        site.clock.advance(Duration::from_secs(60));
        let red = pair(&mut kim, "red phone").await;
        assert_ne!(red, blue);
        let after = kim.whoami().await.json();
        assert_eq!(after["authentication_methods"], before["authentication_methods"], "a second device proves nothing");
        assert_eq!(after["aal2_authenticated_at"], before["aal2_authenticated_at"]);
        assert_eq!(after["expires_at"], before["expires_at"], "and prolongs nothing");
        assert_ne!(after["id"], before["id"], "but the session goes on under a new id");

        // Each has its name and date, for SDKs in the context of the label.
        let flow = kim.begin("settings", "").await;
        let open = kim.read("settings", flow.id()).await;
        let label = open.node("push_remove")["meta"]["label"].clone();
        assert_eq!((&label["id"], &label["context"]["display_name"]), (&json!(1_050_018), &json!("blue phone")));
        assert!(label["context"]["added_at"].as_str().unwrap().ends_with('Z'));
        let renamed = kim.submit(&flow, &[("push_rename", &red), ("push_name", "old phone")]).await;
        kim.keep_token(&renamed);
        let renamed = shown(&mut kim, "settings", flow.id(), renamed).await;
        assert_eq!((renamed.messages(), devices(&renamed)), (vec![1_050_001], vec![blue.clone(), red.clone()]));
        assert!(renamed.text.contains("Remove old phone") && !renamed.text.contains("red phone"));

        // One of two takes nothing else along, the last one does.
        let removed = kim.submit(&flow, &[("push_remove", &red)]).await;
        kim.keep_token(&removed);
        let removed = shown(&mut kim, "settings", flow.id(), removed).await;
        assert_eq!((removed.messages(), devices(&removed)), (vec![1_050_001], vec![blue.clone()]), "{removed:?}");
        assert!(removed.nodes().contains(&"lookup_secret: lookup_secret_disable".to_owned()));
        assert_eq!(kim.whoami().await.json()["authenticator_assurance_level"], "aal2", "it was proven by the other");
        let again = kim.submit(&flow, &[("push_remove", &red)]).await;
        assert_eq!(shown(&mut kim, "settings", flow.id(), again).await.messages(), [4_000_001]);
        let last = kim.submit(&flow, &[("push_remove", &blue)]).await;
        kim.keep_token(&last);
        let last = shown(&mut kim, "settings", flow.id(), last).await;
        assert!(devices(&last).is_empty());
        assert!(!last.nodes().contains(&"lookup_secret: lookup_secret_disable".to_owned()), "{last:?}");
        let session = kim.whoami().await.json();
        assert_eq!(
            (&session["authenticator_assurance_level"], methods(&session)),
            (&json!("aal1"), vec!["password".to_owned()])
        );
    }
}

/// The device that the session was lifted by is gone: so is what it proved, whatever other devices there are.
#[tokio::test]
async fn a_proof_ends_with_its_device() {
    let site = site();
    let mut kim = client(&site, Kind::Spa).await;
    let blue = pair(&mut kim, "blue phone").await;
    let red = pair(&mut kim, "red phone").await;
    let mut other = client(&site, Kind::Spa).await;
    let flow = other.begin("login", "?aal=aal2").await;
    assert_eq!(confirm(&mut other, &flow, &red, 41).await.status, StatusCode::OK);
    assert_eq!(other.get("/payments").await.status, StatusCode::OK);

    let settings = other.begin("settings", "").await;
    assert_eq!(other.submit(&settings, &[("push_remove", &blue)]).await.status, StatusCode::OK);
    assert_eq!(other.get("/payments").await.status, StatusCode::OK);
    assert_eq!(kim.whoami().await.error_id(), "session_aal2_required");
    // The application takes the other away.
    let id = id_of(&red);
    site.step_up.unbind_one(&subject(), id).await.unwrap();
    assert_ne!(other.get("/payments").await.status, StatusCode::OK);
    assert_eq!(site.step_up.unbind_one(&subject(), id).await.unwrap_err().kind(), ErrorKind::Credential);
}

fn id_of(device: &str) -> CredentialId {
    CredentialId::from(device.parse::<uuid::Uuid>().unwrap())
}

#[tokio::test]
async fn the_audit_says_which_device() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let heard = Arc::clone(&heard);
        move |event: &AuditEvent| {
            witness::hear(event);
            heard.lock().unwrap().push(event.kind.clone());
        }
    };
    let site = Site::with(|builder| builder.factor(Push).audit(sink));
    let mut kim = client(&site, Kind::Spa).await;
    let device = pair(&mut kim, "blue phone").await;
    let flow = kim.begin("settings", "").await;
    kim.submit(&flow, &[("push_rename", &device), ("push_name", "red phone")]).await;
    kim.submit(&flow, &[("push_remove", &device)]).await;
    let another =
        site.step_up.bind_another(&subject(), PUSH, Vec::new(), Some("third".parse().unwrap())).await.unwrap();
    site.step_up.unbind_one(&subject(), another).await.unwrap();
    let credential = id_of(&device);
    let expected = [
        AuditEventKind::Enrolled { method: PUSH, credential },
        AuditEventKind::Renamed { method: PUSH, credential },
        AuditEventKind::Removed { method: PUSH, credential },
        AuditEventKind::Enrolled { method: PUSH, credential: another },
        AuditEventKind::Removed { method: PUSH, credential: another },
    ];
    let heard = heard.lock().unwrap();
    let is_change = |kind: &&AuditEventKind| {
        use AuditEventKind::{Enrolled, Removed, Renamed};
        matches!(kind, Enrolled { .. } | Renamed { .. } | Removed { .. })
    };
    let changes: Vec<_> = heard.iter().filter(is_change).collect();
    assert_eq!(changes, expected.iter().collect::<Vec<_>>());
}

/// A factor that believes the form.
struct Naive;

impl Factor for Naive {
    fn method(&self) -> Method {
        Method::custom("naive").unwrap()
    }

    fn shown_as(&self) -> Method {
        Method::Passkey
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        Vec::new()
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn answer<'a>(&'a self, _: FactorContext<'a>, _: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async { Ok(Verdict::Wrong) })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_000_001, "No.")
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }
}

impl Enrolment for Naive {
    fn nodes(&self, _: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        Ok(vec![Node::input(Group::Passkey, "naive_remove", InputKind::Text)])
    }

    fn claims(&self, form: &Form) -> bool {
        form.get("naive_remove").is_some()
    }

    fn check_fields(&self, _: FactorContext<'_>, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        let named = form.get("naive_remove").unwrap_or_default();
        Box::pin(async move {
            Ok(match named {
                "forever" => std::future::pending().await,
                // A credential that would count for another factor's.
                "foreign" => {
                    let summary =
                        CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
                    EnrolmentOutcome::Added(Credential::new(summary, context.now))
                }
                id if form.flag("rename") => EnrolmentOutcome::Renamed { credential: id_of(id), name: None },
                id => EnrolmentOutcome::RemovedOne(id_of(id)),
            })
        })
    }
}

#[tokio::test]
async fn no_factor_reaches_the_credentials_of_another() {
    let site = Site::with(|builder| builder.factor(Naive));
    let totp = site.step_up.import_totp(&subject(), SECRET).await.unwrap().to_string();
    let own = site.step_up.bind(&subject(), Naive.method(), Vec::new()).await.unwrap().to_string();
    let mut kim = client(&site, Kind::Spa).await;
    kim.step_up(&site.code()).await;
    let flow = kim.begin("settings", "").await;
    for fields in [vec![("naive_remove", totp.as_str())], vec![("naive_remove", &totp), ("rename", "true")]] {
        let answer = kim.submit(&flow, &fields).await;
        assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_000_001]), "{fields:?}");
    }
    let added = kim.submit(&flow, &[("naive_remove", "foreign")]).await;
    assert_eq!(added.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kim.get("/payments").await.status, StatusCode::OK, "the honest session is as it was");
    let removed = kim.submit(&flow, &[("naive_remove", &own)]).await;
    assert_eq!(removed.messages(), [1_050_001], "the honest twin");
}

#[tokio::test(start_paused = true)]
async fn an_enrolment_that_does_not_answer_is_not_waited_for() {
    let site = Site::with(|builder| builder.factor(Naive));
    let mut kim = client(&site, Kind::Spa).await;
    let flow = kim.begin("settings", "").await;
    let answer = kim.submit(&flow, &[("naive_remove", "forever")]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
}

/// Neither by beginning anew nor by forms that make no sense in between.
#[tokio::test]
async fn a_step_that_sends_is_counted_until_something_is_saved() {
    for nonsense in [false, true] {
        let site = site();
        let mut kim = client(&site, Kind::Spa).await;
        let mut sent = 0;
        for _ in 0..10 {
            let flow = kim.begin("settings", "").await;
            let answer = kim.submit(&flow, &[("method", "code"), ("push_name", "phone")]).await;
            sent += usize::from(answer.status == StatusCode::OK);
            if nonsense {
                kim.submit(&flow, &[("push_remove", "x")]).await;
            }
        }
        assert_eq!(sent, if nonsense { 3 } else { 5 });
        let flow = kim.begin("settings", "").await;
        let answer = kim.submit(&flow, &[("method", "code"), ("push_name", "phone")]).await;
        assert!(answer.is_locked());

        // The honest twin waits, and what is saved starts the count anew.
        site.clock.advance(Duration::from_secs(30));
        kim.submit(&flow, &[("method", "code"), ("push_name", "phone")]).await;
        site.clock.advance(Duration::from_secs(60));
        let answer = kim.submit(&flow, &[("method", "code"), ("push_code", PAIRING_CODE)]).await;
        assert_eq!(answer.messages(), [1_050_001], "{answer:?}");
        pair(&mut kim, "red phone").await;
    }
}

/// A factor whose credentials the application keeps.
struct Letters;

impl Factor for Letters {
    fn method(&self) -> Method {
        Method::custom("letter").unwrap()
    }

    fn shown_as(&self) -> Method {
        Method::WebAuthn
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![Node::button(Group::WebAuthn, "method", "webauthn", Text::info(1_010_008, "It is here"))]
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn answer<'a>(&'a self, _: FactorContext<'a>, _: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async { Ok(Verdict::ProvenElsewhere) })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_000_001, "No.")
    }

    fn settings_nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let shown = context.credentials.iter().flat_map(|credential| {
            let address = String::from_utf8_lossy(&credential.data).into_owned();
            let text =
                Node::text(Group::WebAuthn, "letter", Text::info(1_050_018, address), Text::info(1, "Letters to"));
            let change = Text::info(1_050_018, "Change <address>");
            [
                text,
                Node::anchor(Group::WebAuthn, "change", "https://bank.example/address", change.clone()),
                Node::anchor(Group::WebAuthn, "evil", "javascript:alert(1)", change),
                Node::script(Group::WebAuthn, Script::new("letter_script", "/letter.js", "")),
            ]
        });
        Ok(shown.collect())
    }
}

#[tokio::test]
async fn what_the_application_binds_is_shown_in_the_settings() {
    let site = Site::with(|builder| builder.factor(Letters));
    let mut kim = client(&site, Kind::Browser).await;
    let flow = kim.begin("settings", "").await;
    assert!(flow.nodes().iter().all(|node| !node.starts_with("webauthn")), "nothing is bound");
    site.step_up.bind(&subject(), Letters.method(), b"<b>Main Street 1</b>".to_vec()).await.unwrap();
    let login = kim.begin("login", "?aal=aal2").await;
    let page = kim.get(&format!("/self-service/ui/login?flow={}", login.id())).await;
    assert!(page.text.contains("It is here"), "{}", page.text);
    kim.submit(&login, &[("method", "webauthn")]).await;
    let flow = kim.begin("settings", "").await;
    let own: Vec<_> = flow.nodes().into_iter().filter(|node| node.starts_with("webauthn")).collect();
    assert_eq!(own, ["letter", "change", "evil", "letter_script"].map(|name| format!("webauthn: {name}")));
    let page = kim.get(&format!("/self-service/ui/settings?flow={}", flow.id())).await.text;
    assert!(page.contains("https://bank.example/address") && page.contains("Main Street 1"), "{page}");
    for hostile in ["<b>", "<address>", "javascript:", "<script", "letter.js"] {
        assert!(!page.contains(hostile), "{hostile}: {page}");
    }
    let answer = kim.submit(&flow, &[("method", "webauthn")]).await;
    assert_eq!(kim.read("settings", flow.id()).await.messages(), [4_010_004], "nothing is changed there: {answer:?}");
}

#[tokio::test]
async fn the_same_method_is_not_both_factors() {
    let site = site();
    assert_eq!(site.step_up.sign_in(subject(), PUSH).await.unwrap_err().kind(), ErrorKind::Method);
    // The honest twin: the application has a first factor of its own.
    let magic_link = Method::custom("magic_link").unwrap();
    let signed_in = site.step_up.sign_in(subject(), magic_link).await.unwrap();
    let reauthenticated = site.step_up.reauthenticate(signed_in.session(), PUSH).await;
    assert_eq!(reauthenticated.unwrap_err().kind(), ErrorKind::Method);
    let mut kim = site.stranger(Kind::Native);
    kim.token = Some(signed_in.token().as_str().to_owned());
    let session = kim.whoami().await.json();
    assert_ory_knows(&session);
    assert_eq!(session["authenticator_assurance_level"], "aal1");
    let proven = &session["authentication_methods"][0];
    // It has no factor that says how it is shown.
    assert_eq!((&proven["method"], &proven["custom_method"]), (&json!("code"), &json!("magic_link")));
}

/// The pages show the name that a user gave to a device as text.
#[tokio::test]
async fn pages_show_what_needs_no_script() {
    let site = site();
    let mut kim = client(&site, Kind::Browser).await;
    let device = pair(&mut kim, "\"><script>alert(1)</script>").await;
    let settings = kim.begin("settings", "").await;
    let page = kim.get(&format!("/self-service/ui/settings?flow={}", settings.id())).await.text;
    assert!(page.contains(&device) && page.contains("maxlength=\"40\""), "{page}");
    assert!(!page.contains("<script"), "{page}");
    let mut kim = client(&site, Kind::Browser).await;
    let login = kim.begin("login", "?aal=aal2").await;
    let page = kim.get(&format!("/self-service/ui/login?flow={}", login.id())).await.text;
    assert!(page.contains("bank://confirm") && page.contains("<code>41</code>"), "{page}");
    for left_out in ["<script", "push_progress", "push_trigger", "onclick"] {
        assert!(!page.contains(left_out), "{left_out}: {page}");
    }
}

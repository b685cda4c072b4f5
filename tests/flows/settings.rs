//! Settings flows: section 8, and what differs on purpose (section 9).

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tower_step_up::{RequiredAal, Subject, store::SubjectStore};

use crate::{
    site::{Answer, Client, KINDS, Kind, ORIGIN, OpenFlow, Site, code_of},
    store::TestStore,
};

async fn client(site: &Site, kind: Kind, name: &str) -> Client {
    match kind {
        Kind::Browser => site.browser(name).await,
        Kind::Spa => site.spa(name).await,
        Kind::Native => site.native(name).await,
    }
}

fn secret_of(flow: &Value) -> String {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["attributes"]["id"] == "totp_secret_key").expect("a secret");
    node["attributes"]["text"]["context"]["secret"].as_str().unwrap().to_owned()
}

fn codes_of(flow: &Value) -> Vec<String> {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["attributes"]["id"] == "lookup_secret_codes").expect("codes");
    let secrets = node["attributes"]["text"]["context"]["secrets"].as_array().unwrap();
    secrets.iter().map(|text| text["context"]["secret"].as_str().unwrap().to_owned()).collect()
}

/// The flow as it is after a submit, whoever sent it.
async fn after(client: &mut Client, flow: &OpenFlow, answer: &Answer) -> Answer {
    if client.kind == Kind::Browser || answer.status == StatusCode::OK {
        client.keep_token_if_any(answer);
    }
    client.read("settings", flow.id()).await
}

impl Client {
    fn keep_token_if_any(&mut self, answer: &Answer) {
        if self.kind == Kind::Native && answer.json()["continue_with"].is_array() {
            self.keep_token(answer);
        }
    }

    /// Enrols TOTP and gives its secret.
    async fn enrol_totp(&mut self, site: &Site) -> (String, Answer) {
        let flow = self.begin("settings", "").await;
        let secret = secret_of(&flow.view);
        let code = code_of(&secret, site.seconds());
        let answer = self.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        self.keep_token_if_any(&answer);
        (secret, answer)
    }

    /// Makes look-up codes and confirms them.
    pub async fn enrol_lookup(&mut self) -> Vec<String> {
        let flow = self.begin("settings", "").await;
        let answer = self.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret_regenerate", "true")]).await;
        let shown = after(self, &flow, &answer).await.json();
        let codes = codes_of(&shown);
        let answer = self.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret_confirm", "true")]).await;
        self.keep_token_if_any(&answer);
        codes
    }
}

#[tokio::test]
async fn enrolling_totp_lifts_the_session_at_once() {
    for kind in KINDS {
        let site = Site::new();
        let mut kim = client(&site, kind, "kim").await;
        let before = kim.whoami().await.json();
        let flow = kim.begin("settings", "?return_to=/payments").await;
        assert_eq!(
            flow.nodes(),
            [
                "default: csrf_token",
                "lookup_secret: lookup_secret_regenerate",
                "totp: totp_qr",
                "totp: totp_secret_key",
                "totp: totp_code",
                "totp: method",
            ]
        );
        let wrong = kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
        let shown = if kind == Kind::Browser { kim.read("settings", flow.id()).await } else { wrong };
        assert_eq!((shown.messages(), shown.node_messages("totp_code")), (vec![], vec![4_000_008]), "{kind:?}");
        let missing = kim.submit(&flow, &[("method", "totp")]).await;
        let shown = if kind == Kind::Browser { kim.read("settings", flow.id()).await } else { missing };
        assert_eq!(shown.node_messages("totp_code"), [4_000_002]);
        let secret = secret_of(&shown.json());
        assert_eq!(secret, secret_of(&flow.view), "the secret stays until it is confirmed");

        site.clock.advance(Duration::from_secs(5));
        let code = code_of(&secret, site.seconds());
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        match kind {
            Kind::Browser => assert_eq!(answer.location(), format!("{ORIGIN}/payments")),
            Kind::Spa => {
                assert_eq!((answer.json()["state"].as_str(), answer.messages()), (Some("success"), vec![1_050_001]));
                assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], format!("{ORIGIN}/payments"));
                assert_eq!(
                    answer.nodes(),
                    ["default: csrf_token", "lookup_secret: lookup_secret_regenerate", "totp: totp_unlink"]
                );
            }
            Kind::Native => {
                assert_eq!(answer.json()["continue_with"][0]["action"], "set_ory_session_token");
                assert_eq!(answer.headers.get("set-cookie"), None);
            }
        }
        kim.keep_token_if_any(&answer);
        let now = kim.whoami().await.json();
        assert_eq!(now["authenticator_assurance_level"], "aal2", "{kind:?}");
        assert_ne!((&now["id"], &now["authenticated_at"]), (&before["id"], &before["authenticated_at"]));
        assert_eq!(kim.get("/payments").await.status, StatusCode::OK);

        // The code that confirmed the secret is burnt.
        let mut other = client(&site, kind, "kim").await;
        other.kind = if kind == Kind::Browser { Kind::Spa } else { kind };
        assert_eq!(other.step_up(&code).await.messages(), [4_000_008]);
        site.clock.advance(Duration::from_secs(30));
        assert_eq!(other.step_up(&code_of(&secret, site.seconds())).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_enrolled_secret_is_never_shown_again_and_a_stale_form_changes_nothing() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let stale = kim.begin("settings", "").await;
    let old_secret = secret_of(&stale.view);
    let (secret, _) = kim.enrol_totp(&site).await;
    let flow = kim.begin("settings", "").await;
    assert!(!flow.view.to_string().contains(&secret));
    site.clock.advance(Duration::from_secs(30));
    let code = code_of(&old_secret, site.seconds());
    let answer = kim.submit(&stale, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_000_001]));
    assert_eq!(answer.nodes().last().unwrap(), "totp: totp_unlink", "the nodes are renewed");
    let mut other = site.spa("kim").await;
    assert_eq!(other.step_up(&code).await.messages(), [4_000_008]);
    assert_eq!(other.step_up(&code_of(&secret, site.seconds())).await.status, StatusCode::OK);
}

#[tokio::test]
async fn removing_the_factor_lowers_every_session_at_once() {
    for kind in KINDS {
        let site = Site::new();
        site.enrol("kim").await;
        let mut one = client(&site, kind, "kim").await;
        let mut two = site.spa("kim").await;
        one.step_up(&site.code()).await;
        two.step_up(&site.next_code()).await;
        assert_eq!(two.get("/payments").await.status, StatusCode::OK);
        let flow = one.begin("settings", "").await;
        let old = one.clone();
        let answer = one.submit(&flow, &[("totp_unlink", "true")]).await;
        one.keep_token_if_any(&answer);
        for client in [&mut one, &mut two] {
            let whoami = client.whoami().await.json();
            assert_eq!(whoami["authenticator_assurance_level"], "aal1", "{kind:?}");
            assert_eq!(whoami["authentication_methods"].as_array().unwrap().len(), 1);
        }
        assert_eq!(two.get("/payments").await.json()["error"]["details"]["second_factor"], "missing");
        let mut old = Client { kind: if kind == Kind::Browser { Kind::Spa } else { kind }, ..old };
        assert_eq!(old.get("/account").await.status, StatusCode::UNAUTHORIZED, "rotated");
    }
}

#[tokio::test]
async fn lookup_codes_are_made_confirmed_used_and_replaced() {
    for kind in KINDS {
        let site = Site::new();
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        kim.step_up(&site.code()).await;

        let flow = kim.begin("settings", "").await;
        let answer = kim.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret_confirm", "true")]).await;
        let shown = if kind == Kind::Browser { kim.read("settings", flow.id()).await } else { answer };
        assert_eq!(shown.messages(), [4_000_001], "nothing to confirm");
        let answer = kim.submit(&flow, &[("lookup_secret_reveal", "true")]).await;
        let shown = if kind == Kind::Browser { kim.read("settings", flow.id()).await } else { answer };
        assert_eq!(shown.messages(), [4_000_001], "nothing to reveal");

        let answer = kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
        if kind != Kind::Browser {
            assert_eq!((answer.status, answer.json()["state"].as_str()), (StatusCode::OK, Some("show_form")));
        }
        let unconfirmed = codes_of(&after(&mut kim, &flow, &answer).await.json());
        let mut other = site.spa("kim").await;
        let login = other.begin("login", "?aal=aal2").await;
        let answer = other.submit(&login, &[("method", "lookup_secret"), ("lookup_secret", &unconfirmed[0])]).await;
        assert_eq!(answer.messages(), [4_000_014], "nothing is saved before it is confirmed");

        let codes = kim.enrol_lookup().await;
        assert_eq!(codes.len(), 12);
        let login = other.begin("login", "?aal=aal2").await;
        assert!(login.nodes().contains(&"lookup_secret: lookup_secret".to_owned()));
        let use_code = |code: String| [("method", "lookup_secret".to_owned()), ("lookup_secret", code)];
        for (code, ids) in [("nonsense".to_owned(), vec![4_000_016]), (unconfirmed[0].clone(), vec![4_000_016])] {
            let fields = use_code(code);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(other.submit(&login, &fields).await.messages(), ids);
        }
        let typed = codes[0].to_lowercase().replace('-', " ");
        let answer = other.submit(&login, &[("method", "lookup_secret"), ("lookup_secret", &typed)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{kind:?}");
        let methods = other.whoami().await.json()["authentication_methods"].clone();
        assert_eq!((&methods[1]["method"], &methods[1]["aal"]), (&"lookup_secret".into(), &"aal2".into()));

        let mut third = site.spa("kim").await;
        let login = third.begin("login", "?aal=aal2").await;
        let answer = third.submit(&login, &[("method", "lookup_secret"), ("lookup_secret", &codes[0])]).await;
        assert_eq!(answer.messages(), [4_000_012], "used already");

        let replaced = kim.enrol_lookup().await;
        let login = third.begin("login", "?aal=aal2").await;
        let answer = third.submit(&login, &[("method", "lookup_secret"), ("lookup_secret", &codes[1])]).await;
        assert_eq!(answer.messages(), [4_000_016], "the old set is dead");
        let answer = third.submit(&login, &[("method", "lookup_secret"), ("lookup_secret", &replaced[1])]).await;
        assert_eq!(answer.status, StatusCode::OK);

        let flow = kim.begin("settings", "").await;
        let answer = kim.submit(&flow, &[("lookup_secret_disable", "true")]).await;
        kim.keep_token_if_any(&answer);
        let mut fourth = site.spa("kim").await;
        assert_eq!(
            fourth.begin("login", "?aal=aal2").await.nodes(),
            ["default: csrf_token", "totp: totp_code", "totp: method"]
        );
    }
}

#[tokio::test]
async fn a_used_up_set_stays_a_factor_and_says_so() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let codes = kim.enrol_lookup().await;
    for code in &codes {
        let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
        let answer = kim.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", code)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    let mut other = site.spa("kim").await;
    assert_eq!(other.whoami().await.error_id(), "session_aal2_required");
    let flow = other.begin("login", "?aal=aal2").await;
    assert_eq!((flow.nodes(), flow.messages()), (vec!["default: csrf_token".to_owned()], vec![1_010_004, 1_990_002]));
    let page = site.browser("kim").await.get("/self-service/login/browser?aal=aal2").await;
    assert!(page.location().contains("/self-service/ui/login?flow="), "enrolment is not offered");
}

#[tokio::test]
async fn leftover_codes_die_with_the_last_factor_they_stand_in_for() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    kim.enrol_lookup().await;
    let flow = kim.begin("settings", "").await;
    kim.submit(&flow, &[("totp_unlink", "true")]).await;
    assert_eq!(kim.whoami().await.json()["authenticator_assurance_level"], "aal1");
    assert_eq!(site.spa("kim").await.whoami().await.status, StatusCode::OK, "nothing is asked for that nobody has");
}

#[tokio::test]
async fn a_recovery_code_burns_the_open_totp_window() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let codes = kim.enrol_lookup().await;
    let open = site.next_code();
    let mut thief = site.spa("kim").await;
    let mut owner = site.spa("kim").await;
    let flow = owner.begin("login", "?aal=aal2").await;
    owner.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", &codes[0])]).await;
    assert_eq!(thief.step_up(&open).await.messages(), [4_000_008]);
}

#[tokio::test]
async fn strict_settings_ask_for_the_second_factor_first() {
    let site = Site::new();
    site.enrol("kim").await;
    let second = |return_to: &str| format!("{ORIGIN}/self-service/login/browser?aal=aal2{return_to}");
    let mut browser = site.browser("kim").await;
    assert_eq!(browser.get("/self-service/settings/browser").await.location(), second(""));
    let own = "https%3A%2F%2Fbank.example%2Fself-service%2Fsettings%2Fbrowser%3Freturn_to%3D%2Fpay";
    assert_eq!(
        browser.get("/self-service/settings/browser?return_to=/pay").await.location(),
        second(&format!("&return_to={own}"))
    );
    let mut native = site.native("kim").await;
    let answer = native.get("/self-service/settings/api").await;
    assert_eq!(
        (answer.error_id().as_str(), answer.json()["redirect_browser_to"].as_str()),
        ("session_aal2_required", Some(second("").as_str()))
    );

    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let flow = kim.begin("settings", "").await;
    let mut aal1 = site.spa("kim").await;
    aal1.cookies.extend(kim.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
    assert_eq!(aal1.read("settings", flow.id()).await.error_id(), "security_identity_mismatch", "another session");
}

#[tokio::test]
async fn lax_mode_leaves_no_hole() {
    for kind in KINDS {
        let site = Site::with(|builder| {
            builder.settings_required_aal(RequiredAal::Aal1).whoami_required_aal(RequiredAal::Aal1)
        });
        site.enrol("kim").await;
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("settings", "").await;
        let page = format!("https%3A%2F%2Fbank.example%2Fself-service%2Fui%2Fsettings%3Fflow%3D{}", flow.id());
        let url = format!("{ORIGIN}/self-service/login/browser?aal=aal2&refresh=true&return_to={page}");
        for fields in [
            vec![("totp_unlink", "true")],
            vec![("lookup_secret_regenerate", "true")],
            vec![("lookup_secret_confirm", "true")],
            vec![("lookup_secret_disable", "true")],
            vec![("method", "totp"), ("totp_code", "123456")],
        ] {
            let answer = kim.submit(&flow, &fields).await;
            if kind == Kind::Browser {
                assert_eq!(answer.location(), url, "{fields:?}");
            } else {
                assert_eq!(
                    (answer.status, answer.error_id().as_str()),
                    (StatusCode::FORBIDDEN, "session_refresh_required")
                );
                assert_eq!(answer.json()["redirect_browser_to"], url);
            }
        }
        // The URL leads to a flow that works, and then the change does.
        let login = kim.begin("login", "?aal=aal2&refresh=true").await;
        let answer = kim.submit(&login, &[("method", "totp"), ("totp_code", &site.code())]).await;
        kim.keep_token(&answer);
        let answer = kim.submit(&flow, &[("totp_unlink", "true")]).await;
        kim.keep_token_if_any(&answer);
        assert_eq!(kim.whoami().await.json()["authentication_methods"].as_array().unwrap().len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_first_enrolment_takes_a_recent_first_factor() {
    for kind in KINDS {
        let site = Site::with_password();
        let mut kim = client(&site, kind, "kim").await;
        site.clock.advance(Duration::from_secs(3600));
        let flow = kim.begin("settings", "").await;
        let secret = secret_of(&flow.view);
        let code = code_of(&secret, site.seconds());
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        let page = format!("https%3A%2F%2Fbank.example%2Fself-service%2Fui%2Fsettings%3Fflow%3D{}", flow.id());
        let url = format!("{ORIGIN}/self-service/login/browser?refresh=true&return_to={page}");
        if kind == Kind::Browser {
            assert_eq!(answer.location(), url);
        } else {
            assert_eq!(answer.json()["redirect_browser_to"], url);
        }
        let login = kim.begin("login", "?refresh=true").await;
        let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
        let answer = kim.submit(&login, &fields).await;
        kim.keep_token(&answer);
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        kim.keep_token_if_any(&answer);
        assert_eq!(kim.whoami().await.json()["authenticator_assurance_level"], "aal2", "{kind:?}");
    }
}

#[tokio::test]
async fn a_stale_second_factor_changes_nothing() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let flow = kim.begin("settings", "").await;
    site.clock.advance(Duration::from_secs(3599));
    assert_eq!(kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await.status, StatusCode::OK);
    let flow = kim.begin("settings", "").await;
    site.clock.advance(Duration::from_secs(1));
    let answer = kim.submit(&flow, &[("totp_unlink", "true")]).await;
    assert!(answer.json()["redirect_browser_to"].as_str().unwrap().contains("aal=aal2&refresh=true"));
}

#[tokio::test]
async fn mode_aal2_lets_in_only_to_enrol() {
    for kind in KINDS {
        let site = Site::with(|builder| {
            builder.settings_required_aal(RequiredAal::Aal2).whoami_required_aal(RequiredAal::Aal2)
        });
        let mut bob = client(&site, kind, "bob").await;
        assert_eq!(bob.whoami().await.error_id(), "session_aal2_required");
        bob.enrol_totp(&site).await;
        assert_eq!(bob.whoami().await.status, StatusCode::OK, "{kind:?}");
    }
}

#[tokio::test]
async fn without_a_session_there_are_no_settings() {
    let site = Site::new();
    let mut browser = site.stranger(Kind::Browser);
    assert_eq!(
        browser.get("/self-service/settings/browser?return_to=/pay").await.location(),
        format!("{ORIGIN}/self-service/login/browser?return_to=https%3A%2F%2Fbank.example%2Fpay")
    );
    let flow = "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20";
    let login_ui = format!("{ORIGIN}/self-service/ui/login");
    assert_eq!(browser.get(&format!("/self-service/settings/flows?id={flow}")).await.location(), login_ui);
    assert_eq!(browser.post(&format!("/self-service/settings?flow={flow}"), &[("a", "b")]).await.location(), login_ui);
    for kind in [Kind::Spa, Kind::Native] {
        let mut client = site.stranger(kind);
        for path in ["browser", "api", &format!("flows?id={flow}")] {
            let answer = client.get(&format!("/self-service/settings/{path}")).await;
            assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::UNAUTHORIZED, "session_inactive"));
        }
        let answer = client.post(&format!("/self-service/settings?flow={flow}"), &[("a", "b")]).await;
        assert_eq!(answer.error_id(), "session_inactive");
    }
}

#[tokio::test]
async fn a_settings_flow_of_somebody_else_stays_theirs() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "").await;
    let mut lee = site.spa("lee").await;
    lee.cookies.extend(kim.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
    assert_eq!(lee.read("settings", flow.id()).await.error_id(), "security_identity_mismatch");
    let code = code_of(&secret_of(&flow.view), site.seconds());
    let answer = lee.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!((answer.status, answer.error_id().as_str()), (StatusCode::FORBIDDEN, "security_identity_mismatch"));
    assert_eq!(kim.read("settings", "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20").await.status, StatusCode::NOT_FOUND);
    // The id of a flow of another kind is unknown here.
    site.enrol("lee").await;
    let login = lee.begin("login", "?aal=aal2").await;
    lee.step_up(&site.code()).await;
    assert_eq!(lee.read("settings", login.id()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(kim.read("login", flow.id()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_expired_settings_flow_keeps_its_purpose() {
    for kind in KINDS {
        let site = Site::new();
        let mut kim = client(&site, kind, "kim").await;
        let flow = kim.begin("settings", "?return_to=/pay").await;
        site.clock.advance(Duration::from_secs(3600));
        if kind != Kind::Browser {
            let gone = kim.read("settings", flow.id()).await;
            assert_eq!((gone.status, gone.error_id().as_str()), (StatusCode::GONE, "self_service_flow_expired"));
        }
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", "123456")]).await;
        let id = match kind {
            Kind::Browser => answer.location().rsplit_once("flow=").unwrap().1.to_owned(),
            _ => answer.json()["use_flow_id"].as_str().unwrap().to_owned(),
        };
        let successor = kim.read("settings", &id).await;
        assert_eq!((successor.messages(), &successor.json()["return_to"]), (vec![4_050_001], &flow.view["return_to"]));
    }
}

#[tokio::test]
async fn forged_and_nameless_changes_are_refused() {
    let site = Site::with_password();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "").await;
    let code = code_of(&secret_of(&flow.view), site.seconds());
    let forged = kim.post(&flow.action(), &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(forged.error_id(), "security_csrf_violation");
    for method in ["magic", "password", "webauthn", "code", "oidc", "profile", "passkey", ""] {
        let answer = kim.submit(&flow, &[("method", method)]).await;
        assert_eq!((answer.status, answer.messages()), (StatusCode::BAD_REQUEST, vec![4_010_004]), "{method}");
    }
    for fields in [vec![], vec![("x", "y")], vec![("totp_unlink", "false")]] {
        assert_eq!(kim.submit(&flow, &fields).await.messages(), [4_010_004], "{fields:?}");
    }
    assert_eq!(kim.submit(&flow, &[("totp_unlink", "true")]).await.messages(), [4_000_001], "nothing to remove");
    let posted =
        [("method", "totp"), ("totp_code", "123456"), ("totp_url", "otpauth://totp/x?secret=AAAA"), ("secret", "AAAA")];
    assert_eq!(kim.submit(&flow, &posted).await.node_messages("totp_code"), [4_000_008], "a posted secret is ignored");
    let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_lock_does_not_keep_a_factor_from_being_removed() {
    let site = Site::with(|builder| builder.settings_required_aal(RequiredAal::Aal1));
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let settings = kim.begin("settings", "").await;
    let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
    for _ in 0..5 {
        kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
    }
    let locked = kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
    assert!(locked.text.contains("oo many attempts"), "the honest twin");
    // It guesses nothing, and the session is privileged.
    let answer = kim.submit(&settings, &[("totp_unlink", "true")]).await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// Asking for codes guesses nothing: who has none yet may ask as often as they like.
#[tokio::test]
async fn new_codes_can_be_asked_for_again_and_again() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let flow = kim.begin("settings", "").await;
    for _ in 0..8 {
        let answer = kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let answer = kim.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// Once a change is written nothing may keep the client from its new session, and before it is, nothing may change.
#[tokio::test]
async fn a_store_that_fails_around_a_change_costs_no_session() {
    for kind in KINDS {
        let mut saved = 0;
        for calls in 0..12 {
            let store = TestStore::default();
            let site = Site::on(store.clone(), |builder| builder);
            let mut kim = client(&site, kind, "kim").await;
            let flow = kim.begin("settings", "").await;
            let code = code_of(&secret_of(&flow.view), site.seconds());
            store.fails_after(calls);
            let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
            let failed = store.has_failed();
            if answer.status.is_success() {
                kim.keep_token_if_any(&answer);
            }
            let enrolled = !store.credentials(&Subject::new("kim").unwrap()).await.unwrap().is_empty();
            let expected = if enrolled { StatusCode::OK } else { StatusCode::FORBIDDEN };
            let payments = kim.get("/payments").await;
            let paid = if payments.status == StatusCode::SEE_OTHER { StatusCode::FORBIDDEN } else { payments.status };
            assert_eq!(paid, expected, "{kind:?}: call {calls} failed: {answer:?}");
            assert_eq!(kim.get("/account").await.status, StatusCode::OK, "{kind:?}: call {calls} failed");
            saved += usize::from(enrolled && failed);
        }
        assert!(saved > 0, "no call after the change was tried");
    }
}

#[tokio::test]
async fn two_sessions_that_enrol_at_once_end_with_one_factor() {
    let site = Site::new();
    let mut one = site.spa("kim").await;
    let mut two = site.spa("kim").await;
    let (flow_one, flow_two) = (one.begin("settings", "").await, two.begin("settings", "").await);
    let code_one = code_of(&secret_of(&flow_one.view), site.seconds());
    let code_two = code_of(&secret_of(&flow_two.view), site.seconds());
    assert_eq!(one.submit(&flow_one, &[("method", "totp"), ("totp_code", &code_one)]).await.status, StatusCode::OK);
    let late = two.submit(&flow_two, &[("method", "totp"), ("totp_code", &code_two)]).await;
    assert_eq!(late.error_id(), "session_aal2_required", "there is a factor now");
}

#[tokio::test]
async fn imported_codes_work_once_and_weak_ones_are_not_imported() {
    let site = Site::new();
    let kim = tower_step_up::Subject::new("kim").unwrap();
    let codes = ["ABCD-EFGH-IJKL-M", "NOPQ-RSTU-VWXY-Z"];
    site.step_up.import_lookup_secrets(&kim, &codes).await.unwrap();
    for weak in [&[][..], &["1234-5678"], &[codes[0], codes[0]]] {
        let error = site.step_up.import_lookup_secrets(&kim, weak).await.unwrap_err();
        assert_eq!(error.kind(), tower_step_up::error::ErrorKind::LookupSecrets, "{weak:?}");
    }
    for (code, works) in [("abcdefghijklm", true), (codes[0], false), (codes[1], true)] {
        let mut session = site.spa("kim").await;
        let flow = session.begin("login", "?aal=aal2").await;
        let answer = session.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", code)]).await;
        assert_eq!(answer.status == StatusCode::OK, works, "{code}");
    }
}

#[tokio::test]
async fn new_codes_do_not_renew_the_second_factor() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    site.clock.advance(Duration::from_secs(600));
    let before = kim.whoami().await.json();
    assert_eq!(kim.get("/transfer").await.error_id(), "session_refresh_required");
    kim.enrol_lookup().await;
    let after = kim.whoami().await.json();
    for key in ["authentication_methods", "aal2_authenticated_at", "authenticated_at", "expires_at"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(kim.get("/transfer").await.error_id(), "session_refresh_required");
}

/// Who has proven a code and replaces them all has lost no level, and gained no time.
#[tokio::test]
async fn codes_that_replace_the_proven_ones_keep_the_proof() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let codes = kim.enrol_lookup().await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let answer = kim.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", &codes[0])]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    site.clock.advance(Duration::from_secs(600));
    let before = kim.whoami().await.json();
    let codes = kim.enrol_lookup().await;
    let after = kim.whoami().await.json();
    assert_eq!(after["authenticator_assurance_level"], "aal2");
    for key in ["authentication_methods", "aal2_authenticated_at", "authenticated_at", "expires_at"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    // Not with those of somebody who has taken them away and made new ones with the password alone.
    let flow = kim.begin("settings", "").await;
    assert_eq!(kim.submit(&flow, &[("lookup_secret_disable", "true")]).await.status, StatusCode::OK);
    kim.enrol_lookup().await;
    assert_eq!(kim.get("/payments").await.error_id(), "session_aal2_required");
    let flow = kim.begin("login", "?aal=aal2").await;
    let old = kim.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", &codes[0])]).await;
    assert_eq!(old.status, StatusCode::BAD_REQUEST, "{old:?}");
}

#[tokio::test]
async fn no_form_of_the_settings_starts_the_count_of_guesses_anew() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let login = kim.begin("login", "?aal=aal2&refresh=true").await;
    let settings = kim.begin("settings", "").await;
    for _ in 0..4 {
        kim.submit(&login, &[("method", "totp"), ("totp_code", "000000")]).await;
    }
    assert_eq!(kim.submit(&settings, &[("method", "totp"), ("totp_code", "000000")]).await.messages(), [4_000_001]);
    let answer = kim.submit(&login, &[("method", "totp"), ("totp_code", "000000")]).await;
    assert!(answer.is_locked(), "{answer:?}");
}

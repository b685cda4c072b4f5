//! What the built-in pages and the flows say: how to go on, what is left, what was removed, and who is signed in.

use std::collections::HashSet;

use axum::http::StatusCode;
use serde_json::json;
use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore, test_util::FixedClock};

use crate::site::{Client, Kind, ORIGIN, OpenFlow, Site, Users};

const SESSIONS: &str = "/self-service/ui/sessions";

async fn settings_page(client: &mut Client, flow: &OpenFlow) -> String {
    client.get(&format!("/self-service/ui/settings?flow={}", flow.id())).await.text
}

async fn make_codes(client: &mut Client) -> OpenFlow {
    let flow = client.begin("settings", "").await;
    client.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
    client.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
    flow
}

/// The value of the hidden field in a page.
fn csrf_of(page: &str) -> String {
    page.split("name=\"csrf_token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#x2B;", "+")
        .replace("&#43;", "+")
}

#[tokio::test]
async fn codes_are_listed_with_the_used_ones_and_replaced() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let flow = kim.begin("settings", "").await;
    let shown = kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await.json();
    let again = kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await.json();
    let secrets = |flow: &serde_json::Value| {
        let nodes = flow["ui"]["nodes"].as_array().unwrap();
        let list = nodes.iter().find(|node| node["attributes"]["id"] == "lookup_secret_codes").unwrap();
        list["attributes"]["text"]["context"]["secrets"].as_array().unwrap().clone()
    };
    assert_eq!(secrets(&shown), secrets(&again), "one form shows one set until it is confirmed");
    kim.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
    let code = secrets(&shown)[3]["text"].as_str().unwrap().to_owned();
    let login = kim.begin("login", "?aal=aal2&refresh=true").await;
    kim.submit(&login, &[("method", "lookup_secret"), ("lookup_secret", &code)]).await;

    let flow = kim.begin("settings", "").await;
    let names = |nodes: Vec<String>| -> Vec<String> {
        nodes
            .into_iter()
            .filter_map(|node| Some(node.strip_prefix("lookup_secret: lookup_secret_")?.to_owned()))
            .collect()
    };
    assert_eq!(names(flow.nodes()), ["reveal", "disable"]);
    let page = settings_page(&mut kim, &flow).await;
    assert!(page.contains("11 of your 12 recovery codes are left."), "{page}");
    assert!(page.contains("name=\"lookup_secret_regenerate\" value=\"true\""), "{page}");
    let answer = kim.submit(&flow, &[("lookup_secret_reveal", "true")]).await;
    assert_eq!((answer.status, answer.messages()), (StatusCode::OK, vec![1_990_005]));
    assert_eq!(answer.json()["ui"]["messages"][0]["context"], json!({ "left": 11, "of": 12 }));
    assert_eq!(names(answer.nodes()), ["codes", "disable", "regenerate"]);
    let list = secrets(&answer.json());
    let used: Vec<_> = list.iter().filter(|one| one["id"] == 1_050_014).collect();
    assert_eq!((list.len(), used.len()), (12, 1));
    assert_eq!(used[0]["context"]["used_at_unix"], site.seconds());
    assert!(!answer.text.contains(&code));
    let texts: HashSet<_> = list.iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 12, "Elements mixes up lines that say the same: {texts:?}");

    // Ory's UI kit sends both buttons.
    let both = [("lookup_secret_regenerate", "true"), ("lookup_secret_disable", "true")];
    let answer = kim.submit(&flow, &both).await;
    assert_eq!(names(answer.nodes()), ["codes", "confirm"]);
    assert_eq!(kim.submit(&flow, &[("lookup_secret_confirm", "true")]).await.messages(), [1_050_001]);
    let flow = kim.begin("settings", "").await;
    assert!(settings_page(&mut kim, &flow).await.contains("12 of your 12 recovery codes are left."));
}

#[tokio::test]
async fn removing_the_app_says_that_the_codes_went_too() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.code()).await;
    let flow = kim.begin("settings", "").await;
    let page = settings_page(&mut kim, &flow).await;
    assert!(page.contains("You have no recovery codes yet."), "{page}");
    let flow = make_codes(&mut kim).await;
    let answer = kim.submit(&flow, &[("totp_unlink", "true")]).await;
    assert_eq!(answer.messages(), [1_050_001, 1_990_003]);
    assert!(settings_page(&mut kim, &flow).await.contains("Your recovery codes were removed too"));

    // Where there are none, nothing is said of them.
    site.enrol("lee").await;
    let mut lee = site.spa("lee").await;
    lee.step_up(&site.code()).await;
    let flow = lee.begin("settings", "").await;
    assert_eq!(lee.submit(&flow, &[("totp_unlink", "true")]).await.messages(), [1_050_001]);
}

#[tokio::test]
async fn the_schema_of_an_identity_is_there() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let url = kim.whoami().await.json()["identity"]["schema_url"].as_str().unwrap().to_owned();
    let answer = kim.get(url.strip_prefix(ORIGIN).unwrap()).await;
    assert_eq!((answer.status, &answer.json()["properties"]["traits"]["type"]), (StatusCode::OK, &json!("object")));
    assert_eq!(answer.json()["$id"], url);
    assert_eq!(kim.get("/schemas/other").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_of_sessions_lists_and_ends_them() {
    let site = Site::new();
    let (mut kim, mut second, mut third) = (site.browser("kim").await, site.spa("kim").await, site.spa("kim").await);
    let mut lee = site.spa("lee").await;
    let page = kim.get(SESSIONS).await.text;
    assert_eq!(page.matches("End this session").count(), 2, "{page}");
    assert_eq!(page.matches("Sign out").count(), 1);
    assert_eq!(page.matches("<dt>Signed in</dt>").count(), 3, "when each began");
    let csrf = csrf_of(&page);
    let of_second = second.whoami().await.json()["id"].as_str().unwrap().to_owned();
    let of_lee = lee.whoami().await.json()["id"].as_str().unwrap().to_owned();

    // Without the token of this page, nothing ends.
    let forged = kim.post(SESSIONS, &[("session", &of_second)]).await;
    assert!(forged.location().contains("/self-service/ui/error"), "{forged:?}");
    assert_eq!(second.whoami().await.status, StatusCode::OK);

    for id in [&of_second, &of_lee] {
        let answer = kim.post(SESSIONS, &[("csrf_token", &csrf), ("session", id)]).await;
        assert_eq!(answer.location(), format!("{ORIGIN}{SESSIONS}"));
    }
    assert_eq!(second.whoami().await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(lee.whoami().await.status, StatusCode::OK, "somebody else's");
    kim.post(SESSIONS, &[("csrf_token", &csrf), ("session", "others")]).await;
    assert_eq!(third.whoami().await.status, StatusCode::UNAUTHORIZED);
    let own = kim.whoami().await.json()["id"].as_str().unwrap().to_owned();
    kim.post(SESSIONS, &[("csrf_token", &csrf), ("session", &own)]).await;
    assert!(kim.get(SESSIONS).await.location().contains("/self-service/login/browser?return_to="));
}

#[tokio::test]
async fn ending_sessions_takes_the_second_factor_where_there_is_one() {
    let site = Site::with(|builder| builder.whoami_required_aal(tower_step_up::RequiredAal::Aal1));
    site.enrol("kim").await;
    let (mut thief, mut kim) = (site.browser("kim").await, site.spa("kim").await);
    let csrf = csrf_of(&thief.get(SESSIONS).await.text);
    let answer = thief.post(SESSIONS, &[("csrf_token", &csrf), ("session", "others")]).await;
    assert!(answer.location().contains("aal=aal2&refresh=true"), "{answer:?}");
    assert_eq!(kim.whoami().await.status, StatusCode::OK);
}

#[tokio::test]
async fn no_error_page_is_a_dead_end() {
    let site = Site::new();
    let (mut kim, mut stranger) = (site.browser("kim").await, site.stranger(Kind::Browser));
    for (path, of_kim, of_stranger) in [
        ("/self-service/login/browser?aal=aal9", "Begin again", "Sign in"),
        ("/self-service/login/browser?return_to=https://evil.example", "Begin again", "Sign in"),
        ("/self-service/logout?token=x", "Where you are signed in", "Sign in"),
    ] {
        for (client, label) in [(&mut kim, of_kim), (&mut stranger, of_stranger)] {
            let error = client.get(path).await.location().strip_prefix(ORIGIN).unwrap().to_owned();
            let page = client.get(&error).await.text;
            assert!(page.contains(&format!(">{label}</a>")) && page.contains(">Back to "), "{path}: {page}");
        }
    }
}

/// HSTS is for this host alone, and only where the public URL is HTTPS; an application that sends its own switches ours off.
#[tokio::test]
async fn pages_ask_for_https_unless_that_is_switched_off() {
    let plain = || {
        let builder = StepUp::builder("http://localhost:3000").insecure_http_on_loopback();
        let builder = builder.signing_key(SigningKey::generate("2026-11").unwrap()).store(MemoryStore::default());
        let (clock, step_up) = (FixedClock::default(), builder.factor(Totp::new("Example Bank")).build().unwrap());
        Site::of(step_up, clock, Users::default())
    };
    for (site, sent) in [
        (Site::new(), Some("max-age=31536000")),
        (Site::with(|builder| builder.strict_transport_security(false)), None),
        (plain(), None),
    ] {
        let page = site.stranger(Kind::Browser).get("/self-service/ui/error?id=x").await;
        assert!(page.text.contains("<h1>"), "{page:?}");
        let header = |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("strict-transport-security"), sent);
        assert_eq!(header("cross-origin-opener-policy"), Some("same-origin"));
    }
}

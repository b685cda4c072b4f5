//! Where a browser goes when it did not say where to.

use axum::http::StatusCode;

use crate::site::{Kind, ORIGIN, Site};

fn site() -> Site {
    Site::with(|builder| {
        builder
            .default_return_url("/home")
            .after_login_url("https://app.bank.example/welcome")
            .after_settings_url("https://me.bank.example/profile")
            .after_logout_url("https://www.bank.example/goodbye")
    })
}

#[tokio::test]
async fn each_flow_ends_where_it_is_configured_to() {
    for kind in [Kind::Browser, Kind::Spa] {
        let site = site();
        let mut kim = site.browser("kim").await;
        kim.kind = kind;
        let flow = kim.begin("settings", "").await;
        let secret = flow.view["ui"]["nodes"].as_array().unwrap().iter().find_map(|node| {
            (node["attributes"]["id"] == "totp_secret_key")
                .then(|| node["attributes"]["text"]["text"].as_str().unwrap().to_owned())
        });
        let code = crate::site::code_of(&secret.unwrap(), site.seconds());
        let enrolled = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        assert_goes_on(&enrolled, kind, "https://me.bank.example/profile");
        let flow = kim.begin("settings", "?return_to=/asked").await;
        let removed = kim.submit(&flow, &[("totp_unlink", "true")]).await;
        assert_goes_on(&removed, kind, &format!("{ORIGIN}/asked"));

        site.enrol("lee").await;
        let mut lee = site.browser("lee").await;
        lee.kind = kind;
        let lifted = lee.step_up(&site.code()).await;
        assert_goes_on(&lifted, kind, "https://app.bank.example/welcome");
        let logout = lee.get("/self-service/logout/browser").await.json();
        lee.kind = Kind::Browser;
        let out = lee.get(logout["logout_url"].as_str().unwrap()).await;
        assert_eq!(out.location(), "https://www.bank.example/goodbye");
    }
}

fn assert_goes_on(answer: &crate::site::Answer, kind: Kind, to: &str) {
    if kind == Kind::Browser {
        assert_eq!(answer.location(), to);
    } else {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], to);
    }
}

/// `form-action` also holds for what a form leads to in the end: without these origins browsers would stop there.
#[tokio::test]
async fn the_pages_may_lead_to_where_flows_end() {
    let site = site();
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let begun = kim.get("/self-service/login/browser?aal=aal2").await;
    let page = kim.get(begun.location()).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let targets = policy.split_once("form-action ").unwrap().1;
    for origin in ["https://app.bank.example", "https://me.bank.example", ORIGIN] {
        assert!(targets.split(' ').any(|target| target == origin), "{policy}");
    }
    assert!(!targets.contains("www.bank.example"), "no form leads to the end of a logout: {policy}");
}

/// None of these addresses is a place that a request may ask for.
#[tokio::test]
async fn where_flows_end_is_no_place_to_ask_for() {
    let site = site();
    let mut kim = site.spa("kim").await;
    for place in
        ["https://app.bank.example/welcome", "https://me.bank.example/profile", "https://www.bank.example/goodbye"]
    {
        let answer = kim.get(&format!("/self-service/login/browser?refresh=true&return_to={place}")).await;
        assert_eq!(answer.error_id(), "self_service_flow_return_to_forbidden", "{place}");
    }
    assert!(site.step_up.return_url("https://app.bank.example/welcome").is_none());
}

//! The form that somebody is filling in stays, whatever other tabs begin in the background; and nobody keeps more forms by that.

use axum::http::StatusCode;

use crate::{
    navigation::get,
    site::{Client, KINDS, Kind, OpenFlow, Site},
    store::TestStore,
};

/// More than a session keeps.
const POLLS: usize = 60;

/// A client of this kind whose session is lifted, so that it may begin flows of every purpose; and a moment later.
async fn lifted(site: &Site, kind: Kind) -> Client {
    site.enrol("kim").await;
    let mut client = signed_in(site, kind).await;
    client.step_up(&site.code()).await;
    assert_eq!(client.get("/payments").await.status, StatusCode::OK);
    site.clock.advance(std::time::Duration::from_secs(60));
    client
}

async fn signed_in(site: &Site, kind: Kind) -> Client {
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

/// Another tab of the same session, with a script that begins a flow each time; or another part of the same native application.
async fn poll(client: &Client, query: &str) {
    let mut tab = client.clone();
    if tab.kind == Kind::Browser {
        tab.kind = Kind::Spa;
    }
    for number in 0..POLLS {
        let kind = if query.contains("refresh") && number % 2 == 0 { "settings" } else { "login" };
        tab.begin(kind, if kind == "login" { query } else { "" }).await;
    }
}

async fn totp(client: &mut Client, flow: &OpenFlow, code: &str) -> crate::site::Answer {
    client.submit(flow, &[("method", "totp"), ("totp_code", code)]).await
}

/// The client reads the form as it would show it.
async fn show(client: &mut Client, kind: &str, flow: &OpenFlow) -> StatusCode {
    if client.kind == Kind::Browser {
        return client.get(&format!("/self-service/ui/{kind}?flow={}", flow.id())).await.status;
    }
    client.read(kind, flow.id()).await.status
}

#[tokio::test]
async fn polls_do_not_push_out_the_form_that_was_read() {
    for kind in KINDS {
        let site = Site::new();
        let mut kim = lifted(&site, kind).await;
        let refresh = "?aal=aal2&refresh=true";
        let form = kim.begin("login", refresh).await;
        assert_eq!(show(&mut kim, "login", &form).await, StatusCode::OK);
        poll(&kim, refresh).await;
        let done = totp(&mut kim, &form, &site.code()).await;
        assert!([StatusCode::OK, StatusCode::SEE_OTHER].contains(&done.status), "{kind:?} {done:?}");
        kim.keep_token(&done);
        assert_eq!(kim.read("login", form.id()).await.json()["state"], "passed_challenge", "{kind:?}");

        let form = kim.begin("settings", "").await;
        assert_eq!(show(&mut kim, "settings", &form).await, StatusCode::OK);
        poll(&kim, refresh).await;
        let codes = kim.submit(&form, &[("method", "lookup_secret"), ("lookup_secret_regenerate", "true")]).await;
        assert!([StatusCode::OK, StatusCode::SEE_OTHER].contains(&codes.status), "{kind:?} {codes:?}");
        assert!(
            kim.read("settings", form.id()).await.nodes().iter().any(|node| node.contains("lookup_secret_confirm"))
        );
    }
}

/// A beginning alone is no sign that anybody looks at it: then the oldest gives way as ever.
#[tokio::test]
async fn polls_push_each_other_out() {
    for kind in [Kind::Spa, Kind::Native] {
        let site = Site::new();
        let mut kim = lifted(&site, kind).await;
        for purpose in ["login", "settings"] {
            let query = if purpose == "login" { "?aal=aal2&refresh=true" } else { "" };
            let unread = kim.begin(purpose, query).await;
            poll(&kim, "?aal=aal2&refresh=true").await;
            assert_eq!(kim.read(purpose, unread.id()).await.status, StatusCode::NOT_FOUND, "{kind:?} {purpose}");
        }
    }
}

/// Nobody but the client itself has shown this form: it came with the beginning. After a wrong answer it is known to be in use.
#[tokio::test]
async fn polls_do_not_push_out_the_form_that_was_submitted() {
    for kind in KINDS {
        let site = Site::new();
        site.enrol("kim").await;
        let mut kim = signed_in(&site, kind).await;
        let form = kim.begin("login", "?aal=aal2").await;
        for code in ["000000", "000001"] {
            totp(&mut kim, &form, code).await;
            poll(&kim, "?aal=aal2").await;
        }
        let done = totp(&mut kim, &form, &site.code()).await;
        kim.keep_token(&done);
        assert_eq!(kim.get("/payments").await.status, StatusCode::OK, "{kind:?}");

        let form = kim.begin("settings", "").await;
        let wrong = [("method", "lookup_secret"), ("lookup_secret_nonsense", "true")];
        assert!(kim.submit(&form, &wrong).await.status != StatusCode::NOT_FOUND);
        poll(&kim, "?aal=aal2&refresh=true").await;
        assert_eq!(kim.read("settings", form.id()).await.status, StatusCode::OK, "{kind:?}");
    }
}

#[tokio::test]
async fn of_two_tabs_the_form_that_was_read_last_stays() {
    for kind in KINDS {
        let site = Site::new();
        let mut kim = lifted(&site, kind).await;
        let refresh = "?aal=aal2&refresh=true";
        let older = kim.begin("login", refresh).await;
        let settings = kim.begin("settings", "").await;
        for (purpose, flow) in [("login", &older), ("settings", &settings), ("login", &older)] {
            assert_eq!(show(&mut kim, purpose, flow).await, StatusCode::OK);
        }
        poll(&kim, refresh).await;
        assert_eq!(kim.read("login", older.id()).await.status, StatusCode::OK, "{kind:?}");
        let other = kim.read("settings", settings.id()).await;
        assert_eq!(other.status, StatusCode::NOT_FOUND, "{kind:?}");
    }
}

/// Who touches a thousand forms keeps fifty, as who touches none.
#[tokio::test]
async fn reading_many_forms_keeps_no_more_of_them() {
    let site = Site::new();
    let mut kim = lifted(&site, Kind::Spa).await;
    let mut forms = Vec::new();
    for number in 0..100 {
        let form = kim.begin("login", "?aal=aal2&refresh=true").await;
        forms.push(form.id().to_owned());
        for id in forms.iter().rev().take(5).chain(&forms[..number.min(5)]) {
            kim.read("login", id).await;
        }
        totp(&mut kim, &form, "nonsense").await;
    }
    let mut there = 0;
    for id in &forms {
        there += usize::from(kim.read("login", id).await.status == StatusCode::OK);
    }
    assert_eq!(there, 50);
}

/// Who only guesses, or only knows an id, does not decide which form stays.
#[tokio::test]
async fn only_its_user_brings_a_form_into_use() {
    let site = Site::new();
    let mut kim = lifted(&site, Kind::Browser).await;
    let refresh = "?aal=aal2&refresh=true";
    let [other, form] = [kim.begin("login", refresh).await, kim.begin("login", refresh).await];
    let page = format!("/self-service/ui/login?flow={}", other.id());
    get(&mut kim, &page, &[("accept", "text/html"), ("sec-purpose", "prefetch"), ("sec-fetch-mode", "navigate")]).await;
    let mut elsewhere = site.browser("kim").await;
    assert_ne!(elsewhere.get(&page).await.status, StatusCode::OK);
    poll(&kim, refresh).await;
    assert_eq!(kim.read("login", form.id()).await.status, StatusCode::OK);
    assert_eq!(kim.read("login", other.id()).await.status, StatusCode::NOT_FOUND);

    let mut native = site.native("kim").await;
    let [other, form] = [native.begin("login", "?aal=aal2").await, native.begin("login", "?aal=aal2").await];
    native.read("login", form.id()).await;
    let mut stranger = site.stranger(Kind::Native);
    assert_eq!(stranger.read("login", other.id()).await.status, StatusCode::OK, "an API flow is read by its id");
    poll(&native, "?aal=aal2").await;
    assert_eq!(native.read("login", form.id()).await.status, StatusCode::OK);
    assert_eq!(native.read("login", other.id()).await.status, StatusCode::NOT_FOUND);
}

/// A form that is pushed out while it is read is not shown: it could not be submitted.
#[tokio::test]
async fn a_form_that_is_gone_is_not_shown() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder);
    let mut kim = lifted(&site, Kind::Spa).await;
    let form = kim.begin("login", "?aal=aal2&refresh=true").await;
    let (gate, mut tab) = (store.hold("touch_flow"), kim.clone());
    let (read, ()) = tokio::join!(tab.read("login", form.id()), async {
        gate.reached().await;
        poll(&kim, "?aal=aal2&refresh=true").await;
        gate.open();
    });
    assert_eq!(read.status, StatusCode::NOT_FOUND);
}

/// A form that the store took no note of is not shown, and the next request tries again.
#[tokio::test]
async fn a_store_that_fails_to_take_note_is_asked_again() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder);
    let mut kim = lifted(&site, Kind::Spa).await;
    let form = kim.begin("login", "?aal=aal2&refresh=true").await;
    store.take_calls();
    // The flow is read first.
    store.fails_after(1);
    assert_eq!(kim.read("login", form.id()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(store.has_failed());
    assert_eq!(store.take_calls(), ["flow", "touch_flow"]);
    assert_eq!(kim.read("login", form.id()).await.status, StatusCode::OK);
    assert_eq!(store.take_calls(), ["flow", "touch_flow", "credentials"]);
}

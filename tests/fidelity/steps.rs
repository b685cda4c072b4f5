//! The requests, in the order of the recording.

use serde_json::{Value, json};

use super::{
    client::{Answer, Client, lookup_code_of, secret_of},
    plain::noted,
    site::Site,
};

/// What was answered so far.
struct Transcript(Vec<Value>);

impl Transcript {
    /// Notes the answer to a step and gives its body.
    fn note(&mut self, step: &str, answer: &Answer) -> Value {
        self.0.push(noted(step, answer));
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    async fn get(&mut self, step: &str, mut client: Client, path: &str) -> Value {
        let answer = client.get(path).await;
        self.note(step, &answer)
    }
}

fn password_of(user: &str) -> Value {
    json!({ "method": "password", "identifier": user, "password": format!("{user}-password") })
}

/// Who has signed in with a password, in a single-page application or a native one.
async fn signed_in(mut client: Client, path: &str, user: &str) -> (Client, Answer, Answer) {
    let begun = client.get(path).await;
    let done = client.submit(&begun.json(), password_of(user)).await;
    assert!(matches!(done.status.as_u16(), 200 | 422), "{done:?}");
    if path.ends_with("/api") {
        client.adopt(&done);
    }
    (client, begun, done)
}

const LOGIN: &str = "/self-service/login/browser";
const LOGIN_API: &str = "/self-service/login/api";
const SETTINGS: &str = "/self-service/settings/browser";
const SETTINGS_API: &str = "/self-service/settings/api";
const WHOAMI: &str = "/sessions/whoami";
const LOGOUT: &str = "/self-service/logout/browser";
const HOME: &str = "https%3A%2F%2Fbank.example%2F";

pub async fn run(site: &Site) -> Vec<Value> {
    let mut t = Transcript(Vec::new());
    nobody(&mut t, site).await;
    first_factor(&mut t, site).await;
    let (bob, api) = signed_in_twice(&mut t, site).await;
    let (api, secret) = enrolment(&mut t, site, &bob, api).await;
    let bob = step_up(&mut t, site, bob, &api, &secret).await;
    let bob = refresh(&mut t, site, bob, api, &secret).await;
    let (bob, low) = recovery_codes(&mut t, site, bob).await;
    somebody_else(&mut t, site, bob.clone()).await;
    let bob = sessions(&mut t, bob, low).await;
    let bob = removal(&mut t, bob).await;
    logout(&mut t, site, bob).await;
    t.0
}

async fn nobody(t: &mut Transcript, site: &Site) {
    let page = || Client::page(site);
    let spa = || Client::spa(site);
    let native = || Client::native(site, None);
    let elsewhere = "?return_to=https%3A%2F%2Felsewhere.example";
    let unknown = "id=00000000-0000-4000-8000-000000000000";
    for (step, client, path) in [
        ("whoami, nobody", spa(), WHOAMI.to_owned()),
        ("whoami, bad token", Client::native(site, Some("nonsense")), WHOAMI.to_owned()),
        ("login api aal2, nobody", native(), format!("{LOGIN_API}?aal=aal2")),
        ("login browser aal2 SPA, nobody", spa(), format!("{LOGIN}?aal=aal2")),
        ("login browser aal2 HTML, nobody", page(), format!("{LOGIN}?aal=aal2")),
        ("settings SPA, nobody", spa(), SETTINGS.to_owned()),
        ("settings HTML, nobody", page(), SETTINGS.to_owned()),
        ("settings api, nobody", native(), SETTINGS_API.to_owned()),
        ("logout SPA, nobody", spa(), LOGOUT.to_owned()),
        ("unknown flow", spa(), format!("/self-service/login/flows?{unknown}")),
        ("flow without id", spa(), "/self-service/login/flows".to_owned()),
        ("unknown error", spa(), format!("/self-service/errors?{unknown}")),
        ("stub error", spa(), "/self-service/errors?id=stub:500".to_owned()),
        ("bad aal", spa(), format!("{LOGIN}?aal=aal9")),
        ("return_to elsewhere, SPA", spa(), format!("{LOGIN}{elsewhere}")),
        ("return_to elsewhere, api", native(), format!("{LOGIN_API}{elsewhere}")),
    ] {
        t.get(step, client, &path).await;
    }
}

async fn first_factor(t: &mut Transcript, site: &Site) {
    let mut client = Client::spa(site);
    let begun = client.get(LOGIN).await;
    let flow = t.note("password: begin SPA", &begun);
    let wrong = json!({ "method": "password", "identifier": "bob", "password": "wrong-password" });
    t.note("password: wrong", &client.submit(&flow, wrong).await);
    t.note("password: no csrf", &client.send(&flow, password_of("bob")).await);
    t.note("password: empty", &client.submit(&flow, json!({ "method": "password" })).await);
    t.note("password: unknown method", &client.submit(&flow, json!({ "method": "magic" })).await);
}

async fn signed_in_twice(t: &mut Transcript, site: &Site) -> (Client, Client) {
    let (bob, begun, done) = signed_in(Client::spa(site), LOGIN, "bob").await;
    t.note("bob SPA login begin", &begun);
    t.note("bob SPA login submit", &done);
    let (api, begun, done) = signed_in(Client::native(site, None), LOGIN_API, "bob").await;
    t.note("bob api login begin", &begun);
    t.note("bob api login submit", &done);
    let page = bob.as_page();
    for (step, client, path) in [
        ("whoami aal1, none enrolled", &bob, WHOAMI.to_owned()),
        ("whoami aal1 api", &api, WHOAMI.to_owned()),
        ("login SPA again", &bob, LOGIN.to_owned()),
        ("login HTML again", &page, LOGIN.to_owned()),
        ("login api again", &api, LOGIN_API.to_owned()),
        ("aal2 SPA, none enrolled", &bob, format!("{LOGIN}?aal=aal2")),
        ("aal2 HTML, none enrolled", &page, format!("{LOGIN}?aal=aal2")),
        ("aal2 api, none enrolled", &api, format!("{LOGIN_API}?aal=aal2")),
        ("refresh SPA", &bob, format!("{LOGIN}?refresh=true")),
        ("refresh api", &api, format!("{LOGIN_API}?refresh=true")),
        ("refresh aal2 SPA, none enrolled", &bob, format!("{LOGIN}?refresh=true&aal=aal2")),
    ] {
        t.get(step, client.clone(), &path).await;
    }
    (bob, api)
}

async fn enrolment(t: &mut Transcript, site: &Site, bob: &Client, mut api: Client) -> (Client, String) {
    let flow = t.get("settings api", api.clone(), SETTINGS_API).await;
    let secret = secret_of(&flow);
    let code = |code: String| json!({ "method": "totp", "totp_code": code });
    t.note("totp: wrong code", &api.submit(&flow, code(site.wrong_code(&secret))).await);
    t.note("totp: empty", &api.submit(&flow, json!({ "method": "totp" })).await);
    let done = api.submit(&flow, code(site.fresh_code(&secret))).await;
    t.note("totp: right code", &done);
    api.adopt(&done);
    t.get("whoami after enrolment", api.clone(), WHOAMI).await;
    for (step, client, path) in [
        ("whoami of the other session", bob.clone(), WHOAMI.to_owned()),
        ("settings of the other session, SPA", bob.clone(), SETTINGS.to_owned()),
        ("settings of the other session, HTML", bob.as_page(), format!("{SETTINGS}?return_to={HOME}")),
        ("sessions of the other session", bob.clone(), "/sessions".to_owned()),
    ] {
        t.get(step, client, &path).await;
    }
    (api, secret)
}

async fn step_up(t: &mut Transcript, site: &Site, mut bob: Client, api: &Client, secret: &str) -> Client {
    let flow = t.get("aal2 SPA begin", bob.clone(), &format!("{LOGIN}?aal=aal2&return_to={HOME}")).await;
    let read = format!("/self-service/login/flows?id={}", flow["id"].as_str().unwrap());
    t.get("aal2 SPA read", bob.clone(), &read).await;
    t.get("aal2 SPA read by nobody", Client::spa(site), &read).await;
    t.get("aal2 HTML begin", bob.as_page(), &format!("{LOGIN}?aal=aal2")).await;
    let wrong = json!({ "method": "totp", "totp_code": site.wrong_code(secret) });
    let lookup = json!({ "method": "lookup_secret", "lookup_secret": "aaaaaaaa" });
    t.note("aal2 wrong code", &bob.submit(&flow, wrong.clone()).await);
    t.note("aal2 no code", &bob.submit(&flow, json!({ "method": "totp" })).await);
    t.note("aal2 password in it", &bob.submit(&flow, password_of("bob")).await);
    t.note("aal2 look-up, not enrolled", &bob.submit(&flow, lookup).await);
    t.note("aal2 no csrf", &bob.send(&flow, wrong.clone()).await);
    t.note("aal2 wrong code by form", &bob.as_page().submit(&flow, wrong).await);
    let right = json!({ "method": "totp", "totp_code": site.fresh_code(secret) });
    t.note("aal2 right code", &bob.submit(&flow, right).await);
    for (step, client, path) in [
        ("whoami aal2", bob.clone(), WHOAMI.to_owned()),
        ("the flow again", bob.clone(), read),
        ("aal2 when aal2 SPA", bob.clone(), format!("{LOGIN}?aal=aal2")),
        ("aal2 when aal2 HTML", bob.as_page(), format!("{LOGIN}?aal=aal2")),
        ("aal2 when aal2 api", api.clone(), format!("{LOGIN_API}?aal=aal2")),
    ] {
        t.get(step, client, &path).await;
    }
    bob
}

async fn refresh(t: &mut Transcript, site: &Site, bob: Client, mut api: Client, secret: &str) -> Client {
    let flow = t.get("refresh aal2 SPA", bob.clone(), &format!("{LOGIN}?refresh=true&aal=aal2")).await;
    let mut page = bob.as_page();
    let code = |code: String| json!({ "method": "totp", "totp_code": code });
    t.note("refresh aal2 by form", &page.submit(&flow, code(site.fresh_code(secret))).await);
    let bob = page.as_spa();
    let flow = t.get("refresh aal2 api", api.clone(), &format!("{LOGIN_API}?refresh=true&aal=aal2")).await;
    t.note("refresh aal2 api wrong", &api.submit(&flow, code(site.wrong_code(secret))).await);
    t.note("refresh aal2 api right", &api.submit(&flow, code(site.fresh_code(secret))).await);
    t.get("refresh aal1 when aal2", bob.clone(), &format!("{LOGIN}?refresh=true")).await;
    bob
}

async fn recovery_codes(t: &mut Transcript, site: &Site, mut bob: Client) -> (Client, Client) {
    let flag = |name: &str| json!({ "method": "lookup_secret", format!("lookup_secret_{name}"): true });
    let flow = t.get("settings SPA aal2", bob.clone(), SETTINGS).await;
    let made = bob.submit(&flow, flag("regenerate")).await;
    let made = t.note("codes: regenerate", &made);
    let code = lookup_code_of(&made);
    t.note("codes: confirm", &bob.submit(&made, flag("confirm")).await);
    let flow = t.get("settings with codes", bob.clone(), SETTINGS).await;
    t.note("codes: reveal", &bob.submit(&flow, flag("reveal")).await);
    let lookup = |code: &str| json!({ "method": "lookup_secret", "lookup_secret": code });
    let (mut low, ..) = signed_in(Client::spa(site), LOGIN, "bob").await;
    let flow = t.get("aal2 with both", low.clone(), &format!("{LOGIN}?aal=aal2")).await;
    t.note("code: wrong", &low.submit(&flow, lookup("zzzzzzzz")).await);
    t.note("code: right", &low.submit(&flow, lookup(&code)).await);
    let (mut again, ..) = signed_in(Client::spa(site), LOGIN, "bob").await;
    let flow = again.get(&format!("{LOGIN}?aal=aal2")).await.json();
    t.note("code: used", &again.submit(&flow, lookup(&code)).await);
    t.get("whoami by look-up", low.clone(), WHOAMI).await;
    (bob, low)
}

async fn somebody_else(t: &mut Transcript, site: &Site, mut bob: Client) {
    let (mut carol, ..) = signed_in(Client::spa(site), LOGIN, "carol").await;
    let flow = bob.get(SETTINGS).await.json();
    let read = format!("/self-service/settings/flows?id={}", flow["id"].as_str().unwrap());
    t.get("settings flow of another", carol.clone(), &read).await;
    let unlink = json!({ "method": "totp", "totp_unlink": true });
    t.note("settings submit of another", &carol.submit(&flow, unlink).await);
}

async fn sessions(t: &mut Transcript, mut bob: Client, low: Client) -> Client {
    t.get("sessions", bob.clone(), "/sessions").await;
    let own = bob.get(WHOAMI).await.json()["id"].as_str().unwrap().to_owned();
    t.note("revoke own", &bob.delete(&format!("/sessions/{own}")).await);
    t.note("revoke others", &bob.delete("/sessions").await);
    t.get("whoami of a revoked", low, WHOAMI).await;
    bob
}

async fn removal(t: &mut Transcript, mut bob: Client) -> Client {
    let flow = bob.get(SETTINGS).await.json();
    let disable = json!({ "method": "lookup_secret", "lookup_secret_disable": true });
    t.note("codes: disable", &bob.submit(&flow, disable).await);
    let flow = bob.get(SETTINGS).await.json();
    let unlink = json!({ "method": "totp", "totp_unlink": true });
    t.note("totp: unlink", &bob.submit(&flow, unlink).await);
    t.get("whoami after unlinking", bob.clone(), WHOAMI).await;
    bob
}

async fn logout(t: &mut Transcript, site: &Site, mut bob: Client) {
    let begun = bob.get(LOGOUT).await;
    let token = |begun: &Answer| begun.json()["logout_token"].as_str().unwrap().to_owned();
    t.note("logout begin", &begun);
    t.note("logout wrong token", &bob.get("/self-service/logout?token=nonsense").await);
    t.note("logout", &bob.get(&format!("/self-service/logout?token={}", token(&begun))).await);
    t.get("whoami after logout", bob, WHOAMI).await;
    let (mut api, ..) = signed_in(Client::native(site, None), LOGIN_API, "carol").await;
    let body = json!({ "session_token": api.token }).to_string();
    for step in ["logout api", "logout api again"] {
        let answer = api.request("DELETE", "/self-service/logout/api", Some(("application/json", body.clone()))).await;
        t.note(step, &answer);
    }
    let (mut carol, ..) = signed_in(Client::spa(site), LOGIN, "carol").await;
    let begun = carol.get(LOGOUT).await;
    let answer = carol.as_page().get(&format!("/self-service/logout?token={}", token(&begun))).await;
    t.note("logout HTML", &answer);
}

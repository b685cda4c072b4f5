//! A bank that takes security keys, and what users do there.

use tower_step_up::{
    Subject,
    store::{Credential, SubjectStore},
};
use tower_step_up_webauthn::WebAuthn;

use crate::{
    key::{Forgery, SecurityKey},
    site::{Answer, Client, OpenFlow, Site},
    store::TestStore,
};

pub fn bank() -> Site {
    bank_with(WebAuthn::new("Example Bank"))
}

pub fn bank_with(keys: WebAuthn) -> Site {
    Site::with(|builder| builder.factor(keys))
}

pub fn bank_on(store: TestStore) -> Site {
    Site::on(store, |builder| builder.factor(WebAuthn::new("Example Bank")))
}

/// The value of a node.
pub fn value(flow: &OpenFlow, name: &str) -> String {
    let nodes = flow.view["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["attributes"]["name"] == name);
    let value = node.and_then(|node| node["attributes"]["value"].as_str());
    value.unwrap_or_else(|| panic!("no value of {name}: {}", flow.view)).to_owned()
}

pub fn registration_options(flow: &OpenFlow) -> String {
    value(flow, "webauthn_register_trigger")
}

pub fn login_options(flow: &OpenFlow) -> String {
    value(flow, "webauthn_login_trigger")
}

/// Sends what a key answered to the settings.
pub async fn register(client: &mut Client, flow: &OpenFlow, name: &str, answer: &str) -> Answer {
    client.submit(flow, &[("webauthn_register_displayname", name), ("webauthn_register", answer)]).await
}

/// Adds a key in the settings.
pub async fn add(client: &mut Client, key: &mut SecurityKey, name: &str) -> Answer {
    let flow = client.begin("settings", "").await;
    let answer = key.create(&registration_options(&flow), &Forgery::default());
    register(client, &flow, name, &answer).await
}

/// Sends what a key answered to a login flow.
pub async fn send(client: &mut Client, flow: &OpenFlow, answer: &str) -> Answer {
    client.submit(flow, &[("webauthn_login", answer)]).await
}

/// Steps up with a key.
pub async fn step_up(client: &mut Client, key: &mut SecurityKey, query: &str) -> Answer {
    let flow = client.begin("login", query).await;
    let answer = key.get(&login_options(&flow), &Forgery::default());
    send(client, &flow, &answer).await
}

pub async fn level(client: &mut Client) -> String {
    let whoami = client.get("/sessions/whoami").await;
    match whoami.status.as_u16() {
        200 => whoami.json()["authenticator_assurance_level"].as_str().unwrap().to_owned(),
        _ => whoami.error_id(),
    }
}

pub async fn credentials(store: &TestStore, name: &str) -> Vec<Credential> {
    store.credentials(&Subject::new(name).unwrap()).await.unwrap()
}

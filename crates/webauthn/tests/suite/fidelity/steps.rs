//! The requests, in the order of the recording.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use passkey_types::encoding::try_from_base64url;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use super::{
    client::{Answer, Client},
    plain::noted,
    site::{ADDRESS, Site},
};
use crate::key::{Forgery, SecurityKey};

const LOGIN: &str = "/self-service/login/browser";
const LOGIN_API: &str = "/self-service/login/api";
const AAL2: &str = "/self-service/login/browser?aal=aal2";
const AAL2_API: &str = "/self-service/login/api?aal=aal2";
const REFRESH: &str = "/self-service/login/browser?refresh=true&aal=aal2";
const SETTINGS: &str = "/self-service/settings/browser";
const SETTINGS_API: &str = "/self-service/settings/api";
const WHOAMI: &str = "/sessions/whoami";
const SCRIPT: &str = "/.well-known/ory/webauthn.js";

pub async fn run(site: &Site) -> Vec<Value> {
    let mut t = Transcript { site, steps: Vec::new() };
    let alice = code_alone(&mut t).await;
    let mut key = SecurityKey::new();
    let alice = added(&mut t, alice, &mut key).await;
    let mut low = t.signed_in(Client::spa(site), LOGIN).await;
    refused_keys(&mut t, &mut low, &mut key).await;
    chosen_addresses(&mut t, &mut low).await;
    let low = right_keys(&mut t, low, &mut key).await;
    removed(&mut t, low, alice, &key).await;
    t.steps
}

/// What was answered so far.
struct Transcript<'a> {
    site: &'a Site,
    steps: Vec<Value>,
}

impl Transcript<'_> {
    /// Notes the answer to a step and gives its body.
    fn note(&mut self, step: &str, answer: &Answer) -> Value {
        self.steps.push(noted(step, answer));
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// A step that is no answer.
    fn note_value(&mut self, step: &str, status: u16, media_type: &str, body: &Value) {
        self.steps.push(json!({
            "step": step, "status": status, "type": media_type, "body": body,
            "kind": "", "location": "", "cookies": {}, "error_header": "",
        }));
    }

    /// Asks for something, and notes the answer.
    async fn get(&mut self, step: &str, client: &mut Client, path: &str) -> Value {
        let answer = self.ask(client, path).await;
        self.note(step, &answer)
    }

    /// Begins a flow that is not noted.
    async fn begin(&self, client: &mut Client, path: &str) -> Value {
        self.ask(client, path).await.json()
    }

    async fn ask(&self, client: &mut Client, path: &str) -> Answer {
        // A flow may send a code.
        self.site.wait();
        client.get(path).await
    }

    async fn submit(&mut self, step: &str, client: &mut Client, flow: &Value, fields: Value) -> Value {
        self.site.wait();
        let answer = client.submit(flow, fields).await;
        self.note(step, &answer)
    }

    /// The same by a form of a page of the same browser.
    async fn submit_form(&mut self, step: &str, client: &mut Client, flow: &Value, fields: Value) {
        let mut page = client.as_page();
        self.submit(step, &mut page, flow, fields).await;
        *client = page.as_spa();
    }

    /// The options that a flow has for a key, without what is random.
    fn options(&mut self, step: &str, flow: &Value, name: &str) {
        let mut options: Value = serde_json::from_str(&options_of(flow, name)).unwrap();
        let mut options = options["publicKey"].take();
        let length = |value: &Value| {
            let bytes = try_from_base64url(value.as_str().unwrap()).unwrap();
            json!(format!("<{} bytes>", bytes.len()))
        };
        options["challenge"] = length(&options["challenge"]);
        for list in ["allowCredentials", "excludeCredentials"] {
            let credentials = options.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            credentials.for_each(|credential| credential["id"] = json!("<id>"));
        }
        if let Some(user) = options.get_mut("user") {
            user["id"] = length(&user["id"]);
        }
        self.note_value(step, 0, "", &options);
    }

    /// Alice, who has proven her password.
    async fn signed_in(&self, mut client: Client, path: &str) -> Client {
        let begun = client.get(path).await;
        let done = client.submit(&begun.json(), password()).await;
        assert!(matches!(done.status.as_u16(), 200 | 422), "{done:?}");
        if path == LOGIN_API {
            client.adopt(&done);
        }
        client
    }
}

fn password() -> Value {
    json!({ "method": "password", "identifier": "alice", "password": "alice-password" })
}

fn code(code: &str) -> Value {
    json!({ "method": "code", "code": code })
}

fn options_of(flow: &Value, name: &str) -> String {
    let node = flow["ui"]["nodes"].as_array().unwrap().iter().find(|node| node["attributes"]["name"] == name).unwrap();
    node["attributes"]["value"].as_str().unwrap().to_owned()
}

/// A new key for the settings.
fn created(key: &mut SecurityKey, flow: &Value) -> String {
    key.create(&options_of(flow, "webauthn_register_trigger"), &Forgery::default())
}

/// What a key answers to a login.
fn signed(key: &mut SecurityKey, flow: &Value, forgery: &Forgery) -> String {
    key.get(&options_of(flow, "webauthn_login_trigger"), forgery)
}

fn login(answer: &str) -> Value {
    json!({ "webauthn_login": answer, "identifier": "alice" })
}

/// A code by mail, the only second factor.
async fn code_alone(t: &mut Transcript<'_>) -> Client {
    let (site, postbox) = (t.site, &t.site.postbox);
    let mut alice = Client::spa(site);
    let flow = t.get("code only: password SPA begin", &mut alice, LOGIN).await;
    t.submit("code only: password SPA submit", &mut alice, &flow, password()).await;
    let flow = t.get("code only: begin SPA", &mut alice, AAL2).await;
    let first = postbox.code();
    let read = format!("/self-service/login/flows?id={}", flow["id"].as_str().unwrap());
    t.get("code only: read", &mut alice, &read).await;
    let mut wrong = ["000000", "000001", "000002", "000003"].into_iter().filter(|wrong| *wrong != first);
    t.submit("code only: wrong", &mut alice, &flow, code(wrong.next().unwrap())).await;
    t.submit("code only: empty", &mut alice, &flow, code("")).await;
    t.submit_form("code only: wrong, HTML", &mut alice, &flow, code(wrong.next().unwrap())).await;
    let resend = json!({ "method": "code", "resend": "code", "identifier": ADDRESS });
    t.submit("code only: resend", &mut alice, &flow, resend).await;
    let newest = postbox.code();
    // One in a million is the same again.
    let old = if first == newest { wrong.next().unwrap() } else { &first };
    t.submit("code only: the old one", &mut alice, &flow, code(old)).await;
    let right = json!({ "method": "code", "code": newest, "resend": "", "identifier": ADDRESS });
    t.submit("code only: resend empty, right", &mut alice, &flow, right).await;
    t.get("code only: whoami", &mut alice, WHOAMI).await;
    t.submit("code only: again", &mut alice, &flow, code(&newest)).await;
    t.get("code only: settings", &mut alice, SETTINGS).await;
    let flow = t.get("code only: refresh SPA", &mut alice, REFRESH).await;
    t.submit("code only: refresh, right", &mut alice, &flow, code(&postbox.code())).await;

    let mut api = t.signed_in(Client::native(site, None), LOGIN_API).await;
    let flow = t.get("code only: begin api", &mut api, AAL2_API).await;
    t.submit("code only: api wrong", &mut api, &flow, code(&postbox.wrong_code())).await;
    t.submit("code only: api right", &mut api, &flow, code(&postbox.code())).await;
    let mut page = t.signed_in(Client::spa(site), LOGIN).await.as_page();
    t.get("code only: begin HTML", &mut page, AAL2).await;
    alice
}

/// A key in the settings.
async fn added(t: &mut Transcript<'_>, mut alice: Client, key: &mut SecurityKey) -> Client {
    let flow = t.begin(&mut alice, SETTINGS).await;
    t.options("key: options to create", &flow, "webauthn_register_trigger");
    let nameless = json!({ "webauthn_register": created(key, &flow) });
    t.submit("key: no name", &mut alice, &flow, nameless).await;
    let flow = t.begin(&mut alice, SETTINGS).await;
    let no_json = json!({ "webauthn_register": "what", "webauthn_register_displayname": "Key" });
    t.submit("key: no JSON", &mut alice, &flow, no_json).await;
    t.submit("key: method alone", &mut alice, &flow, json!({ "method": "webauthn" })).await;
    let flow = t.begin(&mut alice, SETTINGS).await;
    let right = json!({ "webauthn_register": created(key, &flow), "webauthn_register_displayname": "Key" });
    t.submit_form("key: right, by form", &mut alice, &flow, right).await;
    let flow = t.get("key: settings", &mut alice, SETTINGS).await;
    t.options("key: options to create another", &flow, "webauthn_register_trigger");
    t.get("key: whoami", &mut alice, WHOAMI).await;
    let unknown = json!({ "webauthn_remove": "ff".repeat(32) });
    t.submit("key: remove an unknown", &mut alice, &flow, unknown).await;
    alice
}

/// Answers that are none, and forged ones.
async fn refused_keys(t: &mut Transcript<'_>, low: &mut Client, key: &mut SecurityKey) {
    let flow = t.get("key and code: begin SPA", low, AAL2).await;
    t.options("key: options to get", &flow, "webauthn_login_trigger");
    let of_this_flow = signed(key, &flow, &Forgery::default());
    t.submit("key: no identifier", low, &flow, json!({ "webauthn_login": "{}" })).await;
    let flow = t.begin(low, AAL2).await;
    t.submit("key: no JSON in it", low, &flow, login("what")).await;
    let flow = t.begin(low, AAL2).await;
    t.submit("key: of another flow", low, &flow, login(&of_this_flow)).await;
    let flow = t.begin(low, AAL2).await;
    let elsewhere = Forgery { origin: "https://elsewhere.example", ..Forgery::default() };
    let elsewhere = signed(key, &flow, &elsewhere);
    t.submit("key: of another origin", low, &flow, login(&elsewhere)).await;
    let flow = t.begin(low, AAL2).await;
    let another = signed(&mut SecurityKey::new(), &flow, &Forgery::default());
    t.submit("key: another key", low, &flow, login(&another)).await;
}

/// Where a code goes to, beside a key.
async fn chosen_addresses(t: &mut Transcript<'_>, low: &mut Client) {
    let flow = t.begin(low, AAL2).await;
    let unknown = json!({ "method": "code", "address": "who@elsewhere.example" });
    t.submit("code: an unknown address", low, &flow, unknown).await;
    t.submit("code: no address", low, &flow, json!({ "method": "code" })).await;
    let flow = t.begin(low, AAL2).await;
    t.submit_form("code: address without method, HTML", low, &flow, json!({ "address": ADDRESS })).await;
    let read = format!("/self-service/login/flows?id={}", flow["id"].as_str().unwrap());
    t.get("code: after it", low, &read).await;
    let flow = t.begin(low, AAL2).await;
    let by_identifier = json!({ "method": "code", "identifier": ADDRESS });
    t.submit("code: by identifier", low, &flow, by_identifier).await;
}

/// The right key, and what it signed sent again.
async fn right_keys(t: &mut Transcript<'_>, mut low: Client, key: &mut SecurityKey) -> Client {
    let flow = t.begin(&mut low, AAL2).await;
    let right = login(&signed(key, &flow, &Forgery::default()));
    t.submit("key: right, SPA", &mut low, &flow, right.clone()).await;
    t.get("key: whoami after it", &mut low, WHOAMI).await;
    t.submit("key: replayed", &mut low, &flow, right).await;
    let flow = t.get("key: refresh", &mut low, REFRESH).await;
    let right = login(&signed(key, &flow, &Forgery::default()));
    t.submit_form("key: refresh, right, by form", &mut low, &flow, right).await;
    low
}

async fn removed(t: &mut Transcript<'_>, mut low: Client, mut alice: Client, key: &SecurityKey) {
    let mut api = t.signed_in(Client::native(t.site, None), LOGIN_API).await;
    t.get("key and code: begin api", &mut api, AAL2_API).await;
    script(t, &mut low).await;
    let flow = t.begin(&mut low, SETTINGS).await;
    t.get("key: settings api", &mut api, SETTINGS_API).await;
    let id: Vec<_> = key.id.iter().map(|byte| format!("{byte:02x}")).collect();
    t.submit("key: remove", &mut low, &flow, json!({ "webauthn_remove": id.concat() })).await;
    t.get("key: whoami after removing", &mut low, WHOAMI).await;
    t.get("key: whoami of the other session", &mut alice, WHOAMI).await;
}

/// The names that the script has, and whether it is the one that its node says.
async fn script(t: &mut Transcript<'_>, client: &mut Client) {
    let script = t.ask(client, SCRIPT).await;
    let word = |rest: &str| -> String {
        rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
    };
    let after = |before: &str| -> Vec<String> { script.text.split(before).skip(1).map(word).collect() };
    let all = [after("window."), after("function ")].concat();
    let names: BTreeSet<_> = all.into_iter().filter(|name| name.trim_start_matches('_').starts_with("ory")).collect();
    let flow = t.begin(client, REFRESH).await;
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["type"] == "script").unwrap();
    let hash = format!("sha512-{}", STANDARD.encode(Sha512::digest(script.text.as_bytes())));
    let fits = node["attributes"]["integrity"] == hash.as_str();
    let media_type = script.headers["content-type"].to_str().unwrap();
    t.note_value("script", script.status.as_u16(), media_type, &json!({ "names": names, "integrity fits": fits }));
}

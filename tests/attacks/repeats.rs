//! A form that is answered once more is answered to nobody else, and for no longer than ten seconds.

use std::time::Duration;

use tower_step_up::{
    clock::{Clock, Timestamp},
    store::{Revocation, SubjectStore},
};

use crate::{
    site::{Answer, Client, KINDS, Kind, OpenFlow},
    witness,
    world::{World, client, subject},
};

/// A step-up whose answer the eavesdropper has not seen, and everything else they have.
struct Heard {
    world: World,
    flow: OpenFlow,
    code: String,
    /// With the credential that the step-up replaced.
    old: Client,
    /// With the new one.
    owner: Client,
}

impl Heard {
    async fn on(world: World, kind: Kind) -> Self {
        world.a.enrol("kim").await;
        let mut owner = client(&world.a, kind, "kim").await;
        let flow = owner.begin("login", "?aal=aal2").await;
        let (code, old) = (world.a.code(), owner.clone());
        let answer = owner.totp(&flow, &code).await;
        owner.keep_token_if_any(&answer);
        Self { world, flow, code, old, owner }
    }

    /// The same form, sent by this client to the other node.
    async fn replay(&self, by: &Client) -> Answer {
        by.at(&self.world.b).totp(&self.flow, &self.code).await
    }

    /// Refused, and nothing is used up or handed out.
    async fn assert_refused(&self, name: &str, by: &Client) {
        let before = self.world.known("kim").await;
        let answer = self.replay(by).await;
        assert_nothing(name, &answer);
        assert_eq!(self.world.known("kim").await, before, "{name}");
    }

    async fn assert_honest(&self) {
        let mut again = self.old.at(&self.world.b);
        let answer = again.totp(&self.flow, &self.code).await;
        assert!(matches!(answer.status.as_u16(), 200 | 303), "{answer:?}");
        again.keep_token_if_any(&answer);
        assert!(again.pays(&self.world.b).await, "the honest twin");
    }
}

#[track_caller]
fn assert_nothing(name: &str, answer: &Answer) {
    assert!(!witness::hands_out_a_session(&answer.headers), "{name}: {answer:?}");
    assert!(!answer.text.contains("session_token\":\""), "{name}: {answer:?}");
    assert_ne!(answer.status, 200, "{name}: {answer:?}");
}

fn csrf(client: &mut Client) -> &mut String {
    let name = client.cookies.keys().find(|name| name.contains("csrf")).unwrap().clone();
    client.cookies.get_mut(&name).unwrap()
}

async fn heard() -> Vec<Heard> {
    let mut all = vec![];
    for kind in KINDS {
        for world in World::on_every_store(|builder| builder) {
            all.push(Heard::on(world, kind).await);
        }
    }
    all
}

#[tokio::test]
async fn a_form_with_another_binding_is_not_answered_again() {
    for heard in heard().await {
        let (kind, old) = (heard.old.kind, &heard.old);
        heard.assert_honest().await;
        let mut by: Vec<(&str, Client)> = vec![];
        for name in ["lee", "kim"] {
            let mut other = client(&heard.world.a, kind, name).await;
            if kind != Kind::Native {
                let (name, value) = old.cookies.iter().find(|(name, _)| name.contains("csrf")).unwrap();
                other.cookies.insert(name.clone(), value.clone());
            }
            by.push(("another session", other));
        }
        let mut stripped = old.clone();
        stripped.token = None;
        stripped.cookies.retain(|name, _| name.contains("csrf"));
        by.push(("no session at all", stripped));
        if kind == Kind::Native {
            let cookie = old.token.clone().unwrap();
            let mut other = Client { token: None, ..old.clone() };
            other.cookies.insert("__Host-step_up_session".to_owned(), cookie);
            by.push(("the token as a cookie", other));
        } else {
            let mut other = old.clone();
            other.cookies.retain(|name, _| !name.contains("csrf"));
            by.push(("only the stolen cookie", other));
            let mut other = old.clone();
            *csrf(&mut other) = csrf(&mut client_with_csrf(&heard, kind).await).clone();
            by.push(("another CSRF cookie", other));
            let mut other = old.clone();
            other.token = other.cookies.remove("__Host-step_up_session");
            by.push(("the cookie as a header", other));
        }
        for (name, by) in &by {
            heard.assert_refused(name, by).await;
        }
        heard.assert_honest().await;
    }
}

async fn client_with_csrf(heard: &Heard, kind: Kind) -> Client {
    let mut other = client(&heard.world.a, kind, "lee").await;
    other.begin("settings", "").await;
    other
}

#[tokio::test]
async fn another_form_is_not_answered_again() {
    for heard in heard().await {
        let before = heard.world.known("kim").await;
        let mut old = heard.old.at(&heard.world.b);
        let code = heard.code.as_str();
        let blank = format!("{code} ");
        for fields in [
            vec![("method", "totp"), ("totp_code", "000000")],
            vec![("method", "totp"), ("totp_code", &blank)],
            vec![("method", "totp"), ("totp_code", code), ("more", "")],
            vec![("totp_code", code), ("method", "totp"), ("z", "1")],
            vec![("totp_code", code)],
        ] {
            assert_nothing("another body", &old.submit(&heard.flow, &fields).await);
        }
        // The same form, sent to another flow.
        let mut owner = heard.owner.clone();
        let other = owner.begin("login", "?aal=aal2&refresh=true").await;
        assert_nothing("another flow", &old.totp(&other, code).await);
        assert_eq!(heard.world.known("kim").await, before);
        heard.assert_honest().await;
    }
}

#[tokio::test]
async fn a_form_is_not_answered_again_later_or_when_the_clock_went_back() {
    for heard in heard().await {
        let answered_at = heard.world.a.clock.now();
        for site in [&heard.world.a, &heard.world.b] {
            // Back by less than a second: the token is still good, and the age of the answer is unknown.
            site.clock.set(Timestamp::from_unix_milliseconds(answered_at.unix_milliseconds() - 1));
        }
        heard.assert_refused("the clock went back", &heard.old).await;
        heard.world.advance(Duration::from_secs(10));
        heard.assert_honest().await;
        for more in [1, 1, 60_000] {
            heard.world.advance(Duration::from_millis(more));
            heard.assert_refused("too late", &heard.old).await;
        }
    }
}

#[tokio::test]
async fn a_form_is_not_answered_again_once_its_session_is_over() {
    for ending in ["rotated again", "revoked", "signed out", "unlinked", "disabled"] {
        for heard in heard().await {
            heard.assert_honest().await;
            let (site, mut owner) = (&heard.world.a, heard.owner.clone());
            match ending {
                "rotated again" => {
                    let flow = owner.begin("settings", "").await;
                    owner.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
                    let answer = owner.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
                    owner.keep_token_if_any(&answer);
                }
                "revoked" => {
                    let now = site.clock.now();
                    heard.world.store.revoke(&subject("kim"), Revocation::All(now)).await.unwrap();
                }
                "signed out" => {
                    let sessions = heard.world.known("kim").await.sessions;
                    site.step_up.revoke(&subject("kim"), Revocation::One(sessions[0].id())).await.unwrap();
                }
                "unlinked" => {
                    let flow = owner.begin("settings", "").await;
                    let answer = owner.submit(&flow, &[("totp_unlink", "true")]).await;
                    assert!(matches!(answer.status.as_u16(), 200 | 303), "{answer:?}");
                }
                _ => site.users.disable("kim"),
            }
            heard.assert_refused(ending, &heard.old).await;
        }
    }
}

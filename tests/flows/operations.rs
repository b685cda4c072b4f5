//! What operators get: events with request and actor, spans, counters, and calls for the whole store or one subject.

use std::{collections::BTreeMap, net::IpAddr, sync::mpsc};

use axum::{Router, extract::Request, http::HeaderValue, middleware::map_request, routing::post};
use serde_json::{Value, json};
use tower_step_up::{
    Method, SessionContext, StepUpBuilder, Subject,
    audit::{Actor, AuditEvent},
    store::Revocation,
};

use crate::{
    site::{Client, Kind, SECRET, Site},
    witness,
};

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// A site whose proxy says where a client is, and the events that its application hears.
fn audited(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> (Site, mpsc::Receiver<AuditEvent>) {
    let (sender, receiver) = mpsc::channel();
    let site = Site::with(|builder| {
        let builder = builder.audit(move |event: &AuditEvent| {
            witness::hear(event);
            drop(sender.send(event.clone()));
        });
        configure(builder.client_address(|head| head.headers.get("x-real-ip")?.to_str().ok()?.parse().ok()))
    });
    (site, receiver)
}

/// The client as a proxy hands its requests on.
fn behind_a_proxy(client: Client) -> Client {
    let name = |mut request: Request| {
        let headers = request.headers_mut();
        headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
        headers.insert("x-real-ip", HeaderValue::from_static("192.0.2.7"));
        headers.insert("x-request-id", HeaderValue::from_static("4bf92f3577b34da6"));
        std::future::ready(request)
    };
    Client { router: client.router.clone().layer(map_request(name)), ..client }
}

/// The events in JSON, with the ids numbered as they appear.
fn numbered(events: impl Iterator<Item = AuditEvent>) -> Vec<Value> {
    let mut names = BTreeMap::new();
    let mut rows: Vec<_> = events.map(|event| serde_json::to_value(event).unwrap()).collect();
    for row in &mut rows {
        for (field, kind) in [("session", "session"), ("replaced", "session"), ("credential", "credential")] {
            if let Some(id) = row.get_mut(field) {
                let next = format!("[{kind} {}]", names.len() + 1);
                *id = json!(names.entry(id.to_string()).or_insert(next).clone());
            }
        }
    }
    rows
}

#[tokio::test]
async fn an_event_in_json_says_who_did_what_with_which_request() {
    let (site, events) = audited(|builder| builder);
    site.enrol("kim").await;
    let mut kim = behind_a_proxy(site.native("kim").await);
    kim.get("/payments").await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let code = site.code();
    kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]).await;
    kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    site.stranger(Kind::Browser).get("/payments?token=secret").await;
    site.step_up.unlock(&subject("kim"), Method::Totp).await.unwrap();
    site.step_up.revoke_all(&subject("kim")).await.unwrap();
    let rows = numbered(events.try_iter());
    let text = format!("{rows:?}");
    for secret in [SECRET, &code, "000000", "secret", kim.token.as_deref().unwrap()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(rows);
    });
}

/// Calls of the application are told with their usual actor, and with the request that caused them if it says which.
#[tokio::test]
async fn the_application_says_who_asked_for_a_call() {
    let (site, events) = audited(|builder| builder);
    let last = || events.try_iter().last().unwrap();
    let kim = subject("kim");
    site.step_up.import_totp(&kim, SECRET).await.unwrap();
    let imported = last();
    assert_eq!((imported.actor, imported.request), (Actor::System, None));
    let signed_in = site.step_up.sign_in(kim.clone(), Method::Password).await.unwrap();
    assert_eq!(last().actor, Actor::User);
    site.step_up.revoke(&kim, Revocation::One(signed_in.session().id())).await.unwrap();
    assert_eq!(last().actor, Actor::Administrator);
    site.step_up.acting_as(Actor::User).revoke_all(&kim).await.unwrap();
    assert_eq!(last().actor, Actor::User);
    let _impersonated =
        site.step_up.acting_as(Actor::Administrator).sign_in(kim.clone(), Method::Password).await.unwrap();
    assert_eq!(last().actor, Actor::Administrator, "somebody signs in as the user");

    let step_up = site.step_up.clone();
    let login = move |context: SessionContext| {
        let step_up = step_up.for_request(&context);
        async move { (step_up.sign_in(subject("kim"), Method::Password).await.unwrap(), ()) }
    };
    let router = Router::new().route("/my/{kind}/login", post(login)).layer(site.step_up.layer());
    let mut stranger = behind_a_proxy(Client { router, ..site.stranger(Kind::Browser) });
    stranger.post("/my/own/login", &[]).await;
    let request = last().request.unwrap();
    assert_eq!((request.method.as_str(), request.route.as_deref()), ("POST", Some("/my/{kind}/login")));
    assert_eq!(request.client.address(), Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(request.client.request_id(), Some("4bf92f3577b34da6"));
}

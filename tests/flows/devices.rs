//! What a session says of the client that its user signed in with, and where it says so.

use axum::{Router, routing::post};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_step_up::{
    Aal, Method, SessionContext, SignedIn, StepUp, Subject,
    aal::Proof,
    clock::Clock,
    factor::Password,
    wire::{LoginSuccess, Session},
};

use crate::site::{Answer, Client, KINDS, Kind, Site};

const PHONE: &[u8] = b"Bank/7.1 (Phone)";
const LAPTOP: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64)";

/// A site with passwords, whose proxy says where a client is.
fn site() -> Site {
    Site::with(|builder| {
        let builder = builder.client_address(|head| head.headers.get("x-real-ip")?.to_str().ok()?.parse().ok());
        builder.factor(Password::default())
    })
}

fn on(client: Client, software: &[u8], address: &[u8]) -> Client {
    client.sending(&[("user-agent", software), ("x-real-ip", address), ("x-request-id", b"1")])
}

fn device(answer: &Answer) -> Value {
    let session = answer.json();
    let devices = session["devices"].as_array().expect("devices");
    assert!(devices.len() < 2, "{session}");
    devices.first().cloned().unwrap_or_default()
}

async fn sign_in(client: &mut Client) -> Answer {
    let flow = client.begin("login", "").await;
    let fields = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
    let answer = client.submit(&flow, &fields).await;
    client.keep_token(&answer);
    answer
}

/// By each kind of client, at the router's own sign-in; a step-up from elsewhere changes nothing of it.
#[tokio::test]
async fn a_session_says_where_its_user_signed_in() {
    for kind in KINDS {
        let site = site();
        site.enrol("kim").await;
        let mut phone = on(site.stranger(kind), PHONE, b"::ffff:192.0.2.7");
        let answer = sign_in(&mut phone).await;
        if kind == Kind::Native {
            let session = serde_json::from_str::<LoginSuccess>(&answer.text).unwrap().session;
            assert_eq!((session.devices.len(), session.devices[0].ip_address.as_str()), (1, "192.0.2.7"));
        }
        site.step_up.set_whoami_required_aal(tower_step_up::RequiredAal::Aal1);
        let first = device(&phone.whoami().await);
        let expected =
            json!({ "id": first["id"], "ip_address": "192.0.2.7", "user_agent": "Bank/7.1 (Phone)", "location": "" });
        assert_eq!(first, expected, "{kind:?}");

        let mut elsewhere = on(Client { router: site.router.clone(), ..phone.clone() }, LAPTOP, b"198.51.100.4");
        let code = site.code();
        let flow = elsewhere.begin("login", "?aal=aal2").await;
        let lifted = elsewhere.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
        elsewhere.keep_token(&lifted);
        let whoami = elsewhere.whoami().await;
        assert_eq!(
            (&whoami.json()["authenticator_assurance_level"], device(&whoami)),
            (&json!("aal2"), first),
            "{kind:?}"
        );

        // Another session of the user sees it in the list, the page shows it, and the token has nothing of it.
        let mut laptop = on(site.stranger(Kind::Browser), LAPTOP, b"2001:db8::1");
        sign_in(&mut laptop).await;
        let list: Vec<Session> = serde_json::from_str(&laptop.get("/sessions").await.text).unwrap();
        let agents: Vec<_> = list.iter().map(|session| session.devices[0].user_agent.as_str()).collect();
        assert_eq!(agents, ["Bank/7.1 (Phone)"]);
        assert_ne!(json!(list[0].devices[0].id), device(&laptop.whoami().await)["id"]);
        let page = laptop.get("/self-service/ui/sessions").await.text;
        for text in ["Bank/7.1 (Phone)", "192.0.2.7", "Mozilla/5.0 (X11; Linux x86_64)", "2001:db8::1"] {
            assert_eq!(page.matches(&format!("<dd>{text}</dd>")).count(), 1, "{text}: {page}");
        }
        let claims = laptop.session_cookie().unwrap().split('.').nth(1).unwrap();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert!(!claims.contains("Mozilla") && !claims.contains("2001:db8"), "{claims}");
    }
}

/// The application's own sign-in, with its request and without.
#[tokio::test]
async fn the_application_says_which_request_signs_in() {
    async fn again(step_up: StepUp, old: SignedIn, context: SessionContext) -> SignedIn {
        step_up.for_request(&context).reauthenticate(old.session(), Method::Password).await.unwrap()
    }
    let site = site();
    let kim = || Subject::new("kim").unwrap();
    let without = site.step_up.sign_in(kim(), Method::Password).await.unwrap();
    assert_eq!(without.session().device(), None);
    let shown = site.step_up.describe(without.session()).await.unwrap();
    assert_eq!(shown["devices"], json!([]));

    let (step_up, clock) = (site.step_up.clone(), site.clock.clone());
    let login = move |context: SessionContext| {
        let (step_up, now) = (step_up.clone(), clock.now());
        async move {
            let named = step_up.for_request(&context);
            let proof = Proof::new(Method::Oidc, Aal::Aal2, now).with_provider("https://id.example");
            let one = named.sign_in(kim(), Method::Password).await.unwrap();
            let two = named.sign_in_with(kim(), vec![proof]).await.unwrap();
            for signed_in in [&one, &two] {
                let device = signed_in.session().device().expect("a device");
                assert_eq!(device.to_string(), "Bank/7.1 (Phone) at 192.0.2.7");
                assert_eq!(device.request_id(), None);
            }
            assert_eq!(again(step_up.clone(), one, context.clone()).await.session().device(), two.session().device());
            let renewed = again(step_up, without, context).await;
            assert_eq!(renewed.session().device(), None, "a session that is confirmed elsewhere began nowhere else");
            (two, ())
        }
    };
    let router = Router::new().route("/my/login", post(login)).layer(site.step_up.layer());
    let app = on(Client { router, ..site.stranger(Kind::Browser) }, PHONE, b"192.0.2.7");
    assert_eq!(app.clone().post("/my/login", &[]).await.status, 200);
}

/// Where nobody knows anything, nothing is made up.
#[tokio::test]
async fn an_unknown_client_has_no_device() {
    let site = Site::with_password();
    let mut unknown = site.stranger(Kind::Spa).sending(&[("x-real-ip", b"192.0.2.7"), ("x-request-id", b"1")]);
    sign_in(&mut unknown).await;
    assert_eq!(unknown.whoami().await.json()["devices"], json!([]));
    let page = unknown.get("/self-service/ui/sessions").await.text;
    assert!(
        page.contains("This session") && !page.contains("<dt>With</dt>") && !page.contains("<dt>From</dt>"),
        "{page}"
    );
}

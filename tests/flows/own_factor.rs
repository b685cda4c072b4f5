//! A factor of the application's own, the one of `examples/own_factor`: two steps, a state in the flow, a credential that the
//! application binds and takes away.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tower_step_up::{
    Method, Subject,
    factor::{Factor, FactorContext, FactorFuture, FieldError, Form, Refusal, Verdict},
    wire::ui::{Group, Node, Text},
};

use crate::{
    mail_code::MailCode,
    site::{Answer, Client, KINDS, Kind, Site},
    store::TestStore,
};

/// The mails that were sent: address and code.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<(String, String)>>>);

impl Mailbox {
    fn site(&self) -> Site {
        let mails = self.0.clone();
        let send = move |address: &str, code: &str| mails.lock().unwrap().push((address.to_owned(), code.to_owned()));
        Site::with(|builder| builder.factor(MailCode::new(send)))
    }

    fn last(&self) -> (String, String) {
        self.0.lock().unwrap().last().expect("a mail").clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn kim() -> Subject {
    Subject::new("kim").unwrap()
}

async fn client(site: &Site, kind: Kind) -> Client {
    site.step_up.bind(&kim(), Method::Code, b"kim@app.example".to_vec()).await.unwrap();
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

/// The flow after a submit: browsers read it anew.
async fn shown(client: &mut Client, id: &str, answer: Answer) -> Answer {
    if client.kind == Kind::Browser { client.read("login", id).await } else { answer }
}

#[tokio::test]
async fn a_code_is_sent_and_lifts_the_session() {
    for kind in KINDS {
        let mailbox = Mailbox::default();
        let site = mailbox.site();
        let mut kim = client(&site, kind).await;
        assert_eq!(kim.whoami().await.error_id(), "session_aal2_required", "it is a second factor");
        let flow = kim.begin("login", "?aal=aal2&return_to=/payments").await;
        assert_eq!(
            (flow.nodes(), &flow.view["state"]),
            (vec!["default: csrf_token".into(), "code: method".into()], &"choose_method".into())
        );
        assert_eq!(mailbox.count(), 0, "nothing is sent before it is asked for");

        let answer = kim.submit(&flow, &[("method", "code")]).await;
        let next = shown(&mut kim, flow.id(), answer).await;
        assert_eq!((next.status, next.messages()), (StatusCode::OK, vec![1_010_025]), "{kind:?}");
        assert_eq!(next.json()["state"], "sent_email");
        assert_eq!(next.nodes(), ["default: csrf_token", "code: code", "code: method"]);
        let (address, code) = mailbox.last();
        assert_eq!(address, "kim@app.example");
        assert!(!next.text.contains(&code));

        let wrong = if code == "000000" { "000001" } else { "000000" };
        let answer = kim.submit(&flow, &[("method", "code"), ("code", wrong)]).await;
        assert_eq!(shown(&mut kim, flow.id(), answer).await.messages(), [4_010_008]);
        let answer = kim.submit(&flow, &[("method", "code"), ("code", &code)]).await;
        kim.keep_token(&answer);
        let session = kim.whoami().await.json();
        assert_eq!(session["authentication_methods"][1]["method"], "code");
        assert_eq!(session["authenticator_assurance_level"], "aal2", "{kind:?}");
        assert_eq!(kim.get("/payments").await.text, "payments");
    }
}

#[tokio::test]
async fn a_code_belongs_to_its_flow_and_grows_old() {
    let mailbox = Mailbox::default();
    let site = mailbox.site();
    let mut kim = client(&site, Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    kim.submit(&flow, &[("method", "code")]).await;
    let (_, code) = mailbox.last();
    let other = kim.begin("login", "?aal=aal2").await;
    assert_eq!(kim.submit(&other, &[("method", "code"), ("code", &code)]).await.messages(), [4_010_008]);
    site.clock.advance(Duration::from_secs(600));
    let late = kim.submit(&flow, &[("method", "code"), ("code", &code)]).await;
    assert_eq!(late.messages(), [4_010_008]);
    assert_eq!(late.nodes(), ["default: csrf_token", "code: method"], "a new one can be asked for");
}

/// A prompt on another device, which comes with the flow and is answered there.
struct Prompt {
    shown: Arc<AtomicUsize>,
}

impl Factor for Prompt {
    fn method(&self) -> Method {
        Method::Code
    }

    fn challenge<'a>(&'a self, _: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        self.shown.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Some(b"prompt".to_vec())) })
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![Node::button(Group::Code, "method", "code", Text::info(1_070_009, "I have confirmed it"))]
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, _: &'a Form) -> FactorFuture<'a, Verdict> {
        let shown = context.state == Some(b"prompt");
        Box::pin(async move { Ok(if shown { Verdict::ProvenElsewhere } else { Verdict::Wrong }) })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_010_008, "Not confirmed.")
    }
}

fn prompts(store: &TestStore) -> (Site, Arc<AtomicUsize>) {
    let shown = Arc::new(AtomicUsize::new(0));
    let prompt = Prompt { shown: Arc::clone(&shown) };
    (Site::with(|builder| store.give_to(builder).factor(prompt)), shown)
}

#[tokio::test]
async fn a_factor_hears_of_each_flow_that_begins() {
    let (site, shown) = prompts(&TestStore::default());
    let mut kim = client(&site, Kind::Native).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    assert_eq!(shown.load(Ordering::SeqCst), 1);
    site.clock.advance(Duration::from_secs(3600));
    let expired = kim.submit(&flow, &[("method", "code")]).await;
    assert_eq!((expired.error_id().as_str(), shown.load(Ordering::SeqCst)), ("self_service_flow_expired", 2));
    let next = expired.json()["use_flow_id"].as_str().unwrap().to_owned();
    let answer = kim.post(&format!("/self-service/login?flow={next}"), &[("method", "code")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    kim.keep_token(&answer);
    assert_eq!(kim.get("/payments").await.text, "payments");
    // What is sealed anew is what a factor seals; this one seals nothing, and keeps what it has.
    let before = site.step_up.sessions(&self::kim()).await.unwrap();
    assert_eq!(site.step_up.reseal(&self::kim()).await.unwrap(), 0);
    assert_eq!(site.step_up.sessions(&self::kim()).await.unwrap(), before);
    assert_eq!(kim.get("/payments").await.text, "payments");
}

/// What was checked elsewhere counts for as long as its credential is there, also when that goes at the last moment.
#[tokio::test]
async fn a_proof_made_elsewhere_ends_with_its_credential() {
    for taken_away in [false, true] {
        let store = TestStore::default();
        let (site, _) = prompts(&store);
        let mut kim = client(&site, Kind::Native).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let gate = store.hold("complete");
        let step_up = site.step_up.clone();
        let (answer, ()) = tokio::join!(kim.submit(&flow, &[("method", "code")]), async {
            gate.reached().await;
            if taken_away {
                step_up.unbind(&self::kim(), Method::Code).await.unwrap();
            }
            gate.open();
        });
        assert_eq!(answer.status == StatusCode::OK, !taken_away, "{answer:?}");
        let sessions = step_up.sessions(&self::kim()).await.unwrap();
        assert_eq!(sessions[0].proofs().len(), if taken_away { 1 } else { 2 });
    }
}

#[tokio::test]
async fn nobody_has_mails_sent_without_end() {
    let mailbox = Mailbox::default();
    let site = mailbox.site();
    let mut kim = client(&site, Kind::Spa).await;
    for _ in 0..20 {
        let flow = kim.begin("login", "?aal=aal2").await;
        kim.submit(&flow, &[("method", "code")]).await;
    }
    assert_eq!(mailbox.count(), 5);
    let flow = kim.begin("login", "?aal=aal2").await;
    assert!(kim.submit(&flow, &[("method", "code")]).await.is_locked());
}

#[tokio::test]
async fn what_the_application_takes_away_counts_no_more() {
    let mailbox = Mailbox::default();
    let site = mailbox.site();
    let mut kim = client(&site, Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    kim.submit(&flow, &[("method", "code")]).await;
    kim.submit(&flow, &[("method", "code"), ("code", &mailbox.last().1)]).await;
    assert_eq!(kim.get("/payments").await.status, StatusCode::OK);
    let open = kim.begin("login", "?aal=aal2&refresh=true").await;
    let codes = kim.begin("settings", "").await;
    kim.submit(&codes, &[("lookup_secret_regenerate", "true")]).await;
    kim.submit(&codes, &[("lookup_secret_confirm", "true")]).await;

    site.step_up.unbind(&self::kim(), Method::Code).await.unwrap();
    let session = kim.whoami().await.json();
    assert_eq!(session["authenticator_assurance_level"], "aal1");
    assert_eq!(session["authentication_methods"].as_array().unwrap().len(), 1, "nor do the codes that stood in for it");
    assert_eq!(kim.read("login", open.id()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        site.step_up.bind(&self::kim(), Method::WebAuthn, Vec::new()).await.unwrap_err().kind(),
        tower_step_up::error::ErrorKind::Credential
    );
}

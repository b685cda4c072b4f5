//! Requests for one flow at once. Whatever wins, no answer and no page shows what was not stored, and nobody's message is lost.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::Notify;
use tower_step_up::{
    Method, Subject,
    clock::Clock,
    error::ErrorKind,
    factor::{
        Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal,
        Verdict,
    },
    seal::{SealError, Sealer},
    store::{Completed, Completion, Consumption, Credential, FlowId, FlowStore, SubjectStore, Written},
    wire::ui::{Group, Node, Text},
};

use crate::{
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site},
    store::TestStore,
};

/// What a form says that was sent twice, of which another one counted.
const GENERIC: u64 = 4_000_001;

fn sites() -> [(TestStore, Site); 2] {
    [false, true].map(|apart| {
        let store = TestStore::default();
        let site = Site::on(store.clone(), |builder| if apart { builder.flow_store(store.clone()) } else { builder });
        (store, site)
    })
}

async fn client(site: &Site, kind: Kind) -> Client {
    match kind {
        Kind::Browser => site.browser("kim").await,
        Kind::Spa => site.spa("kim").await,
        Kind::Native => site.native("kim").await,
    }
}

/// The first submit comes to its next call of this name, the second is answered, then the first goes on.
async fn overtaken(
    store: &TestStore,
    call: &'static str,
    first: impl Future<Output = Answer>,
    second: impl Future<Output = Answer>,
) -> [Answer; 2] {
    let gate = store.hold(call);
    let (first, second) = tokio::join!(first, async {
        gate.reached().await;
        let second = second.await;
        gate.open();
        second
    });
    [first, second]
}

/// The flow as an answer shows it: browsers follow the redirect.
async fn shown(client: &mut Client, kind: &str, flow: &OpenFlow, answer: &Answer) -> Value {
    if client.kind == Kind::Browser {
        assert!(answer.location().ends_with(flow.id()), "{answer:?}");
        return client.read(kind, flow.id()).await.json();
    }
    answer.json()
}

fn messages(flow: &Value) -> Vec<u64> {
    let list = flow["ui"]["messages"].as_array();
    list.map(|list| list.iter().map(|text| text["id"].as_u64().unwrap()).collect()).unwrap_or_default()
}

fn codes_of(flow: &Value) -> Vec<String> {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let Some(node) = nodes.iter().find(|node| node["attributes"]["id"] == "lookup_secret_codes") else { return vec![] };
    let secrets = node["attributes"]["text"]["context"]["secrets"].as_array().unwrap();
    secrets.iter().map(|text| text["context"]["secret"].as_str().unwrap().to_owned()).collect()
}

/// Somebody writes the flow at this moment, and changes nothing.
async fn touch(store: &TestStore, flow: &OpenFlow) {
    let id = FlowId::from(uuid::Uuid::parse_str(flow.id()).unwrap());
    let stored = store.flow(id).await.unwrap().unwrap();
    assert_eq!(store.update_flow(&stored).await.unwrap(), Written::Done);
}

#[tokio::test]
async fn codes_that_are_shown_are_stored() {
    for kind in KINDS {
        for (store, site) in sites() {
            site.enrol("kim").await;
            let mut kim = client(&site, kind).await;
            let answer = kim.step_up(&site.code()).await;
            assert!(answer.status.is_success() || answer.status == StatusCode::SEE_OTHER);
            let flow = kim.begin("settings", "").await;
            let mut again = kim.clone();
            let regenerate = [("lookup_secret_regenerate", "true")];
            let answers =
                overtaken(&store, "update_flow", kim.submit(&flow, &regenerate), again.submit(&flow, &regenerate))
                    .await;
            let [late, early] = &answers;
            if kind != Kind::Browser {
                assert_eq!((late.status, early.status), (StatusCode::BAD_REQUEST, StatusCode::OK), "{late:?}");
                assert_eq!(codes_of(&early.json()).len(), 12);
                assert_eq!(codes_of(&late.json()), codes_of(&early.json()), "codes are shown that were never stored");
            }
            let late = shown(&mut kim, "settings", &flow, late).await;
            assert_eq!(messages(&late), [GENERIC], "the user learns of it");
            let stored = kim.read("settings", flow.id()).await.json();
            assert_eq!(codes_of(&stored), codes_of(&late));

            // They work.
            let answer = kim.submit(&flow, &[("lookup_secret_confirm", "true")]).await;
            kim.keep_token_if_there(&answer);
            let login = kim.begin("login", "?aal=aal2&refresh=true").await;
            let code = codes_of(&late).remove(0);
            let used = [("method", "lookup_secret"), ("lookup_secret", code.as_str())];
            let answer = kim.submit(&login, &used).await;
            assert!(answer.status == StatusCode::OK || answer.status == StatusCode::SEE_OTHER, "{answer:?}");
            assert_eq!(kim.read("login", login.id()).await.json()["state"], "passed_challenge", "{kind:?}");
        }
    }
}

impl Client {
    fn keep_token_if_there(&mut self, answer: &Answer) {
        if self.kind == Kind::Native && answer.status == StatusCode::OK {
            self.keep_token(answer);
        }
    }
}

#[tokio::test]
async fn forms_that_are_refused_at_once_both_show_why() {
    for kind in KINDS {
        for (store, site) in sites() {
            site.enrol("kim").await;
            let mut kim = client(&site, kind).await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let mut again = kim.clone();
            let wrong = [("method", "totp"), ("totp_code", "000000")];
            let empty = [("method", "totp"), ("totp_code", "")];
            let none = [("method", "nonsense")];
            let [late, early] =
                overtaken(&store, "update_flow", kim.submit(&flow, &wrong), again.submit(&flow, &none)).await;
            if kind != Kind::Browser {
                assert_eq!((late.status, early.status), (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST));
                assert_eq!(early.messages(), [4_010_002]);
            }
            let late = shown(&mut kim, "login", &flow, &late).await;
            assert_eq!(messages(&late), [4_010_002, 4_000_008], "{kind:?}");
            assert_eq!(messages(&kim.read("login", flow.id()).await.json()), [4_010_002, 4_000_008]);

            // What is said of a field too, beside it. And the next in turn is the last word.
            let answers = overtaken(&store, "update_flow", kim.submit(&flow, &empty), again.submit(&flow, &none)).await;
            shown(&mut kim, "login", &flow, &answers[0]).await;
            let page = kim.read("login", flow.id()).await;
            assert_eq!((page.messages(), page.node_messages("totp_code")), (vec![4_010_002], vec![4_000_002]));
            kim.submit(&flow, &none).await;
            let page = kim.read("login", flow.id()).await;
            assert_eq!((page.messages(), page.node_messages("totp_code")), (vec![4_010_002], vec![]));

            // In the settings as well.
            let mut kim = client(&site, kind).await;
            let answer = kim.step_up(&site.next_code()).await;
            assert!(answer.status.is_success() || answer.status == StatusCode::SEE_OTHER);
            let flow = kim.begin("settings", "").await;
            let mut again = kim.clone();
            let confirm = [("lookup_secret_confirm", "true")];
            overtaken(&store, "update_flow", kim.submit(&flow, &confirm), again.submit(&flow, &none)).await;
            assert_eq!(kim.read("settings", flow.id()).await.messages(), [4_010_004, GENERIC]);
        }
    }
}

#[tokio::test]
async fn a_flow_that_was_completed_meanwhile_is_shown_so() {
    for (store, site) in sites() {
        site.enrol("kim").await;
        let mut kim = client(&site, Kind::Spa).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let mut again = kim.clone();
        let code = site.code();
        let (wrong, right) =
            ([("method", "totp"), ("totp_code", "000000")], [("method", "totp"), ("totp_code", &code)]);
        let [late, early] =
            overtaken(&store, "update_flow", kim.submit(&flow, &wrong), again.submit(&flow, &right)).await;
        assert_eq!((late.status, early.status), (StatusCode::BAD_REQUEST, StatusCode::OK));
        assert_eq!((&late.json()["state"], late.messages()), (&"passed_challenge".into(), vec![4_010_007]));
        assert!(late.headers.get("set-cookie").is_none());
    }
}

#[tokio::test]
async fn a_flow_that_was_removed_meanwhile_is_not_shown() {
    for (store, site) in sites() {
        site.enrol("kim").await;
        let mut kim = client(&site, Kind::Spa).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let gate = store.hold("update_flow");
        let (answer, ()) = tokio::join!(kim.submit(&flow, &[("method", "totp"), ("totp_code", "000000")]), async {
            gate.reached().await;
            store.remove_flows(&Subject::new("kim").unwrap(), None).await.unwrap();
            gate.open();
        });
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
    }
}

/// The success of a change stands on the flow, and what is used up does not, whoever writes it at that moment.
#[tokio::test]
async fn a_change_that_was_made_is_told_whoever_writes() {
    for (store, site) in sites() {
        site.enrol("kim").await;
        let mut kim = client(&site, Kind::Spa).await;
        kim.step_up(&site.code()).await;
        let flow = kim.begin("settings", "").await;
        kim.submit(&flow, &[("lookup_secret_regenerate", "true")]).await;
        let gate = store.hold("update_flow");
        let (answer, ()) = tokio::join!(kim.submit(&flow, &[("lookup_secret_confirm", "true")]), async {
            gate.reached().await;
            touch(&store, &flow).await;
            gate.open();
        });
        assert_eq!((answer.status, answer.messages()), (StatusCode::OK, vec![1_050_001]), "{answer:?}");
        let page = kim.read("settings", flow.id()).await;
        assert_eq!((&page.json()["state"], page.messages()), (&"success".into(), vec![1_050_001]));
        assert_eq!(codes_of(&page.json()), Vec::<String>::new(), "the codes are shown once only");
        let strip = |answer: &Answer| answer.json()["ui"]["nodes"].to_string().replace(&csrf(answer), "");
        assert_eq!(strip(&answer), strip(&page), "what the answer shows is stored");
    }
}

fn csrf(answer: &Answer) -> String {
    answer.node("csrf_token")["attributes"]["value"].as_str().unwrap().to_owned()
}

/// Sends a mail in two steps, so that a test can stop between them; and fails when it is told to.
#[derive(Clone, Default)]
struct Mail {
    sent: Arc<AtomicUsize>,
    slow: Arc<AtomicUsize>,
    fails: Arc<AtomicUsize>,
    reached: Arc<Notify>,
    goes: Arc<Notify>,
}

impl Mail {
    fn count(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Factor for Mail {
    fn method(&self) -> Method {
        Method::Code
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![Node::button(Group::Code, "method", "code", Text::info(1_010_023, "Send me a code"))]
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn sends(&self, form: &Form) -> bool {
        form.get("code").is_none()
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            if let Some(code) = form.get("code") {
                let credential = context.credentials[0].summary.id;
                let right = context.state == Some(code.as_bytes());
                return Ok(if right { Verdict::Proven(Consumption::Present { credential }) } else { Verdict::Wrong });
            }
            if self.slow.swap(0, Ordering::SeqCst) == 1 {
                self.reached.notify_one();
                self.goes.notified().await;
            }
            if self.fails.swap(0, Ordering::SeqCst) == 1 {
                return Err(FactorError::Unavailable("the mail server is down".into()));
            }
            let number = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
            let message = Some(Text::info(1_010_025, "A code is on its way."));
            Ok(Verdict::Continue { state: format!("code {number}").into_bytes(), message })
        })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_010_008, "This code is wrong.")
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }
}

impl Enrolment for Mail {
    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let shown = context.state.map_or("none", |state| std::str::from_utf8(state).unwrap());
        Ok(vec![Node::button(Group::Code, "method", "code", Text::info(1_010_023, format!("sent: {shown}")))])
    }

    fn claims(&self, _: &Form) -> bool {
        false
    }

    fn check_fields(&self, _: FactorContext<'_>, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn submit<'a>(&'a self, _: FactorContext<'a>, _: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(async move {
            if self.fails.swap(0, Ordering::SeqCst) == 1 {
                return Err(FactorError::Unavailable("the mail server is down".into()));
            }
            let number = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(EnrolmentOutcome::Pending { state: format!("code {number}").into_bytes(), message: None })
        })
    }
}

async fn mailing(kind: Kind) -> (TestStore, Mail, Client) {
    let (store, mail) = (TestStore::default(), Mail::default());
    let site = Site::on(store.clone(), |builder| builder.factor(mail.clone()));
    site.step_up.bind(&Subject::new("kim").unwrap(), Method::Code, Vec::new()).await.unwrap();
    let kim = client(&site, kind).await;
    (store, mail, kim)
}

const SEND: [(&str, &str); 1] = [("method", "code")];

async fn assert_one_mail(kim: &mut Client, flow: &OpenFlow, mail: &Mail, late: &Answer) {
    assert_eq!(mail.count(), 1, "{:?}", kim.kind);
    let late = shown(kim, "login", flow, late).await;
    assert_eq!((messages(&late), &late["state"]), (vec![1_010_025, GENERIC], &"sent_email".into()));
    let answer = kim.submit(flow, &[("method", "code"), ("code", "code 1")]).await;
    assert!(answer.status == StatusCode::OK || answer.status == StatusCode::SEE_OTHER, "{answer:?}");
    assert_eq!(kim.read("login", flow.id()).await.json()["state"], "passed_challenge", "the code of the mail is good");
}

#[tokio::test]
async fn of_two_requests_to_send_a_code_one_sends() {
    for kind in KINDS {
        // Before either has claimed the flow.
        let (store, mail, mut kim) = mailing(kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let mut again = kim.clone();
        let [late, _] = overtaken(&store, "update_flow", kim.submit(&flow, &SEND), again.submit(&flow, &SEND)).await;
        assert_one_mail(&mut kim, &flow, &mail, &late).await;

        // While the mail server takes its time.
        let (_, mail, mut kim) = mailing(kind).await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let mut again = kim.clone();
        mail.slow.store(1, Ordering::SeqCst);
        let (early, late) = tokio::join!(kim.submit(&flow, &SEND), async {
            mail.reached.notified().await;
            let late = again.submit(&flow, &SEND).await;
            mail.goes.notify_one();
            late
        });
        assert_eq!(mail.count(), 1, "{kind:?}");
        if kind != Kind::Browser {
            assert_eq!((early.status, early.messages()), (StatusCode::OK, vec![1_010_004, GENERIC, 1_010_025]));
            assert_eq!((late.status, late.messages()), (StatusCode::BAD_REQUEST, vec![1_010_004, GENERIC]), "{late:?}");
        }
        assert_eq!(kim.read("login", flow.id()).await.json()["state"], "sent_email");
        let answer = kim.submit(&flow, &[("method", "code"), ("code", "code 1")]).await;
        assert!(answer.status == StatusCode::OK || answer.status == StatusCode::SEE_OTHER, "{answer:?}");
        assert_eq!(kim.read("login", flow.id()).await.json()["state"], "passed_challenge");
    }
}

/// In the settings too: a code to a new address, for example.
#[tokio::test]
async fn of_two_requests_to_send_a_code_to_a_new_address_one_sends() {
    for kind in KINDS {
        let (store, mail) = (TestStore::default(), Mail::default());
        let site = Site::on(store.clone(), |builder| builder.factor(mail.clone()));
        let mut kim = client(&site, kind).await;
        let flow = kim.begin("settings", "").await;
        let mut again = kim.clone();
        let [late, _] = overtaken(&store, "update_flow", kim.submit(&flow, &SEND), again.submit(&flow, &SEND)).await;
        assert_eq!(mail.count(), 1, "{kind:?}");
        let late = shown(&mut kim, "settings", &flow, &late).await;
        assert_eq!(messages(&late), [GENERIC]);
        assert!(late["ui"]["nodes"].to_string().contains("sent: code 1"), "{late}");

        // What others write between the claim and the code changes nothing of it.
        let gate = store.hold("update_flow");
        let (answer, ()) = tokio::join!(kim.submit(&flow, &SEND), async {
            gate.reached().await;
            let second = store.hold("update_flow");
            gate.open();
            second.reached().await;
            touch(&store, &flow).await;
            second.open();
        });
        assert!(answer.status == StatusCode::OK || answer.status == StatusCode::SEE_OTHER, "{answer:?}");
        let page = kim.read("settings", flow.id()).await;
        assert!(page.text.contains("sent: code 2"), "{page:?}");

        mail.fails.store(1, Ordering::SeqCst);
        let failed = kim.submit(&flow, &SEND).await;
        assert!(!failed.status.is_success(), "{failed:?}");
        kim.submit(&flow, &SEND).await;
        assert_eq!(mail.count(), 3, "the claim ended with the failure");
    }
}

/// The claim ends with the answer, so that one after the other may send; also when the mail server is down.
#[tokio::test]
async fn one_after_the_other_may_send() {
    let (store, mail, mut kim) = mailing(Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    for number in 1..3 {
        let answer = kim.submit(&flow, &SEND).await;
        assert_eq!((answer.status, mail.count()), (StatusCode::OK, number), "{answer:?}");
    }
    mail.fails.store(1, Ordering::SeqCst);
    assert_eq!(kim.submit(&flow, &SEND).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kim.submit(&flow, &SEND).await.status, StatusCode::OK);
    assert_eq!(mail.count(), 3);
    // A claim costs a write, and answering none.
    store.take_calls();
    let wrong = kim.submit(&flow, &[("method", "code"), ("code", "wrong")]).await;
    assert_eq!(wrong.messages(), [4_010_008]);
    assert_eq!(store.take_calls(), ["flow", "credentials", "begin_attempt", "update_flow"]);
}

/// The code of a mail that went out is good, whatever is written to the flow while it goes.
#[tokio::test]
async fn what_was_sent_is_kept_whoever_writes() {
    let (_, mail, mut kim) = mailing(Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let mut again = kim.clone();
    mail.slow.store(1, Ordering::SeqCst);
    let (answer, _) = tokio::join!(kim.submit(&flow, &SEND), async {
        mail.reached.notified().await;
        let refused = again.submit(&flow, &[("method", "nonsense")]).await;
        mail.goes.notify_one();
        refused
    });
    assert_eq!((answer.status, answer.messages()), (StatusCode::OK, vec![4_010_002, 1_010_025]));
    let answer = kim.submit(&flow, &[("method", "code"), ("code", "code 1")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// Keeps a counter in its data, behind the name of the key that it is sealed under.
struct Counting;

impl Factor for Counting {
    fn method(&self) -> Method {
        Method::WebAuthn
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        Vec::new()
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn answer<'a>(&'a self, _: FactorContext<'a>, _: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async { Ok(Verdict::Wrong) })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(GENERIC.try_into().unwrap(), "No.")
    }

    fn reseal(&self, _: &Subject, known: &Credential, _: &Sealer) -> Result<Option<Vec<u8>>, SealError> {
        let text = String::from_utf8(known.data.clone()).unwrap();
        Ok(text.strip_prefix("old ").map(|counter| format!("new {counter}").into_bytes()))
    }
}

/// A proof that raises a counter while the credential is sealed anew is not undone.
#[tokio::test]
async fn a_reseal_undoes_no_proof() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder.factor(Counting));
    let kim = Subject::new("kim").unwrap();
    let credential = site.step_up.bind(&kim, Method::WebAuthn, b"old 1".to_vec()).await.unwrap();
    let gate = store.hold("complete");
    let (resealed, ()) = tokio::join!(site.step_up.reseal(&kim), async {
        gate.reached().await;
        let mut proof = Completion::new(kim.clone(), site.clock.now());
        let (expected, data) = (b"old 1".to_vec(), b"old 2".to_vec());
        proof.consume = Some(Consumption::Data { credential, expected, data });
        assert_eq!(store.complete(&proof).await.unwrap(), Completed::Done);
        gate.open();
    });
    assert_eq!(resealed.unwrap(), 1);
    assert_eq!(store.credentials(&kim).await.unwrap()[0].data, b"new 2");
}

/// What a store does not know, it has not done: the client is told to try again, and has neither more nor less than before.
#[tokio::test]
async fn what_a_store_does_not_know_is_refused() {
    let store = TestStore::default();
    let site = Site::on(store.clone(), |builder| builder);
    site.enrol("kim").await;
    let mut kim = client(&site, Kind::Spa).await;
    let flow = kim.begin("login", "?aal=aal2").await;
    let code = site.code();
    store.knows_less(true);
    let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.headers.get("set-cookie").is_none());
    let error = site.step_up.unbind(&Subject::new("kim").unwrap(), Method::Totp).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    store.knows_less(false);
    let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

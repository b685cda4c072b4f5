//! A factor that sends codes over a server which may be down, with an enrolment that sends them too.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tower_step_up::{
    Aal, Method,
    aal::CredentialId,
    factor::{
        Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal,
        Verdict,
    },
    standing::CredentialSummary,
    store::{Consumption, Credential, CredentialName},
    wire::ui::{Group, Node, Text},
};

/// What becomes of a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Server {
    #[default]
    Works,
    /// It takes no connection: nothing was compared or sent.
    Down,
    /// It does not say whether it has sent the code.
    Lost,
    Hangs,
    /// It works once it is let go.
    Waits,
}

/// An error with the errors behind it.
#[derive(Debug)]
pub struct Chain(pub &'static [&'static str], Option<Box<Chain>>);

impl Chain {
    pub fn of(texts: &'static [&'static str]) -> Self {
        let next = texts.get(1..).filter(|rest| !rest.is_empty());
        Self(texts, next.map(|rest| Box::new(Self::of(rest))))
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0[0])
    }
}

impl std::error::Error for Chain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|next| -> &(dyn std::error::Error + 'static) { next })
    }
}

pub const WHY: &[&str] = &["mail.example cannot be reached", "no connection", "connection refused (os error 111)"];

#[derive(Clone, Default)]
pub struct Post {
    timeout: Option<Duration>,
    server: Arc<Mutex<Server>>,
    sent: Arc<AtomicUsize>,
    compared: Arc<AtomicUsize>,
    pub reached: Arc<Notify>,
    pub goes: Arc<Notify>,
}

impl Post {
    pub fn with_timeout(timeout: Option<Duration>) -> Self {
        Self { timeout, ..Self::default() }
    }

    pub fn is(&self, server: Server) {
        *self.server.lock().unwrap() = server;
    }

    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// How many codes were compared.
    pub fn compared(&self) -> usize {
        self.compared.load(Ordering::SeqCst)
    }

    /// The code that was sent last.
    pub fn code(&self) -> String {
        format!("code {}", self.sent())
    }

    fn is_right(&self, context: &FactorContext<'_>, code: &str) -> bool {
        self.compared.fetch_add(1, Ordering::SeqCst);
        context.state == Some(code.as_bytes())
    }

    /// Sends a code, and returns the state that knows it.
    async fn send(&self) -> Result<Vec<u8>, FactorError> {
        let server = *self.server.lock().unwrap();
        match server {
            Server::Down => return Err(FactorError::NotCompared(Chain::of(WHY).into())),
            Server::Lost => return Err(FactorError::Unavailable(Chain::of(WHY).into())),
            Server::Hangs => std::future::pending().await,
            Server::Waits => {
                self.reached.notify_one();
                self.goes.notified().await;
            }
            Server::Works => {}
        }
        self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(self.code().into_bytes())
    }
}

impl Factor for Post {
    fn method(&self) -> Method {
        Method::Code
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![Node::button(Group::Code, "method", "code", Text::info(1_010_023, "Send me a code"))]
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn sends(&self, form: &Form) -> bool {
        ["code", "remove", "name"].iter().all(|field| form.get(field).is_none())
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            let credential = context.credentials[0].summary.id;
            Ok(match form.get("code") {
                Some(code) if self.is_right(&context, code) => Verdict::Proven(Consumption::Present { credential }),
                Some(_) => Verdict::Wrong,
                None => Verdict::Continue { state: self.send().await?, message: None },
            })
        })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_010_008, "This code is wrong.")
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }
}

impl Enrolment for Post {
    fn nodes(&self, _: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        Ok(vec![Node::button(Group::Code, "method", "code", Text::info(1_010_023, "Send me a code"))])
    }

    fn claims(&self, _: &Form) -> bool {
        false
    }

    fn check_fields(&self, _: FactorContext<'_>, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(async move {
            if form.get("remove").is_some() {
                return Ok(EnrolmentOutcome::Removed);
            }
            if let Some(name) = form.get("name") {
                let (Ok(name), [credential, ..]) = (CredentialName::new(name), context.credentials) else {
                    return Ok(EnrolmentOutcome::Refused(Text::error(4_000_001, "This is no name.")));
                };
                return Ok(EnrolmentOutcome::Renamed { credential: credential.summary.id, name: Some(name) });
            }
            let Some(code) = form.get("code") else {
                return Ok(EnrolmentOutcome::Pending { state: self.send().await?, message: None });
            };
            if !self.is_right(&context, code) {
                let text = Text::error(4_010_008, "This code is wrong.");
                return Ok(EnrolmentOutcome::Wrong(FieldError { field: Some("method"), text }));
            }
            let summary = CredentialSummary { id: CredentialId::random(), method: Method::Code, aal: Aal::Aal2 };
            let credential = Credential::new(summary, context.now);
            let replaces = form.get("replace").is_some();
            Ok(if replaces { EnrolmentOutcome::Enrolled(credential) } else { EnrolmentOutcome::Added(credential) })
        })
    }
}

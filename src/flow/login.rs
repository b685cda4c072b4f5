//! Login flows: how one begins, what is kept of it, and what it shows.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::csrf::{CsrfHash, CsrfToken};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    config::Inner,
    error::StoreError,
    factor::{Factor, FactorContext, FactorError},
    session::{BindingKey, Session, Subject},
    store::{Credential, FlowId, StoreErrorKind, StoredFlow},
    ui::{Group, Node, Text, message, sort_login_nodes},
};

/// For whom a flow was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FlowType {
    /// A browser, with cookies.
    Browser,
    /// A native or API client, with a token.
    Api,
}

/// What a client asks for when it begins a login flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) aal2: bool,
    pub(crate) refresh: bool,
}

/// What is known of the client's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) level: Aal,
    /// Any second factor is enrolled.
    pub(crate) enrolled: bool,
    /// One of them can be used now.
    pub(crate) usable: bool,
}

/// How the request to begin a login flow ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// A flow, whose messages follow from the session.
    Flow,
    /// A flow that only says that a second factor must be enrolled first; browsers are led there at once.
    EnrolFirst,
    /// A flow that only says that no second factor can be used.
    NothingUsable,
    /// The first factor is missing.
    FirstFactorRequired,
    /// The application's own login is asked for.
    FirstLogin,
    /// The session has the level already.
    AlreadyAvailable,
}

/// The outcome table of the wire contract, section 4. `None`: no session.
pub(crate) fn begin(asked: Asked, session: Option<Known>) -> Begin {
    match (session, asked) {
        (None, Asked { aal2: true, .. }) => Begin::FirstFactorRequired,
        (None | Some(_), Asked { aal2: false, refresh: true }) | (None, Asked { aal2: false, refresh: false }) => {
            Begin::FirstLogin
        }
        (Some(_), Asked { aal2: false, refresh: false }) => Begin::AlreadyAvailable,
        (Some(Known { level: Aal::Aal2, .. }), Asked { aal2: true, refresh: false }) => Begin::AlreadyAvailable,
        (Some(Known { usable: true, .. }), Asked { aal2: true, .. }) => Begin::Flow,
        (Some(Known { enrolled: true, .. }), Asked { aal2: true, .. }) => Begin::NothingUsable,
        (Some(_), Asked { aal2: true, .. }) => Begin::EnrolFirst,
    }
}

/// The messages that a flow begins with.
pub(crate) fn opening_messages(asked: Asked, level: Aal, outcome: Begin, settings_url: &Url) -> Vec<Text> {
    let mut messages = Vec::new();
    if asked.refresh {
        messages.push(message::confirm_it_is_you());
    }
    if asked.aal2 && level < Aal::Aal2 {
        messages.push(message::second_step());
    }
    match outcome {
        Begin::EnrolFirst => messages.push(message::nothing_enrolled(settings_url.as_str())),
        Begin::NothingUsable => messages.push(message::nothing_usable()),
        _ => {}
    }
    messages
}

/// A login flow as it is kept. What it shows is made anew each time, from the credentials that exist then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoginFlow {
    #[serde(skip, default = "FlowId::random")]
    id: FlowId,
    pub(crate) flow_type: FlowType,
    pub(crate) binding: Option<BindingKey>,
    pub(crate) requested_aal: Aal,
    pub(crate) refresh: bool,
    pub(crate) return_to: Option<Url>,
    pub(crate) request_url: Url,
    pub(crate) issued_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) csrf: Option<CsrfHash>,
    pub(crate) messages: Vec<Text>,
    /// What is said about a field, by its name.
    pub(crate) field_messages: Vec<(String, Text)>,
    pub(crate) active: Option<Method>,
    /// What factors keep between their steps, sealed, in base64.
    factor_states: BTreeMap<Method, String>,
    #[serde(skip)]
    subject: Option<Subject>,
    #[serde(skip)]
    version: u64,
    #[serde(skip)]
    pub(crate) completed: bool,
    #[serde(skip, default = "epoch")]
    pub(crate) expires_at: Timestamp,
}

fn epoch() -> Timestamp {
    Timestamp::from_unix_seconds(0)
}

/// Bodies of flows say what kind they are, so that the id of one kind is unknown to the endpoints of another.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Body<F> {
    Login(F),
}

/// What a new flow is made of.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) flow_type: FlowType,
    pub(crate) asked: Asked,
    pub(crate) session: Option<&'a Session>,
    pub(crate) return_to: Option<Url>,
    pub(crate) request_url: Url,
    pub(crate) csrf: Option<CsrfHash>,
    pub(crate) messages: Vec<Text>,
}

impl LoginFlow {
    pub(crate) fn open(inner: &Inner, opening: Opening<'_>, now: Timestamp) -> Self {
        Self {
            id: FlowId::random(),
            flow_type: opening.flow_type,
            binding: opening.session.map(Session::binding),
            requested_aal: if opening.asked.aal2 { Aal::Aal2 } else { Aal::Aal1 },
            refresh: opening.asked.refresh,
            return_to: opening.return_to,
            request_url: opening.request_url,
            issued_at: now,
            updated_at: now,
            csrf: opening.csrf,
            messages: opening.messages,
            field_messages: Vec::new(),
            active: None,
            factor_states: BTreeMap::new(),
            subject: opening.session.map(|session| session.subject().clone()),
            version: 0,
            completed: false,
            expires_at: now + inner.limits.login_flow_lifespan,
        }
    }

    /// A flow in place of this expired one, with the same purpose.
    pub(crate) fn reopen(&self, inner: &Inner, mut messages: Vec<Text>, now: Timestamp) -> Self {
        messages.push(message::login_expired(self.expires_at));
        Self {
            id: FlowId::random(),
            issued_at: now,
            updated_at: now,
            messages,
            field_messages: Vec::new(),
            active: None,
            factor_states: BTreeMap::new(),
            version: 0,
            completed: false,
            expires_at: now + inner.limits.login_flow_lifespan,
            ..self.clone()
        }
    }

    pub(crate) const fn id(&self) -> FlowId {
        self.id
    }

    pub(crate) const fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    pub(crate) const fn asked(&self) -> Asked {
        Asked { aal2: matches!(self.requested_aal, Aal::Aal2), refresh: self.refresh }
    }

    /// Whether the flow belongs to the session: same subject, and the key that survives rotations.
    pub(crate) fn belongs_to(&self, session: &Session) -> bool {
        self.subject.as_ref() == Some(session.subject()) && self.binding == Some(session.binding())
    }

    pub(crate) const fn is_bound(&self) -> bool {
        self.binding.is_some()
    }

    /// Reads a flow back; `None` if it is of another kind.
    pub(crate) fn from_stored(stored: StoredFlow) -> Result<Option<Self>, StoreError> {
        let Ok(Body::Login(flow)) = serde_json::from_str::<Body<Self>>(&stored.body) else {
            // A body of another kind is somebody's mistake or trick, one of none a damaged row.
            let kind =
                serde_json::from_str::<Value>(&stored.body).ok().and_then(|body| Some(body.get("kind")?.to_string()));
            return match kind.as_deref() {
                Some("\"login\"") | None => Err(StoreError::new(StoreErrorKind::Corrupt)),
                Some(_) => Ok(None),
            };
        };
        Ok(Some(Self {
            id: stored.id,
            subject: stored.subject,
            version: stored.version,
            completed: stored.completed,
            expires_at: stored.expires_at,
            ..flow
        }))
    }

    pub(crate) fn to_stored(&self) -> Result<StoredFlow, StoreError> {
        let body = serde_json::to_string(&Body::Login(self))
            .map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        Ok(StoredFlow {
            id: self.id,
            subject: self.subject.clone(),
            expires_at: self.expires_at,
            version: self.version,
            completed: self.completed,
            body,
        })
    }

    /// A new message in place of all older ones, about the whole flow or about one field.
    pub(crate) fn say(&mut self, field: Option<&str>, text: Text, now: Timestamp) {
        self.clear_messages(now);
        match field {
            Some(field) => self.field_messages.push((field.to_owned(), text)),
            None => self.messages.push(text),
        }
    }

    pub(crate) fn clear_messages(&mut self, now: Timestamp) {
        self.messages.clear();
        self.field_messages.clear();
        self.updated_at = now;
    }

    /// Tells each usable factor that the flow begins, and keeps what it answers.
    pub(crate) async fn challenge(
        &mut self,
        inner: &Inner,
        credentials: &[Credential],
        now: Timestamp,
    ) -> Result<(), FactorError> {
        let Some(subject) = self.subject.clone() else { return Ok(()) };
        for (factor, own) in usable_factors(inner, credentials) {
            let context =
                FactorContext { subject: &subject, credentials: &own, now, sealer: &inner.sealer, state: None };
            if let Some(state) = factor.challenge(context).await? {
                self.keep_state(inner, factor.method(), &state)?;
            }
        }
        Ok(())
    }

    pub(crate) fn keep_state(&mut self, inner: &Inner, method: Method, state: &[u8]) -> Result<(), FactorError> {
        let sealed = inner.sealer.seal(&self.state_context(method), state)?;
        self.factor_states.insert(method, STANDARD.encode(sealed));
        Ok(())
    }

    pub(crate) fn state(&self, inner: &Inner, method: Method) -> Result<Option<Vec<u8>>, FactorError> {
        let Some(sealed) = self.factor_states.get(&method).and_then(|text| STANDARD.decode(text).ok()) else {
            return Ok(None);
        };
        Ok(Some(inner.sealer.open(&self.state_context(method), &sealed)?.to_vec()))
    }

    fn state_context(&self, method: Method) -> Vec<u8> {
        format!("flow\0{method}\0{}", self.id).into_bytes()
    }

    /// The nodes that the flow shows to a subject with these credentials.
    pub(crate) fn nodes(
        &self,
        inner: &Inner,
        credentials: &[Credential],
        csrf: Option<&CsrfToken>,
        now: Timestamp,
    ) -> Result<Vec<Node>, FactorError> {
        let mut nodes = Vec::new();
        if let Some(subject) = &self.subject
            && self.requested_aal == Aal::Aal2
        {
            for (factor, own) in usable_factors(inner, credentials) {
                let state = self.state(inner, factor.method())?;
                let context =
                    FactorContext { subject, credentials: &own, now, sealer: &inner.sealer, state: state.as_deref() };
                nodes.extend(factor.nodes(context));
            }
        }
        match self.flow_type {
            FlowType::Browser => {
                let masked = csrf.and_then(CsrfToken::mask).unwrap_or_default();
                nodes.push(Node::hidden(Group::Default, "csrf_token", masked).required());
            }
            FlowType::Api if !nodes.is_empty() => {
                nodes.push(Node::hidden(Group::Default, "csrf_token", "").required());
            }
            FlowType::Api => {}
        }
        for node in &mut nodes {
            let own = self.field_messages.iter().filter(|(field, _)| field == node.name());
            node.messages = own.map(|(_, text)| text.clone()).collect();
        }
        sort_login_nodes(&mut nodes);
        Ok(nodes)
    }

    /// The flow object of the wire contract.
    pub(crate) fn view(&self, inner: &Inner, nodes: &[Node]) -> Value {
        let action = inner.urls.route("self-service/login", &[("flow", Some(&self.id.to_string()))]);
        let mut ui = json!({ "action": action, "method": "POST", "nodes": nodes });
        if !self.messages.is_empty() {
            ui["messages"] = json!(self.messages);
        }
        let mut view = Map::new();
        for (name, value) in [
            ("id", json!(self.id)),
            ("organization_id", Value::Null),
            ("type", json!(self.flow_type)),
            ("expires_at", json!(self.expires_at)),
            ("issued_at", json!(self.issued_at)),
            ("request_url", json!(self.request_url)),
            ("refresh", json!(self.refresh)),
            ("requested_aal", json!(self.requested_aal)),
            ("state", json!(if self.completed { "passed_challenge" } else { "choose_method" })),
            ("created_at", json!(self.issued_at)),
            ("updated_at", json!(self.updated_at)),
            ("ui", ui),
        ] {
            view.insert(name.to_owned(), value);
        }
        if let Some(return_to) = &self.return_to {
            view.insert("return_to".to_owned(), json!(return_to));
        }
        if let Some(active) = self.active {
            view.insert("active".to_owned(), json!(active));
        }
        Value::Object(view)
    }
}

/// The second factors that the subject can use now, with its credentials of each.
pub(crate) fn usable_factors<'a>(
    inner: &'a Inner,
    credentials: &'a [Credential],
) -> impl Iterator<Item = (&'a dyn Factor, Vec<Credential>)> {
    inner.factors.iter().filter(|factor| factor.aal() == Aal::Aal2).filter_map(|factor| {
        let own = credentials_of(credentials, factor.method());
        factor.is_usable(&own).then(|| (factor.as_ref(), own))
    })
}

pub(crate) fn credentials_of(credentials: &[Credential], method: Method) -> Vec<Credential> {
    credentials.iter().filter(|credential| credential.summary.method == method).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_outcome_table() {
        let asked = |aal2, refresh| Asked { aal2, refresh };
        let known = |level, enrolled, usable| Some(Known { level, enrolled, usable });
        let aal1 = known(Aal::Aal1, true, true);
        let aal2 = known(Aal::Aal2, true, true);
        for (session, aal2_asked, refresh, expected) in [
            (None, true, false, Begin::FirstFactorRequired),
            (None, true, true, Begin::FirstFactorRequired),
            (None, false, false, Begin::FirstLogin),
            (None, false, true, Begin::FirstLogin),
            (aal1, false, false, Begin::AlreadyAvailable),
            (aal2, false, false, Begin::AlreadyAvailable),
            (aal2, true, false, Begin::AlreadyAvailable),
            (aal1, true, false, Begin::Flow),
            (aal1, true, true, Begin::Flow),
            (aal2, true, true, Begin::Flow),
            (aal1, false, true, Begin::FirstLogin),
            (aal2, false, true, Begin::FirstLogin),
            (known(Aal::Aal1, false, false), true, false, Begin::EnrolFirst),
            (known(Aal::Aal1, false, false), true, true, Begin::EnrolFirst),
            (known(Aal::Aal1, true, false), true, false, Begin::NothingUsable),
            (known(Aal::Aal2, true, false), true, true, Begin::NothingUsable),
        ] {
            assert_eq!(begin(asked(aal2_asked, refresh), session), expected, "{session:?} {aal2_asked} {refresh}");
        }
    }

    #[test]
    fn messages_come_in_the_order_of_the_contract() {
        let url = Url::parse("https://bank.example/self-service/settings/browser").unwrap();
        let ids = |aal2, refresh, level, outcome| -> Vec<u32> {
            opening_messages(Asked { aal2, refresh }, level, outcome, &url).iter().map(|text| text.id).collect()
        };
        assert_eq!(ids(true, false, Aal::Aal1, Begin::Flow), [1_010_004]);
        assert_eq!(ids(true, true, Aal::Aal1, Begin::Flow), [1_010_003, 1_010_004]);
        assert_eq!(ids(true, true, Aal::Aal2, Begin::Flow), [1_010_003]);
        assert_eq!(ids(true, true, Aal::Aal1, Begin::EnrolFirst), [1_010_003, 1_010_004, 1_990_001]);
        assert_eq!(ids(true, false, Aal::Aal1, Begin::NothingUsable), [1_010_004, 1_990_002]);
    }
}

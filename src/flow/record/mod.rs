//! A flow as it is stored, for every purpose. What it shows is made each time from the current credentials.

mod steps;
mod storing;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    csrf::{CsrfHash, CsrfToken},
    states::FactorStates,
};
use crate::{
    aal::{Aal, BuiltIn, Method},
    clock::Timestamp,
    session::{BindingKey, Session, Subject},
    store::FlowId,
    wire::ui::{Group, Node, Text},
};

/// The kind of client that a flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FlowType {
    /// A browser, with cookies.
    Browser,
    /// A native or API client, with a token.
    Api,
}

/// What a flow is for. Endpoints of one purpose do not know the flows of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// To prove a level, or to prove it again.
    Login {
        requested_aal: Aal,
        refresh: bool,
        /// The only methods that are offered, as forms name them; `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        methods: Option<BuiltIn>,
    },
    /// To change one's factors. `success`: whether the last submit made a change.
    Settings { success: bool },
}

/// The name of the field for the user name.
pub(crate) const IDENTIFIER: &str = "identifier";

/// In bytes. The longest email address has 254.
const LONGEST_IDENTIFIER: usize = 512;

/// The parts of a new flow.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) flow_type: FlowType,
    pub(crate) session: Option<&'a Session>,
    pub(crate) return_to: Option<Url>,
    pub(crate) request_url: Url,
    pub(crate) csrf: Option<CsrfHash>,
    pub(crate) messages: Vec<Text>,
    pub(crate) expires_at: Timestamp,
}

/// A flow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    #[serde(flatten)]
    pub(crate) purpose: Purpose,
    #[allow(clippy::struct_field_names, reason = "`type` is a keyword")]
    pub(crate) flow_type: FlowType,
    pub(crate) return_to: Option<Url>,
    pub(crate) request_url: Url,
    pub(crate) issued_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) csrf: Option<CsrfHash>,
    pub(crate) messages: Vec<Text>,
    /// Messages about fields, by field name.
    field_messages: Vec<(String, Text)>,
    pub(crate) active: Option<Method>,
    /// The user name that somebody without a session has typed, so that nobody types it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typed_identifier: Option<String>,
    /// Wrong answers of a user without a session, who has no other counter.
    #[serde(default)]
    pub(crate) failures: u32,
    #[serde(flatten)]
    states: FactorStates,
    /// While another request may be sending something that must not go out twice: until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending_until: Option<Timestamp>,
    /// The line of the session that the success of a flow without a session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) began: Option<(Subject, BindingKey)>,
    /// The binding, in flows of a version that kept it here.
    #[serde(default, rename = "binding", skip_serializing_if = "Option::is_none")]
    binding_in_body: Option<BindingKey>,
    // The store keeps these fields beside the body, since it acts on them.
    #[serde(skip, default = "FlowId::random")]
    id: FlowId,
    #[serde(skip)]
    subject: Option<Subject>,
    #[serde(skip)]
    pub(crate) binding: Option<BindingKey>,
    #[serde(skip)]
    version: u64,
    /// `sending_until`, if this request set it.
    #[serde(skip)]
    claim: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) completed: bool,
    /// Whether the store knows that somebody is filling it in.
    #[serde(skip)]
    in_use: bool,
    /// Whether a store has it: see [`unstored`](super::unstored).
    #[serde(skip)]
    stored: bool,
    #[serde(skip, default = "epoch")]
    pub(crate) expires_at: Timestamp,
}

fn epoch() -> Timestamp {
    Timestamp::from_unix_seconds(0)
}

impl Flow {
    pub(crate) fn open(opening: Opening<'_>, now: Timestamp) -> Self {
        Self {
            purpose: opening.purpose,
            flow_type: opening.flow_type,
            return_to: opening.return_to,
            request_url: opening.request_url,
            issued_at: now,
            updated_at: now,
            csrf: opening.csrf,
            messages: opening.messages,
            field_messages: Vec::new(),
            active: None,
            typed_identifier: None,
            failures: 0,
            states: FactorStates::default(),
            sending_until: None,
            began: None,
            binding_in_body: None,
            id: FlowId::random(),
            subject: opening.session.map(|session| session.subject().clone()),
            binding: opening.session.and_then(Session::binding),
            version: 0,
            claim: None,
            completed: false,
            in_use: false,
            stored: false,
            expires_at: opening.expires_at,
        }
    }

    /// A flow to replace this expired one, with the same purpose, owner and return address.
    pub(crate) fn reopen(&self, messages: Vec<Text>, expires_at: Timestamp, now: Timestamp) -> Self {
        let opening = Opening {
            purpose: self.purpose,
            flow_type: self.flow_type,
            session: None,
            return_to: self.return_to.clone(),
            request_url: self.request_url.clone(),
            csrf: self.csrf.clone(),
            messages,
            expires_at,
        };
        Self { subject: self.subject.clone(), binding: self.binding, ..Self::open(opening, now) }
    }

    /// The same, begun under this id at this time.
    pub(crate) fn begun_as(self, id: FlowId, issued_at: Timestamp) -> Self {
        Self { id, issued_at, updated_at: issued_at, ..self }
    }

    pub(crate) const fn id(&self) -> FlowId {
        self.id
    }

    pub(crate) const fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Whether the flow began with a session.
    pub(crate) const fn is_bound(&self) -> bool {
        self.subject.is_some() || self.binding.is_some()
    }

    /// Whether the store should learn that somebody is filling it in. Only flows of a session push each other out.
    pub(crate) fn comes_into_use(&self, now: Timestamp) -> bool {
        self.binding.is_some() && !self.in_use && !self.completed && now < self.expires_at
    }

    /// Whether the flow belongs to the session: same subject, and same binding key, which survives rotations.
    pub(crate) fn belongs_to(&self, session: &Session) -> bool {
        self.subject.as_ref() == Some(session.subject()) && self.binding.is_some() && self.binding == session.binding()
    }

    /// Whether the browser with this token began the flow.
    pub(crate) fn was_begun_with(&self, csrf: Option<&CsrfToken>) -> bool {
        match (csrf, &self.csrf) {
            (Some(csrf), Some(hash)) => csrf.began(hash),
            _ => false,
        }
    }

    /// The flow as it stays once a factor is proven: nobody who goes back to it sees an old error, or who has signed in here.
    pub(crate) fn pass(&mut self, method: Method, now: Timestamp) {
        self.active = Some(method);
        self.typed_identifier = None;
        self.clear_messages(now);
        self.release();
    }

    /// Keeps the user name for the next try. What is too long to be one is not kept.
    pub(crate) fn keep_typed(&mut self, identifier: Option<&str>) {
        self.typed_identifier = identifier.filter(|typed| typed.len() <= LONGEST_IDENTIFIER).map(str::to_owned);
    }

    /// Takes over the user name from another copy of this flow.
    pub(crate) fn copy_typed(&mut self, from: &Self) {
        self.typed_identifier.clone_from(&from.typed_identifier);
    }

    /// Replaces all messages by this one, about the whole flow or about one field.
    pub(crate) fn say(&mut self, field: Option<&str>, text: Text, now: Timestamp) {
        self.clear_messages(now);
        match field {
            Some(field) => self.field_messages.push((field.to_owned(), text)),
            None => self.messages.push(text),
        }
    }

    /// Adds a message to those of a concurrent request.
    pub(crate) fn say_too(&mut self, field: Option<&str>, text: Text, now: Timestamp) {
        match field {
            Some(field) => {
                let said = (field.to_owned(), text);
                if !self.field_messages.contains(&said) {
                    self.field_messages.push(said);
                }
            }
            None if self.messages.contains(&text) => {}
            None => self.messages.push(text),
        }
        self.updated_at = now;
    }

    pub(crate) fn clear_messages(&mut self, now: Timestamp) {
        self.messages.clear();
        self.field_messages.clear();
        self.updated_at = now;
    }

    /// Puts the messages about fields onto their nodes.
    pub(crate) fn said_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a Text> {
        self.field_messages.iter().filter(move |(own, _)| own == field).map(|(_, text)| text)
    }

    pub(crate) fn annotate(&self, nodes: &mut [Node]) {
        for node in nodes {
            let own = self.field_messages.iter().filter(|(field, _)| field == node.name());
            node.messages = own.map(|(_, text)| text.clone()).collect();
        }
    }

    /// Fills in the user name of the last try.
    pub(crate) fn fill_in(&self, nodes: &mut [Node]) {
        let Some(typed) = &self.typed_identifier else { return };
        for node in nodes.iter_mut().filter(|node| node.name() == IDENTIFIER) {
            node.set_value(typed.clone());
        }
    }

    /// The node of the CSRF token. API flows check none: theirs is empty, and shown only along with other nodes.
    pub(crate) fn csrf_node(&self, csrf: Option<&CsrfToken>, others: bool) -> Option<Node> {
        let value = match self.flow_type {
            FlowType::Browser => csrf.and_then(CsrfToken::mask).unwrap_or_default(),
            FlowType::Api if others => String::new(),
            FlowType::Api => return None,
        };
        Some(Node::hidden(Group::Default, "csrf_token", value).required())
    }

    /// Whether this is a browser flow.
    pub(crate) fn is_of_browser(&self) -> bool {
        self.flow_type == FlowType::Browser
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::{aal::Proof, session::StoredSession, store::StoredFlow};

    fn flow(session: Option<&StoredSession>, now: Timestamp) -> Flow {
        let opening = Opening {
            purpose: Purpose::Login { requested_aal: Aal::Aal2, refresh: false, methods: None },
            flow_type: FlowType::Api,
            session: session.map(AsRef::as_ref),
            return_to: None,
            request_url: Url::parse("https://bank.example/self-service/login/api").unwrap(),
            csrf: None,
            messages: Vec::new(),
            expires_at: now,
        };
        Flow::open(opening, now)
    }

    fn step_up() -> crate::StepUp {
        crate::StepUp::builder("https://bank.example")
            .signing_key(crate::SigningKey::generate("2026-11").unwrap())
            .store(crate::store::MemoryStore::default())
            .factor(crate::factor::Totp::new("Example Bank"))
            .build()
            .unwrap()
    }

    /// The new flow has no messages, attempts or states of the expired one.
    #[test]
    fn a_flow_in_place_of_an_expired_one_begins_anew() {
        let (step_up, then, now) = (step_up(), Timestamp::from_unix_seconds(1000), Timestamp::from_unix_seconds(2000));
        let mut old = flow(None, then);
        old.say(Some("totp_code"), Text::info(1, "x"), then);
        old.keep_state(step_up.engine(), Method::Totp, b"kept", &[]).unwrap();
        (old.active, old.failures, old.version, old.completed) = (Some(Method::Totp), 4, 3, true);
        let new = old.reopen(vec![Text::info(2, "y")], now + Duration::from_secs(60), now);
        assert_ne!(new.id(), old.id());
        assert_eq!((new.issued_at, new.updated_at, new.expires_at), (now, now, now + Duration::from_secs(60)));
        assert_eq!((new.active, new.failures, new.version, new.completed), (None, 0, 0, false));
        assert!(new.field_messages.is_empty() && !new.states.has(Method::Totp));
        assert_eq!(new.messages, [Text::info(2, "y")]);
    }

    /// Flows of the version before have no methods. Those of this one keep them, through an expiry too.
    #[test]
    fn the_methods_that_were_asked_for_stay() {
        let now = Timestamp::from_unix_seconds(1000);
        let without = flow(None, now).to_stored().unwrap();
        assert!(!without.body.contains("methods"), "{}", without.body);
        assert_eq!(Flow::from_stored(without).unwrap().purpose, flow(None, now).purpose);
        let methods = BuiltIn::named("webauthn,totp");
        let mut named = flow(None, now);
        named.purpose = Purpose::Login { requested_aal: Aal::Aal2, refresh: true, methods };
        let stored = named.to_stored().unwrap();
        assert!(stored.body.contains(r#""methods":"totp,webauthn""#), "{}", stored.body);
        let read = Flow::from_stored(stored).unwrap();
        assert_eq!((read.purpose, read.reopen(Vec::new(), now, now).purpose), (named.purpose, named.purpose));
    }

    /// One request at a time has the claim, and the claim expires: a request that died blocks nobody for good.
    #[test]
    fn a_claim_is_one_requests_and_ends() {
        let at = Timestamp::from_unix_seconds;
        let mut first = flow(None, at(1000));
        assert!(first.claim(at(1000), at(1005)) && first.is_claimed());
        let stored = || Flow::from_stored(first.to_stored().unwrap()).unwrap();
        let mut second = stored();
        assert!(!second.is_claimed() && !second.claim(at(1004), at(1009)), "another has it");
        second.release();
        assert!(!second.claim(at(1004), at(1009)), "and keeps it");
        assert!(second.claim(at(1005), at(1010)), "but not for ever");
        let reopened = first.reopen(Vec::new(), at(2000), at(1001));
        assert!(!reopened.is_claimed() && reopened.clone().claim(at(1001), at(1002)));

        // The first returns late and reads what the second has stored: that claim is not its own.
        let mut late = first.clone();
        late.replace_by(Flow::from_stored(second.to_stored().unwrap()).unwrap());
        late.release();
        assert!(!late.claim(at(1006), at(1011)));
        // In time, it releases its own claim, whatever others have written.
        let mut early = first.clone();
        early.replace_by(stored());
        early.release();
        assert!(early.claim(at(1001), at(1006)));
        assert!(!flow(None, at(1000)).to_stored().unwrap().body.contains("sending"));
    }

    /// Messages of concurrent requests are all kept. Equal ones are kept once.
    #[test]
    fn messages_at_once_stand_side_by_side() {
        let now = Timestamp::from_unix_seconds(1000);
        let mut flow = flow(None, now);
        let [one, two] = [1, 2].map(|id| Text::error(id, "x"));
        for _ in 0..2 {
            for text in [&one, &two] {
                flow.say_too(None, text.clone(), now);
                flow.say_too(Some("totp_code"), text.clone(), now);
            }
        }
        assert_eq!((flow.messages.len(), flow.field_messages.len()), (2, 2));
        flow.say(None, one.clone(), now);
        assert_eq!((flow.messages.as_slice(), flow.field_messages.len()), (&[one][..], 0));
    }

    /// A flow of the previous version has its binding in the body, and keeps it through every write.
    #[test]
    fn flows_of_the_version_before_still_belong_to_their_session() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let subject = Subject::new("kim").unwrap();
        let [session, other] = [(); 2].map(|()| {
            StoredSession::new(subject.clone(), Proof::new(Method::Password, Aal::Aal1, now), now, Duration::MAX)
        });
        let stored = flow(Some(&session), now).to_stored().unwrap();
        assert!(!stored.body.contains("binding"), "{}", stored.body);
        let mut body: Map<String, Value> = serde_json::from_str(&stored.body).unwrap();
        body.insert("binding".to_owned(), json!(session.binding()));
        let mut stored = StoredFlow { binding: None, body: Value::Object(body).to_string(), ..stored };
        for _ in 0..3 {
            let flow = Flow::from_stored(stored.clone()).unwrap();
            assert!(flow.is_bound() && flow.belongs_to(session.as_ref()) && !flow.belongs_to(other.as_ref()));
            stored = StoredFlow { binding: None, ..flow.to_stored().unwrap() };
        }
        let reopened = Flow::from_stored(stored.clone()).unwrap().reopen(Vec::new(), now, now).to_stored().unwrap();
        assert_eq!(reopened.binding, Some(session.binding()));
        assert!(!reopened.body.contains("binding"), "{}", reopened.body);

        // Without a binding, it belongs to no session.
        let body = stored.body.replace("binding", "bound");
        let flow = Flow::from_stored(StoredFlow { body, ..stored }).unwrap();
        assert!(flow.is_bound() && !flow.belongs_to(session.as_ref()));
    }
}

//! Login flows: how they begin and what they show.

use serde_json::{Value, json};
use url::Url;

use super::{
    csrf::CsrfToken,
    owner::Owner,
    record::{Flow, FlowType, IDENTIFIER, Purpose},
};
use crate::{
    aal::{Aal, BuiltIn, Method},
    audit::AuditEventKind,
    clock::Timestamp,
    engine::Engine,
    factor::{Factor, FactorError, FirstFactor, FirstStep, Form},
    source::Evidence,
    wire::ui::{Group, Node, Text, message, sort_login_nodes},
};

/// The name of the buttons that send a code.
const ADDRESS: &str = "address";

/// What a client asks for when it begins a login flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) aal2: bool,
    pub(crate) refresh: bool,
    /// The only methods that will do, as forms name them; `None` for all. They imply `refresh`.
    pub(crate) methods: Option<BuiltIn>,
}

impl Asked {
    /// For logs.
    pub(crate) const fn name(self) -> &'static str {
        match (self.aal2, self.refresh) {
            (true, false) => "aal2",
            (true, true) => "aal2 anew",
            (false, false) => "aal1",
            (false, true) => "aal1 anew",
        }
    }

    pub(crate) const fn level(self) -> Aal {
        if self.aal2 { Aal::Aal2 } else { Aal::Aal1 }
    }

    /// Whether a proof by this factor is what is asked for.
    pub(crate) fn takes(self, factor: &dyn Factor) -> bool {
        factor.aal() == self.level() && self.methods.is_none_or(|methods| methods.contains(factor.shown_as()))
    }

    pub(crate) const fn purpose(self) -> Purpose {
        Purpose::Login { requested_aal: self.level(), refresh: self.refresh, methods: self.methods }
    }
}

/// The client's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) level: Aal,
    pub(crate) prospects: Prospects,
}

/// What a subject can do about a second factor that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prospects {
    /// One that will do can be used now.
    Usable,
    /// One is enrolled and cannot be used now, or none that will do is configured.
    NothingUsable,
    /// None that will do is enrolled.
    NothingEnrolled,
}

impl Prospects {
    pub(crate) fn of(owner: &Owner, flow_type: FlowType, asked: Asked, engine: &Engine) -> Self {
        if owner.usable_factors(engine, flow_type, |factor| asked.takes(factor)).next().is_some() {
            return Self::Usable;
        }
        let (is_enrolled, is_configured) = if asked.methods.is_none() {
            (owner.has_second_factor(), true)
        } else {
            let taken = || engine.factors.iter().filter(|factor| asked.takes(factor.as_ref()));
            let is_enrolled = taken().any(|factor| !owner.credentials_of(factor.method()).is_empty());
            (is_enrolled, taken().next().is_some())
        };
        if is_enrolled || !is_configured { Self::NothingUsable } else { Self::NothingEnrolled }
    }

    /// How a flow for a second factor begins.
    pub(crate) const fn begin(self) -> Begin {
        match self {
            Self::Usable => Begin::Flow,
            Self::NothingUsable => Begin::NothingUsable,
            Self::NothingEnrolled => Begin::EnrolFirst,
        }
    }
}

/// The answer to a request to begin a login flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// A flow with messages that follow from the session.
    Flow,
    /// A second factor must be enrolled first. Browsers are led there at once; API clients get a flow that only says so.
    EnrolFirst,
    /// A flow that only says that no second factor can be used.
    NothingUsable,
    /// The first factor is missing.
    FirstFactorRequired,
    /// The client must use the application's own login.
    FirstLogin,
    /// The session has the level already.
    AlreadyAvailable,
}

/// The outcome table of the wire contract, section 4. `None`: no session. `first_factor`: whether this router can check one.
pub(crate) fn begin(asked: Asked, session: Option<Known>, first_factor: bool) -> Begin {
    match (session, asked) {
        (None, Asked { aal2: true, .. }) => Begin::FirstFactorRequired,
        (None, Asked { aal2: false, .. }) | (Some(_), Asked { aal2: false, refresh: true, .. }) => {
            if first_factor {
                Begin::Flow
            } else {
                Begin::FirstLogin
            }
        }
        (Some(_), Asked { aal2: false, refresh: false, .. })
        | (Some(Known { level: Aal::Aal2, .. }), Asked { aal2: true, refresh: false, .. }) => Begin::AlreadyAvailable,
        (Some(Known { prospects, .. }), Asked { aal2: true, .. }) => prospects.begin(),
    }
}

/// The messages of a new flow.
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

/// What the client asked for; `None` if this is not a login flow.
pub(crate) const fn asked(flow: &Flow) -> Option<Asked> {
    let Purpose::Login { requested_aal, refresh, methods } = flow.purpose else { return None };
    Some(Asked { aal2: matches!(requested_aal, Aal::Aal2), refresh, methods })
}

/// Whether the session has a proof that counts by one of the methods that were asked for, if any were named.
pub(crate) fn has_method(asked: Asked, evidence: &Evidence, engine: &Engine, now: Timestamp) -> bool {
    let Some(methods) = asked.methods else { return true };
    let shown = |method: Method| engine.factor(method).map_or(method, Factor::shown_as);
    let mut counting = evidence.standing.counting_proofs(&evidence.session, now);
    counting.any(|proof| proof.aal() == asked.level() && methods.contains(shown(proof.method())))
}

/// Calls the challenge step of each usable factor, and keeps the state it returns. If there is only one, and the user has `asked_for` the form, it
/// may take its first step: returns what that has sent.
pub(crate) async fn challenge(
    flow: &mut Flow,
    engine: &Engine,
    owner: &Owner,
    asked: Asked,
    asked_for: bool,
    now: Timestamp,
) -> Result<Option<AuditEventKind>, FactorError> {
    let usable: Vec<_> = owner.usable_factors(engine, flow.flow_type, |factor| asked.takes(factor)).collect();
    for (factor, own) in &usable {
        let challenge = factor.challenge(owner.context(engine, flow, factor.method(), own, None, now));
        if let Some(state) = engine.in_time(*factor, challenge).await? {
            flow.keep_state(engine, factor.method(), &state, own)?;
        }
    }
    // Also beside what cannot be used, or not by this kind of client: as in Kratos, the user then chooses.
    let enrolled = engine.factors.iter().filter(|factor| asked.takes(factor.as_ref()));
    let enrolled = enrolled.filter(|factor| !owner.credentials_of(factor.method()).is_empty()).count();
    let ([(factor, own)], 1, true) = (usable.as_slice(), enrolled, asked_for) else { return Ok(None) };
    let method = factor.method();
    let state = flow.state_of(engine, factor.method(), own)?;
    let first = factor.begin_alone(owner.context(engine, flow, factor.method(), own, state.as_deref(), now));
    match engine.in_time(*factor, first).await? {
        FirstStep::Choose { message } => {
            flow.messages.extend(message);
            Ok(None)
        }
        FirstStep::Taken { state, credential, message } => {
            let own: Vec<_> = own.iter().filter(|one| one.summary.id == credential).cloned().collect();
            flow.keep_state(engine, factor.method(), &state, &own)?;
            flow.active = Some(factor.method());
            flow.say(None, message, now);
            Ok(Some(AuditEventKind::CodeSent { method, credential }))
        }
    }
}

/// The factor of this form, among those that the flow asks for; `None` if the form names none that the flow offers.
pub(crate) fn factor_of<'a>(engine: &'a Engine, flow: &Flow, asked: Asked, form: &Form) -> Option<&'a dyn Factor> {
    let mut fitting = engine.offered(flow.is_of_browser()).filter(|factor| asked.takes(*factor));
    match form.get("method") {
        None => fitting.find(|factor| factor.claims(form)),
        Some(name) => {
            let shown = name.parse::<Method>().ok()?;
            fitting.find(|factor| factor.shown_as() == shown)
        }
    }
}

/// The nodes of the flow, for its owner or for a user without a session.
pub(crate) fn nodes(
    flow: &Flow,
    asked: Asked,
    engine: &Engine,
    owner: Option<&Owner>,
    csrf: Option<&CsrfToken>,
    now: Timestamp,
) -> Result<Vec<Node>, FactorError> {
    let mut nodes = Vec::new();
    let mut sorted = true;
    if let Some(owner) = owner {
        let mut identifier = None;
        for (factor, own) in owner.usable_factors(engine, flow.flow_type, |factor| asked.takes(factor)) {
            let state = flow.state_of(engine, factor.method(), &own)?;
            let context = owner.context(engine, flow, factor.method(), &own, state.as_deref(), now);
            if factor.takes_over(context) {
                nodes = factor.nodes(context);
                (sorted, identifier) = (false, None);
                break;
            }
            identifier = identifier.or(factor.hidden_identifier(context));
            nodes.extend(factor.nodes(context));
        }
        if let Some(identifier) = identifier {
            say_identifier(&mut nodes, &identifier);
        }
    } else {
        nodes.extend(engine.factors.iter().filter_map(|factor| factor.first_factor()).flat_map(FirstFactor::nodes));
        flow.fill_in(&mut nodes);
    }
    nodes.extend(flow.csrf_node(csrf, !nodes.is_empty()));
    nodes.extend(begin_again(flow, engine));
    flow.annotate(&mut nodes);
    if sorted {
        sort_login_nodes(&mut nodes);
    }
    Ok(nodes)
}

/// Whether a factor has taken the form over: others could be used, or other addresses of the same, and these nodes show none of them.
pub(crate) fn leaves_out(flow: &Flow, asked: Asked, engine: &Engine, owner: &Owner, nodes: &[Node]) -> bool {
    let usable = || owner.usable_factors(engine, flow.flow_type, |factor| asked.takes(factor));
    let shown = |factor: &dyn Factor| nodes.iter().any(|node| Some(node.group) == Group::of(factor.shown_as()));
    let chosen = flow.is_bound() && nodes.iter().any(|node| node.group == Group::Code && node.is_hidden(IDENTIFIER));
    usable().any(|(factor, _)| !shown(factor)) || chosen && usable().any(|(_, own)| own.len() > 1)
}

/// Ory's clients send the hidden identifier along with whatever form, so it must fit the factor that reads it.
fn say_identifier(nodes: &mut [Node], identifier: &str) {
    for node in nodes.iter_mut().filter(|node| node.group == Group::Default && node.is_hidden(IDENTIFIER)) {
        node.set_value(identifier);
    }
}

/// How many wrong passwords a flow without a session allows.
pub(crate) const ANONYMOUS_FAILURES: u32 = 5;

/// Whether the flow was begun without a session and takes no more passwords.
pub(crate) fn is_used_up(flow: &Flow) -> bool {
    !flow.is_bound() && !flow.completed && flow.failures >= ANONYMOUS_FAILURES
}

/// The link from a flow that is used up to a new one.
fn begin_again(flow: &Flow, engine: &Engine) -> Option<Node> {
    let url = engine.urls.login(false, false, flow.return_to.as_ref());
    let used_up = flow.is_of_browser() && is_used_up(flow);
    used_up.then(|| Node::anchor(Group::Default, "begin_again", url, message::begin_again()))
}

/// Empties what says who the user is, and where codes go.
pub(crate) fn forget_identifier(nodes: &mut [Node]) {
    for node in nodes.iter_mut().filter(|node| node.name() == IDENTIFIER || node.name() == ADDRESS) {
        node.set_value("");
        if node.group == Group::Code && node.meta.label.is_some() {
            node.meta.label = Some(message::code_address_untold());
        }
    }
}

/// Where a flow of this kind begins.
pub(crate) const fn begin_path(flow_type: FlowType) -> &'static str {
    match flow_type {
        FlowType::Browser => "self-service/login/browser",
        FlowType::Api => "self-service/login/api",
    }
}

/// The URL to submit the flow to.
pub(crate) fn action(flow: &Flow, engine: &Engine) -> Url {
    engine.urls.route("self-service/login", &[("flow", Some(&flow.id().to_string()))])
}

/// The login flow object of the wire contract.
pub(crate) fn view(flow: &Flow, asked: Asked, engine: &Engine, nodes: &[Node]) -> Value {
    let mut view = flow.view(engine, &action(flow, engine), nodes);
    for (name, value) in [
        ("refresh", json!(asked.refresh)),
        ("requested_aal", json!(asked.level())),
        ("state", json!(state(flow, engine, nodes))),
        ("created_at", json!(flow.issued_at)),
        ("updated_at", json!(flow.updated_at)),
    ] {
        view.insert(name.to_owned(), value);
    }
    Value::Object(view)
}

fn state(flow: &Flow, engine: &Engine, nodes: &[Node]) -> &'static str {
    let code = engine.factor_shown_as(Method::Code).map(Factor::method);
    // Its address may be gone, and then another one is chosen.
    let chooses = nodes.iter().any(|node| node.name() == ADDRESS);
    if flow.completed {
        "passed_challenge"
    } else if code.is_some_and(|method| flow.states().has(method)) && !chooses {
        "sent_email"
    } else {
        "choose_method"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_outcome_table() {
        let asked = |aal2, refresh| Asked { aal2, refresh, methods: None };
        let flow_with_verifier = |outcome| if outcome == Begin::FirstLogin { Begin::Flow } else { outcome };
        let known = |level, prospects| Some(Known { level, prospects });
        let aal1 = known(Aal::Aal1, Prospects::Usable);
        let aal2 = known(Aal::Aal2, Prospects::Usable);
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
            (known(Aal::Aal1, Prospects::NothingEnrolled), true, false, Begin::EnrolFirst),
            (known(Aal::Aal1, Prospects::NothingEnrolled), true, true, Begin::EnrolFirst),
            (known(Aal::Aal1, Prospects::NothingUsable), true, false, Begin::NothingUsable),
            (known(Aal::Aal2, Prospects::NothingUsable), true, true, Begin::NothingUsable),
        ] {
            let asked = asked(aal2_asked, refresh);
            assert_eq!(begin(asked, session, false), expected, "{session:?} {asked:?}");
            assert_eq!(begin(asked, session, true), flow_with_verifier(expected), "{session:?} {asked:?}");
        }
    }

    #[test]
    fn messages_come_in_the_order_of_the_contract() {
        let url = Url::parse("https://bank.example/self-service/settings/browser").unwrap();
        let ids = |aal2, refresh, level, outcome| -> Vec<u32> {
            opening_messages(Asked { aal2, refresh, methods: None }, level, outcome, &url)
                .iter()
                .map(|text| text.id)
                .collect()
        };
        assert_eq!(ids(true, false, Aal::Aal1, Begin::Flow), [1_010_004]);
        assert_eq!(ids(true, true, Aal::Aal1, Begin::Flow), [1_010_003, 1_010_004]);
        assert_eq!(ids(true, true, Aal::Aal2, Begin::Flow), [1_010_003]);
        assert_eq!(ids(true, true, Aal::Aal1, Begin::EnrolFirst), [1_010_003, 1_010_004, 1_990_001]);
        assert_eq!(ids(true, false, Aal::Aal1, Begin::NothingUsable), [1_010_004, 1_990_002]);
    }
}

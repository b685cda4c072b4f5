//! A factor that the crate does not know: a question on one of the user's devices, under a name of its own, `push`. It has all that a
//! factor can have: several devices, bound in two steps and removed one by one, JSON in, and nodes of every kind out.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_step_up::{
    Aal, Method,
    aal::CredentialId,
    factor::{
        Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal,
        Verdict,
    },
    standing::CredentialSummary,
    store::{Consumption, Credential},
    wire::ui::{Group, InputKind, Node, Script, Text, Trigger},
};

pub const PUSH: Method = match Method::custom("push") {
    Ok(method) => method,
    Err(_) => panic!("not a name of a method"),
};

/// What a device shows while it is paired.
pub const PAIRING_CODE: &str = "pairing-code-4711";

pub struct Push;

/// What the settings flow keeps between its two steps.
#[derive(Serialize, Deserialize)]
struct Pairing {
    name: String,
    code: String,
}

/// Stands for a question to a service elsewhere.
async fn elsewhere<T>(answer: T) -> T {
    tokio::task::yield_now().await;
    answer
}

fn number(state: Option<&[u8]>) -> u64 {
    state.and_then(|state| serde_json::from_slice(state).ok()).unwrap_or(0)
}

fn script() -> Node {
    Node::script(Group::Code, Script::new("push_script", "https://bank.example/push.js", "sha512-x").nonce("n"))
}

impl Factor for Push {
    fn method(&self) -> Method {
        PUSH
    }

    fn challenge<'a>(&'a self, _: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        Box::pin(async { Ok(Some(elsewhere(b"41".to_vec()).await)) })
    }

    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node> {
        let number = number(context.state);
        let shown = Text::info(1_010_023, number.to_string()).with_context(json!({ "number": number }));
        let mut nodes = vec![
            Node::text(Group::Code, "push_number", shown, Text::info(1_070_013, "Choose this number on your device")),
            Node::anchor(Group::Code, "push_app", "bank://confirm", Text::info(1_010_023, "Open the app")),
        ];
        if context.browser {
            let trigger = Node::input(Group::Code, "push_trigger", InputKind::Button)
                .value(json!({ "number": number }).to_string())
                .onclick("window.oryWebAuthnLogin()", Trigger::WebAuthnLogin);
            nodes.extend([script(), Node::division(Group::Code, "push_progress").data("number", "1"), trigger]);
        }
        nodes.push(Node::button(Group::Code, "method", "code", Text::info(1_070_009, "I have confirmed it")));
        nodes
    }

    fn claims(&self, form: &Form) -> bool {
        form.json("approval").is_some() || form.get("approval").is_some()
    }

    fn check_fields(&self, form: &Form) -> Result<(), FieldError> {
        if Factor::claims(self, form) {
            return Ok(());
        }
        Err(FieldError { field: Some("push_trigger"), text: Text::error(4_000_002, "Please confirm on your device.") })
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            // From a script as an object, from a form as its text.
            let text = || form.get("approval").and_then(|text| serde_json::from_str(text).ok());
            let approval = form.json("approval").cloned().or_else(text).unwrap_or_default();
            let number = number(context.state);
            let device = context.credentials.iter().map(|device| device.summary.id);
            let device = device.into_iter().find(|id| approval["device"] == id.to_string());
            Ok(match elsewhere(device).await {
                Some(credential) if approval["number"] == number => {
                    Verdict::Proven(Consumption::Present { credential })
                }
                // Each number is good for one answer.
                _ => Verdict::Continue {
                    state: (number + 1).to_string().into_bytes(),
                    message: Some(self.refusal(Refusal::Wrong)),
                },
            })
        })
    }

    /// A double click on "add a device" asks for one code.
    fn sends(&self, form: &Form) -> bool {
        form.get("push_name").is_some() && form.get("push_rename").is_none()
    }

    fn refusal(&self, why: Refusal) -> Text {
        match why {
            Refusal::NotEnrolled => Text::error(4_000_035, "There is no device."),
            _ => Text::error(4_010_008, "That was another number."),
        }
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }
}

impl Push {
    fn pairing(context: &FactorContext<'_>) -> Option<Pairing> {
        context.state.and_then(|state| serde_json::from_slice(state).ok())
    }

    fn of<'a>(context: &FactorContext<'a>, id: Option<&str>) -> Option<&'a Credential> {
        context.credentials.iter().find(|device| Some(device.summary.id.to_string().as_str()) == id)
    }
}

impl Enrolment for Push {
    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let remove = |device: &Credential| {
            let name = device.name.as_ref().map_or("unnamed", |name| name.as_str());
            let added = device.created_at;
            let context = json!({ "display_name": name, "added_at": added, "added_at_unix": added.unix_seconds() });
            let label = Text::info(1_050_018, format!("Remove {name}")).with_context(context);
            Node::button(Group::Code, "push_remove", device.summary.id.to_string(), label)
        };
        let mut nodes: Vec<_> = context.credentials.iter().map(remove).collect();
        let label = |text| Text::info(1_050_013, text);
        if Self::pairing(&context).is_some() {
            nodes.push(Node::field(Group::Code, "push_code", InputKind::Text, label("Code that the device shows")));
        } else {
            let name = Node::input(Group::Code, "push_name", InputKind::Text).value("").label(label("Name"));
            nodes.push(name.maxlength(40));
        }
        nodes.push(Node::button(Group::Code, "method", "code", label("Add a device")));
        Ok(nodes)
    }

    fn claims(&self, form: &Form) -> bool {
        ["push_remove", "push_rename", "push_remove_all"].iter().any(|name| form.get(name).is_some())
    }

    fn check_fields(&self, context: FactorContext<'_>, form: &Form) -> Result<(), FieldError> {
        if Enrolment::claims(self, form) {
            return Ok(());
        }
        let field = if Self::pairing(&context).is_some() { "push_code" } else { "push_name" };
        let text = Text::error(4_000_002, "Please fill this in.").with_context(json!({ "property": field }));
        form.get(field).map(|_| ()).ok_or(FieldError { field: Some(field), text })
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(async move {
            let unknown = || EnrolmentOutcome::Refused(Text::error(4_000_001, "There is no such device."));
            if form.flag("push_remove_all") {
                return Ok(EnrolmentOutcome::Removed);
            }
            if let Some(id) = form.get("push_remove") {
                let device = Self::of(&context, Some(id)).map(|device| device.summary.id);
                return Ok(device.map_or_else(unknown, EnrolmentOutcome::RemovedOne));
            }
            if let Some(id) = form.get("push_rename") {
                let name = form.get("push_name").and_then(|name| name.parse().ok());
                let device = Self::of(&context, Some(id)).map(|device| device.summary.id);
                return Ok(device.map_or_else(unknown, |credential| EnrolmentOutcome::Renamed { credential, name }));
            }
            let Some(pairing) = Self::pairing(&context) else {
                let name = form.get("push_name").unwrap_or_default().to_owned();
                let pairing = Pairing { name, code: elsewhere(PAIRING_CODE.to_owned()).await };
                let state = serde_json::to_vec(&pairing).map_err(|error| FactorError::Unavailable(error.into()))?;
                let message = Some(Text::info(1_010_025, "Please look at your device."));
                return Ok(EnrolmentOutcome::Pending { state, message });
            };
            if form.get("push_code") != Some(elsewhere(pairing.code).await.as_str()) {
                let text = Text::error(4_010_008, "This is not what the device shows.");
                return Ok(EnrolmentOutcome::Wrong(FieldError { field: Some("push_code"), text }));
            }
            let Ok(name) = pairing.name.parse() else {
                return Ok(EnrolmentOutcome::Refused(Text::error(4_000_001, "Please choose another name.")));
            };
            let summary = CredentialSummary { id: CredentialId::random(), method: PUSH, aal: Aal::Aal2 };
            Ok(EnrolmentOutcome::Added(Credential::new(summary, context.now).with_name(name)))
        })
    }
}

//! What the endpoints answer, as types for clients written in Rust: native apps, services, tests.
//!
//! They read what this crate sends. Fields that a client does not know are ignored, so that a newer server does not break it.
//!
//! ```
//! use tower_step_up::wire::{ErrorEnvelope, LoginFlow};
//!
//! # fn read(body: &str) -> serde_json::Result<()> {
//! // 200 of `GET /self-service/login/api?aal=aal2`
//! let flow: LoginFlow = serde_json::from_str(body)?;
//! for node in &flow.ui.nodes {
//!     println!("{}", node.name());
//! }
//! # Ok(())
//! # }
//! # let refused = r#"{"error":{"id":"session_inactive","code":401,"status":"Unauthorized","reason":"..","message":".."}}"#;
//! let refused: ErrorEnvelope = serde_json::from_str(refused)?;
//! assert_eq!(refused.error.id.as_deref(), Some("session_inactive"));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::ui::{Node, Text};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
};

/// Which kind of client a flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowKind {
    /// A browser, also one that runs a single-page application.
    Browser,
    /// A program: a native app, a service.
    Api,
}

/// How far a login flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LoginState {
    /// The user chooses a method and answers.
    ChooseMethod,
    /// A code was sent, and is to be typed in.
    SentEmail,
    /// It is done.
    PassedChallenge,
}

/// How far a settings flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SettingsState {
    /// The user may change something.
    ShowForm,
    /// The last change was stored.
    Success,
}

/// What a flow shows, and where its form goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ui {
    /// Where the form is sent.
    pub action: Url,
    /// The HTTP method of the form: `POST`.
    pub method: String,
    /// Messages about the whole flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Text>,
    /// The fields, buttons, pictures and texts.
    pub nodes: Vec<Node>,
}

impl Ui {
    /// Whether it shows a message with this id, about the whole flow or about one of its nodes.
    pub fn has_message(&self, id: u32) -> bool {
        let of_nodes = self.nodes.iter().flat_map(|node| &node.messages);
        self.messages.iter().chain(of_nodes).any(|text| text.id == id)
    }
}

/// A login flow: a step-up, or a proof that is made again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoginFlow {
    /// The id: `?flow=` when it is submitted, `?id=` when it is read.
    pub id: Uuid,
    /// Whom it is for.
    #[serde(rename = "type")]
    pub kind: FlowKind,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it began.
    pub issued_at: Timestamp,
    /// The address that it was begun with.
    pub request_url: String,
    /// Where the browser goes at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<Url>,
    /// The method that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Method>,
    /// Whether something is proven again.
    pub refresh: bool,
    /// The level that it leads to.
    pub requested_aal: Aal,
    /// How far it is.
    pub state: LoginState,
    /// What it shows.
    pub ui: Ui,
}

/// A settings flow: second factors are enrolled and removed in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SettingsFlow {
    /// The id: `?flow=` when it is submitted, `?id=` when it is read.
    pub id: Uuid,
    /// Whom it is for.
    #[serde(rename = "type")]
    pub kind: FlowKind,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it began.
    pub issued_at: Timestamp,
    /// The address that it was begun with.
    pub request_url: String,
    /// Where the browser goes at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<Url>,
    /// The method that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Method>,
    /// How far it is.
    pub state: SettingsState,
    /// Whose settings they are.
    pub identity: Identity,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_with: Option<Vec<ContinueWith>>,
    /// What it shows.
    pub ui: Ui,
}

/// A user, as sessions and settings show them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// The id: the subject if that is a UUID, otherwise a UUID made from it.
    pub id: Uuid,
    /// The subject, if it is no UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The name of the schema that describes the traits.
    pub schema_id: String,
    /// Where that schema is.
    pub schema_url: String,
    /// What the application tells of the user.
    pub traits: Value,
    /// What the application adds for everybody to read.
    #[serde(default)]
    pub metadata_public: Value,
}

/// A session, as `GET /sessions/whoami` answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// The id. A step-up changes it.
    pub id: Uuid,
    /// Whether it counts.
    pub active: bool,
    /// The level, from the proofs below.
    pub authenticator_assurance_level: Aal,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When something was proven last.
    pub authenticated_at: Timestamp,
    /// When the user signed in.
    pub issued_at: Timestamp,
    /// What was proven.
    pub authentication_methods: Vec<AuthenticationMethod>,
    /// Whose session it is; `None` while a second factor is still to come.
    pub identity: Option<Identity>,
    /// Where the user signed in: one entry, or none if that is not known.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// When the second factor was proven last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aal2_authenticated_at: Option<Timestamp>,
    /// Until when it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aal2_expires_at: Option<Timestamp>,
}

/// A browser or a program in which a user has signed in. A text is empty if it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /// The id.
    pub id: Uuid,
    /// The client's address, if the application says how to know it.
    #[serde(default)]
    pub ip_address: String,
    /// What the client calls itself.
    #[serde(default)]
    pub user_agent: String,
    /// Where it was.
    #[serde(default)]
    pub location: String,
}

/// Something that was proven in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuthenticationMethod {
    /// How it was proven.
    pub method: Method,
    /// The level of this proof alone.
    pub aal: Aal,
    /// When; `None` if that is not known.
    pub completed_at: Option<Timestamp>,
    /// The upstream provider, if one proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// 200 of `POST /self-service/login`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoginSuccess {
    /// The new session.
    pub session: Session,
    /// The new token, for programs. It replaces the one that the client has, which has ended. Browsers get a cookie instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// What to do next.
    #[serde(default)]
    pub continue_with: Option<Vec<ContinueWith>>,
}

/// Shows no token.
impl fmt::Debug for LoginSuccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginSuccess").field("session", &self.session).finish_non_exhaustive()
    }
}

/// What a client does after a success.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContinueWith {
    /// A browser goes to a page.
    RedirectBrowserTo {
        /// The page.
        redirect_browser_to: Url,
    },
    /// A program stores its new token. The one that it has has ended.
    SetOrySessionToken {
        /// The new token.
        ory_session_token: String,
    },
}

/// Shows no token.
impl fmt::Debug for ContinueWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RedirectBrowserTo { redirect_browser_to } => {
                f.debug_tuple("RedirectBrowserTo").field(&redirect_browser_to.as_str()).finish()
            }
            Self::SetOrySessionToken { .. } => f.debug_struct("SetOrySessionToken").finish_non_exhaustive(),
        }
    }
}

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ErrorBody,
    /// The page where a browser mends it, such as the step-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_browser_to: Option<Url>,
    /// The flow that replaces an expired one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_flow_id: Option<Uuid>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The name of the error, such as `session_aal2_required`. Programs decide by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The HTTP status.
    pub code: u16,
    /// The name of the HTTP status.
    #[serde(default)]
    pub status: String,
    /// What users read.
    #[serde(default)]
    pub reason: String,
    /// What developers read.
    pub message: String,
    /// The `X-Request-ID` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// More, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_read_and_never_shown() {
        let next = json!([{ "action": "set_ory_session_token", "ory_session_token": "secret-token" }]);
        let next: Vec<ContinueWith> = serde_json::from_value(next).unwrap();
        assert_eq!(next, [ContinueWith::SetOrySessionToken { ory_session_token: "secret-token".to_owned() }]);
        assert!(!format!("{next:?}").contains("secret-token"));
    }

    #[test]
    fn an_error_is_read_whatever_else_it_has() {
        let body = json!({
            "error": { "id": "session_aal2_required", "code": 403, "status": "Forbidden", "message": "second factor missing", "new": 1 },
            "redirect_browser_to": "https://bank.example/self-service/login/browser?aal=aal2",
            "type": "about:blank",
        });
        let read: ErrorEnvelope = serde_json::from_value(body).unwrap();
        assert_eq!(read.error.id.as_deref(), Some("session_aal2_required"));
        assert_eq!(read.redirect_browser_to.unwrap().path(), "/self-service/login/browser");
        assert!(serde_json::from_value::<ErrorEnvelope>(json!({ "ui": {} })).is_err(), "a flow is no error");
    }
}

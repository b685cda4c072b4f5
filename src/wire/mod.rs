//! The shapes of Ory's JSON: sessions, errors, and what a flow shows. They take values, and know no stores and no requests.

mod answers;
mod envelope;
pub(crate) mod session;
pub mod ui;

pub use self::answers::{
    AuthenticationMethod, ContinueWith, Device, ErrorBody, ErrorEnvelope, FlowKind, Identity, LoginFlow, LoginState,
    LoginSuccess, Session, SettingsFlow, SettingsState, Ui,
};
pub(crate) use self::envelope::Envelope;

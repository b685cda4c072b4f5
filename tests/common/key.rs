//! A security key without an authenticator: whoever says that it was touched has touched it. The application binds and removes it.

use tower_step_up::{
    Method, Subject,
    aal::CredentialId,
    factor::{Factor, FactorContext, FactorFuture, FieldError, Form, Refusal, Verdict},
    store::Consumption,
    wire::ui::{Group, Node, Text},
};

pub struct Key;

/// What a form says when the key was touched.
pub const TOUCHED: [(&str, &str); 2] = [("method", "webauthn"), ("webauthn_login", "touched")];

impl Factor for Key {
    fn method(&self) -> Method {
        Method::WebAuthn
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![
            Node::hidden(Group::WebAuthn, "webauthn_login", ""),
            Node::button(Group::WebAuthn, "method", "webauthn", Text::info(1_010_008, "Use your key")),
        ]
    }

    fn check_fields(&self, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            Ok(match (form.get("webauthn_login"), context.credentials) {
                (Some("touched"), [key, ..]) => Verdict::Proven(Consumption::Present { credential: key.summary.id }),
                _ => Verdict::Wrong,
            })
        })
    }

    fn refusal(&self, _: Refusal) -> Text {
        Text::error(4_000_013, "This is not a key of yours.")
    }
}

/// Binds a key in place of any other.
pub async fn bind(step_up: &tower_step_up::StepUp, name: &str) -> CredentialId {
    step_up.bind(&Subject::new(name).unwrap(), Method::WebAuthn, b"public key".to_vec()).await.unwrap()
}

//! The password as a first factor that users prove again. The application checks it: this crate stores no passwords.

use super::{Factor, FactorContext, FactorFuture, FieldError, Form, Refusal, Verdict};
use crate::{
    aal::{Aal, Method},
    directory::Directory,
    factor::FactorError,
    session::Subject,
    store::Credential,
    wire::ui::{Group, InputKind, Node, Text, message},
};

/// The application's password. Users confirm with it that it is still them (`refresh=true`), or sign in.
///
/// [`Directory::check_password`](crate::directory::Directory::check_password) checks it. Without a directory that does, `build()` fails.
///
/// ```
/// use tower_step_up::factor::Password;
///
/// let password = Password::default();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Password {}

impl Factor for Password {
    fn method(&self) -> Method {
        Method::Password
    }

    fn aal(&self) -> Aal {
        Aal::Aal1
    }

    fn needs_passwords(&self) -> bool {
        true
    }

    /// Only the application knows whether a subject has a password.
    fn is_usable(&self, _: &[Credential]) -> bool {
        true
    }

    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node> {
        vec![
            Node::hidden(Group::Default, "identifier", context.identifier),
            Node::field(Group::Password, "password", InputKind::Password, message::password_field())
                .autocomplete("current-password"),
            Node::button(Group::Password, "method", Method::Password.as_str(), message::password_again_button()),
        ]
    }

    fn check_fields(&self, form: &Form) -> Result<(), FieldError> {
        self.field_errors(form).into_iter().next().map_or(Ok(()), Err)
    }

    fn field_errors(&self, form: &Form) -> Vec<FieldError> {
        [("identifier", identifier(form)), ("password", form.get("password"))]
            .into_iter()
            .filter(|(_, value)| value.is_none())
            .map(|(field, _)| FieldError { field: Some(field), text: message::missing(field) })
            .collect()
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            let password = form.get("password").unwrap_or_default();
            let found = check(context.directory, context.identifier, password).await?;
            Ok(if found.as_ref() == Some(context.subject) { Verdict::ProvenElsewhere } else { Verdict::Wrong })
        })
    }

    fn refusal(&self, _: Refusal) -> Text {
        message::wrong_credentials()
    }

    fn first_factor(&self) -> Option<&dyn FirstFactor> {
        Some(self)
    }
}

/// A factor with which a user without a session can sign in.
pub trait FirstFactor: Send + Sync {
    /// The nodes of a login flow that began without a session.
    fn nodes(&self) -> Vec<Node>;

    /// The subject who gave the proof in this form; `None` if it is wrong.
    fn identify<'a>(&'a self, directory: &'a dyn Directory, form: &'a Form) -> FactorFuture<'a, Option<Subject>>;
}

impl FirstFactor for Password {
    fn nodes(&self) -> Vec<Node> {
        vec![
            // No `autocomplete`: Ory's clients know no `username`. The built-in page sets it.
            Node::field(Group::Default, "identifier", InputKind::Text, message::identifier_field()).value(""),
            Node::field(Group::Password, "password", InputKind::Password, message::password_field())
                .autocomplete("current-password"),
            Node::button(Group::Password, "method", Method::Password.as_str(), message::password_button()),
        ]
    }

    fn identify<'a>(&'a self, directory: &'a dyn Directory, form: &'a Form) -> FactorFuture<'a, Option<Subject>> {
        Box::pin(async move {
            let identifier = identifier(form).unwrap_or_default();
            let password = form.get("password").unwrap_or_default();
            check(directory, identifier, password).await
        })
    }
}

/// No user has a name with control characters.
fn can_be_a_name(identifier: &str) -> bool {
    identifier.len() <= LONGEST_IDENTIFIER && !identifier.chars().any(char::is_control)
}

/// No password has NUL. Another control character may be in one that was pasted.
fn can_be_a_password(password: &str) -> bool {
    !password.contains('\0')
}

/// In bytes. An e-mail address has at most 254 (RFC 5321 section 4.5.3.1.3).
const LONGEST_IDENTIFIER: usize = 1024;

/// Asks the directory, which knows whether it has compared anything when it fails. It is not asked about what nobody has: databases fail on
/// some of it, and a stranger could make errors at will.
async fn check(directory: &dyn Directory, identifier: &str, password: &str) -> Result<Option<Subject>, FactorError> {
    if !can_be_a_name(identifier) || !can_be_a_password(password) {
        return Ok(None);
    }
    let checked = directory.check_password(identifier, password).await;
    checked.map_err(|error| match error.downcast::<FactorError>() {
        Ok(said) => *said,
        Err(other) => FactorError::Unavailable(other),
    })
}

/// The identifier in the form.
pub(crate) fn identifier(form: &Form) -> Option<&str> {
    form.get("identifier").or_else(|| form.get("password_identifier")).map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_must_be_there() {
        for (fields, expected) in [
            (&[("identifier", "kim"), ("password", "x")][..], &[][..]),
            (&[("password", "x")], &["identifier"]),
            (&[("password", "x"), ("identifier", "  ")], &["identifier"]),
            (&[("password_identifier", "kim")], &["password"]),
            (&[("method", "password")], &["identifier", "password"]),
        ] {
            let pairs = fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            let form = Form::from_pairs(pairs).unwrap();
            let missing: Vec<_> =
                Password::default().field_errors(&form).iter().filter_map(|error| error.field).collect();
            assert_eq!(missing, expected, "{fields:?}");
            let first = Password::default().check_fields(&form).map_err(|error| error.field.unwrap());
            assert_eq!(first, expected.first().map_or(Ok(()), |field| Err(*field)), "{fields:?}");
        }
    }
}

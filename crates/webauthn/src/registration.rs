//! Adding a key, and removing one (W3C Web Authentication section 7.1).

use serde::{Deserialize, Serialize};
use tower_step_up::{
    Aal, Method,
    aal::CredentialId,
    clock::Timestamp,
    factor::{Enrolment, EnrolmentOutcome, FactorContext, FactorError, FactorFuture, FieldError, Form},
    standing::CredentialSummary,
    store::{Credential, CredentialName},
    wire::ui::{Group, InputKind, Node, Text, Trigger},
};
use webauthn_rs_core::{
    error::WebauthnError,
    proto::{AttestationConveyancePreference, RegisterPublicKeyCredential, RegistrationState},
};

use crate::{
    answer,
    assertion::{READING, unusable},
    key::{self, Key},
    script,
    settings::WebAuthn,
    text,
};

const ANSWER: &str = "webauthn_register";
const NAME: &str = "webauthn_register_displayname";
const REMOVE: &str = "webauthn_remove";

/// What a key without a name is called.
const UNNAMED: &str = "unnamed";

/// A challenge that waits for a new key. The flow keeps it sealed.
#[derive(Serialize, Deserialize)]
struct Pending {
    issued_at: i64,
    user_handle: String,
    /// The options of `navigator.credentials.create`, in JSON.
    options: String,
    state: RegistrationState,
}

impl WebAuthn {
    fn pending(&self, context: &FactorContext<'_>) -> Result<Vec<u8>, FactorError> {
        let keys = Key::all(context)?;
        let party = self.relying_party(context.public_url).map_err(unusable)?;
        let user_handle = match keys.first() {
            Some(own) => own.key.user_handle.clone(),
            None => key::random_handle()?,
        };
        let user = if context.identifier.is_empty() { self.name.as_str() } else { context.identifier };
        let handle = key::handle_bytes(&user_handle)?;
        let known: Vec<_> = keys.iter().map(|own| own.key.credential.cred_id.clone()).collect();
        let attestation = if self.attested_by.is_some() {
            AttestationConveyancePreference::Direct
        } else {
            AttestationConveyancePreference::None
        };
        let builder = party
            .new_challenge_register_builder(&handle, user, user)
            .map_err(unusable)?
            .attestation(attestation)
            .user_verification_policy(self.user_verification.policy())
            .exclude_credentials(Some(known).filter(|known| !known.is_empty()));
        let (mut options, state) = party.generate_challenge_register(builder).map_err(unusable)?;
        if let Some(selection) = &mut options.public_key.authenticator_selection {
            let wanted = self.resident_key.requirement();
            selection.require_resident_key = wanted == webauthn_rs_proto::ResidentKeyRequirement::Required;
            selection.resident_key = Some(wanted);
        }
        let options = serde_json::to_string(&options).map_err(unusable)?;
        let pending = Pending { issued_at: context.now.unix_seconds(), user_handle, options, state };
        serde_json::to_vec(&pending).map_err(unusable)
    }

    fn add(&self, context: &FactorContext<'_>, form: &Form) -> Result<EnrolmentOutcome, FactorError> {
        match self.added(context, form)? {
            Ok(credential) => Ok(EnrolmentOutcome::Added(credential)),
            Err((field, text)) => Ok(EnrolmentOutcome::Retry { state: self.pending(context)?, field, text }),
        }
    }

    fn added(
        &self,
        context: &FactorContext<'_>,
        form: &Form,
    ) -> Result<Result<Credential, (Option<&'static str>, Text)>, FactorError> {
        let refuse = |error: WebauthnError| {
            tracing::debug!(target: "tower_step_up::webauthn", %error, "a new security key is refused");
            Ok(Err((None, text::generic("This security key was not added. Please try again."))))
        };
        let Some(state) = context.state else { return refuse(WebauthnError::ChallengeNotFound) };
        let pending: Pending = serde_json::from_slice(state).map_err(unusable)?;
        let ends = Timestamp::from_unix_seconds(pending.issued_at) + self.patience() + READING;
        if context.now >= ends {
            return refuse(WebauthnError::ChallengeNotFound);
        }
        let answered: Option<RegisterPublicKeyCredential> = form.get(ANSWER).and_then(answer::parse);
        let Some(answered) = answered.filter(|one| answer::is_well_formed(&one.type_, &one.id, &one.raw_id)) else {
            return refuse(WebauthnError::ParseNOMFailure);
        };
        let party = self.relying_party(context.public_url).map_err(unusable)?;
        let authorities = self.authorities().map_err(unusable)?;
        // Before the library's own check, which has no error of its own for it.
        if Key::all(context)?.iter().any(|own| own.key.credential.cred_id == answered.raw_id) {
            return Ok(Err((Some(ANSWER), text::generic("You have added this security key already."))));
        }
        let registered = party.register_credential(&answered, &pending.state, authorities.as_ref());
        let credential = match registered {
            Ok(credential) if credential.cred_id == answered.raw_id => credential,
            Ok(_) => return refuse(WebauthnError::CredentialNotFound),
            Err(error) => return refuse(error),
        };
        let key = Key { user_handle: pending.user_handle, credential, flags_unknown: false };
        let summary = CredentialSummary { id: CredentialId::random(), method: Method::WebAuthn, aal: Aal::Aal2 };
        let new = Credential::new(summary, context.now)
            .with_data(key.sealed(context.subject, summary.id, context.sealer)?)
            .with_fingerprint(key.fingerprint());
        Ok(Ok(match form.get(NAME).and_then(name) {
            Some(name) => new.with_name(name),
            None => new,
        }))
    }

    fn remove(context: &FactorContext<'_>, hex: &str) -> Result<EnrolmentOutcome, FactorError> {
        let keys = Key::all(context)?;
        let named = keys.iter().find(|own| own.key.hex_id() == hex);
        Ok(match named {
            Some(own) => EnrolmentOutcome::RemovedOne(own.stored.summary.id),
            None => EnrolmentOutcome::Refused(text::generic("You have no such security key. Please look again.")),
        })
    }
}

/// The name that was typed, without blanks around it.
fn name(typed: &str) -> Option<CredentialName> {
    typed.trim().parse().ok()
}

fn removal(own: &key::Own<'_>) -> Node {
    let name = own.stored.name.as_ref().map_or(UNNAMED, CredentialName::as_str);
    Node::button(Group::WebAuthn, REMOVE, own.key.hex_id(), text::remove_key(name, own.stored.created_at))
}

impl Enrolment for WebAuthn {
    fn begin<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.pending(&context).map(Some) })
    }

    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let mut keys = Key::all(&context)?;
        keys.sort_by(|one, other| one.key.credential.cred_id.cmp(&other.key.credential.cred_id));
        let mut nodes: Vec<_> = keys.iter().map(removal).collect();
        let Some(state) = context.state else { return Ok(nodes) };
        let Pending { options, .. } = serde_json::from_slice(state).map_err(unusable)?;
        nodes.push(Node::input(Group::WebAuthn, NAME, InputKind::Text).value("").label(text::name_of_key()));
        nodes.push(Node::hidden(Group::WebAuthn, ANSWER, ""));
        nodes.push(
            Node::input(Group::WebAuthn, "webauthn_register_trigger", InputKind::Button)
                .onclick(format!("window.oryWebAuthnRegistration({options})"), Trigger::WebAuthnRegistration)
                .value(options)
                .label(text::add_key()),
        );
        nodes.extend(script::node(&context));
        Ok(nodes)
    }

    fn claims(&self, form: &Form) -> bool {
        form.get(ANSWER).is_some() || form.get(REMOVE).is_some()
    }

    fn check_fields(&self, _: FactorContext<'_>, form: &Form) -> Result<(), FieldError> {
        let Some(answered) = form.get(ANSWER) else {
            let text = text::nothing_to_do();
            return form.get(REMOVE).map(drop).ok_or(FieldError { field: None, text });
        };
        match form.get(NAME).map(str::trim).filter(|name| !name.is_empty()) {
            None => return Err(FieldError { field: Some(NAME), text: text::missing(NAME) }),
            Some(typed) if name(typed).is_none() => {
                let text = text::generic("This name is too long, or has characters that nobody sees.");
                return Err(FieldError { field: Some(NAME), text });
            }
            Some(_) => {}
        }
        let text = text::generic("No answer of a security key has arrived. Please try again.");
        let readable = answer::parse::<RegisterPublicKeyCredential>(answered);
        readable.map(drop).ok_or(FieldError { field: None, text })
    }

    fn guesses_nothing(&self, _: &Form) -> bool {
        true
    }

    /// The key has just signed.
    fn proves(&self, form: &Form) -> bool {
        form.get(ANSWER).is_some()
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(async move {
            match (form.get(ANSWER), form.get(REMOVE)) {
                (None, Some(hex)) => Self::remove(&context, hex),
                _ => self.add(&context, form),
            }
        })
    }
}

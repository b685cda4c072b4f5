//! Proving a key that was added before (W3C Web Authentication section 7.2).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tower_step_up::{
    Method, Subject,
    aal::CredentialId,
    audit::FailureReason,
    clock::Timestamp,
    error::BuildError,
    factor::{
        Enrolment, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, PageScript, Refusal, Verdict,
    },
    language::Language,
    seal::{SealError, Sealer},
    store::{Consumption, Credential},
    wire::ui::{Group, InputKind, Node, Text, Trigger},
};
use url::Url;
use webauthn_rs_core::{
    error::WebauthnError,
    proto::{
        AuthenticationResult, AuthenticationState, AuthenticatorTransport, Credential as PublicKey,
        PublicKeyCredential, UserVerificationPolicy,
    },
};

use crate::{
    answer,
    key::{self, Key, Own},
    script::{self, SCRIPT},
    settings::{CloneWarning, WebAuthn},
    text,
};

const ANSWER: &str = "webauthn_login";

/// The flag BE of the authenticator data (W3C Web Authentication section 6.1).
const BACKUP_ELIGIBLE: u8 = 0x08;

/// How long a page may be read before its button is pressed.
pub(crate) const READING: Duration = Duration::from_secs(600);

/// A challenge that waits for its answer. The flow keeps it sealed.
#[derive(Serialize, Deserialize)]
struct Challenge {
    issued_at: i64,
    /// The options of `navigator.credentials.get`, in JSON.
    options: String,
    /// Without the keys: they are read from the store when the answer comes.
    state: AuthenticationState,
    /// The keys that may answer.
    allowed: Vec<CredentialId>,
}

/// Why an answer does not count.
enum Refused {
    /// It is wrong.
    Wrong(WebauthnError),
    /// The key may have been copied.
    Cloned,
}

impl From<WebauthnError> for Refused {
    fn from(error: WebauthnError) -> Self {
        match error {
            WebauthnError::CredentialPossibleCompromise => Self::Cloned,
            error => Self::Wrong(error),
        }
    }
}

pub(crate) fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FactorError {
    FactorError::Unavailable(error.into())
}

impl WebAuthn {
    /// A new challenge for the subject's keys.
    fn challenged(&self, context: &FactorContext<'_>) -> Result<Vec<u8>, FactorError> {
        let keys = Key::all(context)?;
        let party = self.relying_party(context.public_url).map_err(unusable)?;
        let known = keys.iter().map(|own| offered(&own.key.credential)).collect();
        let builder =
            party.new_challenge_authenticate_builder(known, Some(self.user_verification.policy())).map_err(unusable)?;
        let (options, mut state) = party.generate_challenge_authenticate(builder).map_err(unusable)?;
        state.set_allowed_credentials(Vec::new());
        let challenge = Challenge {
            issued_at: context.now.unix_seconds(),
            options: serde_json::to_string(&options).map_err(unusable)?,
            state,
            allowed: keys.iter().map(|own| own.stored.summary.id).collect(),
        };
        serde_json::to_vec(&challenge).map_err(unusable)
    }

    fn judge(&self, context: &FactorContext<'_>, form: &Form) -> Result<Verdict, FactorError> {
        let reason = match self.checked(context, form)? {
            Ok(verdict) => return Ok(verdict),
            Err(Refused::Cloned) => {
                tracing::warn!(target: "tower_step_up::webauthn", "the counter of a security key did not rise: it may have been cloned");
                FailureReason::ClonedKey
            }
            Err(Refused::Wrong(error)) => {
                tracing::debug!(target: "tower_step_up::webauthn", %error, "the answer of a security key is refused");
                FailureReason::Wrong
            }
        };
        Ok(Verdict::Retry { state: self.challenged(context)?, reason })
    }

    fn checked(&self, context: &FactorContext<'_>, form: &Form) -> Result<Result<Verdict, Refused>, FactorError> {
        let wrong = |error: WebauthnError| Ok(Err(Refused::Wrong(error)));
        let Some(state) = context.state else { return wrong(WebauthnError::ChallengeNotFound) };
        let challenge: Challenge = serde_json::from_slice(state).map_err(unusable)?;
        let ends = Timestamp::from_unix_seconds(challenge.issued_at) + self.patience() + READING;
        if context.now >= ends {
            return wrong(WebauthnError::ChallengeNotFound);
        }
        let answered: Option<PublicKeyCredential> = form.get(ANSWER).and_then(answer::parse);
        let Some(answered) = answered.filter(|one| answer::is_well_formed(&one.type_, &one.id, &one.raw_id)) else {
            return wrong(WebauthnError::ParseNOMFailure);
        };
        let mut keys = Key::all(context)?.into_iter();
        let used = keys.find(|own| {
            challenge.allowed.contains(&own.stored.summary.id) && own.key.credential.cred_id == answered.raw_id
        });
        let Some(used) = used else { return wrong(WebauthnError::CredentialNotFound) };
        if let Some(handle) = &answered.response.user_handle
            && URL_SAFE_NO_PAD.encode(handle) != used.key.user_handle
        {
            return wrong(WebauthnError::InvalidUserUniqueId);
        }
        if answer::is_cross_origin(&answered.response.client_data_json) {
            return wrong(WebauthnError::CredentialCrossOrigin);
        }
        match self.verify(context, &answered, &challenge.state, &used.known(&answered))? {
            Ok(result) => used.consumed(context, &result).map(|consumption| Ok(Verdict::Proven(consumption))),
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn verify(
        &self,
        context: &FactorContext<'_>,
        answered: &PublicKeyCredential,
        state: &AuthenticationState,
        known: &PublicKey,
    ) -> Result<Result<AuthenticationResult, Refused>, FactorError> {
        let party = self.relying_party(context.public_url).map_err(unusable)?;
        // What is required now counts, and not what was required when the key was added.
        let mut known =
            PublicKey { registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE, ..known.clone() };
        let first = party.authenticate_single_credential(answered, state, &known);
        let Err(WebauthnError::CredentialPossibleCompromise) = first else { return Ok(first.map_err(Refused::from)) };
        if self.on_clone_warning == CloneWarning::Refuse {
            return Ok(Err(Refused::Cloned));
        }
        tracing::warn!(target: "tower_step_up::webauthn", "the counter of a security key did not rise: it may have been cloned, and counts");
        known.counter = 0;
        Ok(party.authenticate_single_credential(answered, state, &known).map_err(Refused::from))
    }
}

impl Own<'_> {
    /// What is known of the key. If it is not known whether it can be backed up, then as the answer says: its signature covers that.
    fn known(&self, answered: &PublicKeyCredential) -> PublicKey {
        let mut known = self.key.credential.clone();
        if self.key.flags_unknown {
            // After the hash of the relying party's id.
            let flags = answered.response.authenticator_data.get(32).copied().unwrap_or_default();
            known.backup_eligible = flags & BACKUP_ELIGIBLE != 0;
        }
        known
    }

    /// What the proof changes: the counter, which never falls, and whether the key is backed up.
    fn consumed(
        mut self,
        context: &FactorContext<'_>,
        result: &AuthenticationResult,
    ) -> Result<Consumption, FactorError> {
        let credential = self.stored.summary.id;
        let known = &mut self.key.credential;
        let after = (known.counter.max(result.counter()), result.backup_state(), result.backup_eligible());
        if (known.counter, known.backup_state, known.backup_eligible) == after && !self.key.flags_unknown {
            return Ok(Consumption::Present { credential });
        }
        (known.counter, known.backup_state, known.backup_eligible) = after;
        self.key.flags_unknown = false;
        let data = self.key.sealed(context.subject, credential, context.sealer)?;
        Ok(Consumption::Data { credential, expected: self.stored.data.clone(), data })
    }
}

/// The key as browsers hear of it: of its transports, those that there are.
fn offered(known: &PublicKey) -> PublicKey {
    let is_known = |transport: &AuthenticatorTransport| *transport != AuthenticatorTransport::Unknown;
    let transports = known.transports.iter().flatten().filter(|one| is_known(one)).cloned().collect::<Vec<_>>();
    PublicKey { transports: Some(transports).filter(|some| !some.is_empty()), ..known.clone() }
}

impl Factor for WebAuthn {
    fn method(&self) -> Method {
        Method::WebAuthn
    }

    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        self.check(public_url)
    }

    fn script(&self) -> Option<&PageScript> {
        Some(&SCRIPT)
    }

    fn is_offered(&self, browser: bool) -> bool {
        browser || self.native
    }

    fn challenge<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.challenged(&context).map(Some) })
    }

    fn nodes(&self, context: FactorContext<'_>) -> Vec<Node> {
        let challenge = context.state.and_then(|state| serde_json::from_slice::<Challenge>(state).ok());
        let Some(Challenge { options, .. }) = challenge else { return Vec::new() };
        let mut nodes = vec![
            Node::hidden(Group::Default, "identifier", context.identifier),
            Node::hidden(Group::WebAuthn, ANSWER, ""),
        ];
        nodes.extend(script::node(&context));
        nodes.push(
            Node::input(Group::WebAuthn, "webauthn_login_trigger", InputKind::Button)
                .onclick(format!("window.oryWebAuthnLogin({options})"), Trigger::WebAuthnLogin)
                .value(options)
                .label(text::use_key()),
        );
        nodes
    }

    fn claims(&self, form: &Form) -> bool {
        form.get(ANSWER).is_some()
    }

    fn check_fields(&self, form: &Form) -> Result<(), FieldError> {
        let answered = form.get(ANSWER).and_then(answer::parse::<PublicKeyCredential>);
        let text = text::generic("No answer of a security key has arrived. Please try again.");
        answered.map(drop).ok_or(FieldError { field: None, text })
    }

    fn guesses_nothing(&self, _: &Form) -> bool {
        true
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move { self.judge(&context, form) })
    }

    fn languages(&self) -> Vec<Language> {
        text::languages()
    }

    fn refusal(&self, why: Refusal) -> Text {
        if why == Refusal::NotEnrolled { text::no_key() } else { text::wrong() }
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }

    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        key::reseal(subject, credential, sealer)
    }
}

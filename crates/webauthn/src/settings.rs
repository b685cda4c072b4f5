//! What the application chooses.

use std::{fmt, time::Duration};

use webauthn_rs_core::proto::{ResidentKeyRequirement, UserVerificationPolicy};

/// Security keys and passkeys as a second factor.
///
/// ```
/// use tower_step_up_webauthn::{UserVerification, WebAuthn};
///
/// let keys = WebAuthn::new("Example Bank").user_verification(UserVerification::Preferred);
/// # let _ = keys;
/// ```
#[derive(Clone)]
pub struct WebAuthn {
    pub(crate) name: String,
    pub(crate) rp_id: Option<String>,
    pub(crate) origins: Option<Vec<String>>,
    pub(crate) user_verification: UserVerification,
    pub(crate) resident_key: ResidentKey,
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_clone_warning: CloneWarning,
    pub(crate) native: bool,
    pub(crate) attested_by: Option<Vec<u8>>,
}

impl fmt::Debug for WebAuthn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebAuthn")
            .field("name", &self.name)
            .field("rp_id", &self.rp_id)
            .field("origins", &self.origins)
            .field("user_verification", &self.user_verification)
            .finish_non_exhaustive()
    }
}

/// Whether the key has to find out who uses it, by a PIN, a fingerprint or the like.
///
/// The second factor is something that the user has; the first was proven before. So a touch is enough for `aal2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserVerification {
    /// Not asked for. The default, as in Ory Kratos: plain security keys ask for a touch and nothing else.
    #[default]
    Discouraged,
    /// Asked for where the key can do it. An answer without it counts.
    Preferred,
    /// An answer without it is refused.
    Required,
}

impl UserVerification {
    pub(crate) const fn policy(self) -> UserVerificationPolicy {
        match self {
            Self::Discouraged => UserVerificationPolicy::Discouraged_DO_NOT_USE,
            Self::Preferred => UserVerificationPolicy::Preferred,
            Self::Required => UserVerificationPolicy::Required,
        }
    }
}

/// Whether a new key keeps the user's name itself, so that it could be used without typing one. A second factor does not need that, and some
/// security keys have room for few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResidentKey {
    /// Not asked for. The default.
    #[default]
    Discouraged,
    /// Asked for where the key can do it.
    Preferred,
    /// Keys that cannot do it are not offered by the browser.
    Required,
}

impl ResidentKey {
    pub(crate) const fn requirement(self) -> ResidentKeyRequirement {
        match self {
            Self::Discouraged => ResidentKeyRequirement::Discouraged,
            Self::Preferred => ResidentKeyRequirement::Preferred,
            Self::Required => ResidentKeyRequirement::Required,
        }
    }
}

/// What happens when the signature counter of a key has not risen since its last answer: somebody may have a copy of the key (W3C Web
/// Authentication section 6.1.1). Keys without a counter, such as passkeys that are synchronised, always send zero, and are not meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloneWarning {
    /// The answer is refused, and audited as `cloned_key`. The default. The user gets in by another factor, and replaces the key.
    #[default]
    Refuse,
    /// The answer counts, and a warning is logged. The stored counter stays as it is.
    Accept,
}

impl WebAuthn {
    /// The factor of an application with this name, which browsers and keys show to the user: 1 to 64 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rp_id: None,
            origins: None,
            user_verification: UserVerification::default(),
            resident_key: ResidentKey::default(),
            timeout: None,
            on_clone_warning: CloneWarning::default(),
            native: false,
            attested_by: None,
        }
    }

    /// The relying party id: a domain. Keys are bound to it for ever, so it cannot change later. By default, the host of the public URL. A
    /// domain above it lets other hosts of that domain use the same keys.
    #[must_use]
    pub fn rp_id(self, domain: impl Into<String>) -> Self {
        Self { rp_id: Some(domain.into()), ..self }
    }

    /// The origins whose pages may ask for a key, each like `https://login.bank.example`, below the relying party id; or an Android app, like
    /// `android:apk-key-hash:..`. By default, the origin of the public URL alone.
    #[must_use]
    pub fn origins<I, T>(self, origins: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        Self { origins: Some(origins.into_iter().map(Into::into).collect()), ..self }
    }

    /// Whether the key has to find out who uses it. By default, [`Discouraged`](UserVerification::Discouraged). It holds for all keys from
    /// the next answer on, also for those that were added before.
    #[must_use]
    pub fn user_verification(self, user_verification: UserVerification) -> Self {
        Self { user_verification, ..self }
    }

    /// Whether new keys keep the user's name. By default, [`Discouraged`](ResidentKey::Discouraged).
    #[must_use]
    pub fn resident_key(self, resident_key: ResidentKey) -> Self {
        Self { resident_key, ..self }
    }

    /// How long the browser waits for the key: 10 seconds to 10 minutes. By default 2 minutes, and 5 minutes where the user is to be
    /// verified.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// What happens when a key may have been copied. By default, its answer is refused.
    #[must_use]
    pub fn on_clone_warning(self, on_clone_warning: CloneWarning) -> Self {
        Self { on_clone_warning, ..self }
    }

    /// Offers keys in API flows too: their nodes have the options, and no script. An app then asks its platform, and sends the answer as the
    /// browser's script would. Ory Kratos offers them to browsers alone, which is the default.
    #[must_use]
    pub fn offer_to_native_clients(self) -> Self {
        Self { native: true, ..self }
    }

    /// Takes only keys whose maker is attested by one of these certificate authorities, in PEM. By default, keys are not asked who made
    /// them, which also protects the privacy of their owners. The lists of makers are in the FIDO metadata service.
    #[must_use]
    pub fn attested_by(self, authorities_pem: impl Into<Vec<u8>>) -> Self {
        Self { attested_by: Some(authorities_pem.into()), ..self }
    }

    pub(crate) fn patience(&self) -> Duration {
        const MINUTE: Duration = Duration::from_secs(60);
        let usual = if self.user_verification == UserVerification::Discouraged { 2 } else { 5 };
        self.timeout.unwrap_or(MINUTE.saturating_mul(usual))
    }
}

//! What a signed-in user has proven: subject, proofs, life time. How it travels is in `token` and `cookie`.

pub(crate) mod cookie;
pub(crate) mod key;
mod known;
pub(crate) mod token;

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::key::{InvalidKey, SigningKey};
use crate::{aal::Proof, clock::Timestamp};

/// The application's stable id of a user: any text of 1 to 255 bytes without control characters.
///
/// Two subjects are the same if their bytes are. Use what never changes hands (a primary key, not an address).
///
/// ```
/// use tower_step_up::Subject;
///
/// let subject: Subject = "user-4711".parse()?;
/// assert_eq!(subject.as_str(), "user-4711");
/// assert!("".parse::<Subject>().is_err());
/// # Ok::<(), tower_step_up::InvalidSubject>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

impl Subject {
    const MAX_BYTES: usize = 255;

    /// Takes the text as a subject.
    ///
    /// # Errors
    ///
    /// The text is empty (which in practice means that nobody is signed in), longer than 255 bytes, or has a control character.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidSubject> {
        let text = text.into();
        if text.is_empty() || text.len() > Self::MAX_BYTES || text.chars().any(char::is_control) {
            return Err(InvalidSubject(()));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.as_str().to_owned()
    }
}

/// The text cannot be a [`Subject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSubject(());

impl fmt::Display for InvalidSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a subject is a text of 1 to 255 bytes without control characters")
    }
}

impl std::error::Error for InvalidSubject {}

/// Names one session. It changes with every step-up and every re-authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new random id (122 bits from the operating system's generator).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl From<Uuid> for SessionId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<SessionId> for Uuid {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Ties flows to a session through all its rotations. It never leaves the server but inside the signed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BindingKey(Uuid);

impl BindingKey {
    /// A new random key.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl From<Uuid> for BindingKey {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<BindingKey> for Uuid {
    fn from(key: BindingKey) -> Self {
        key.0
    }
}

/// A signed-in user's session: who, what was proven and when, until when it is good.
///
/// Its level is not a field. It is computed from the proofs that still count: see [`Standing::level`](crate::Standing::level).
///
/// A session never changes. A step-up makes a new one with a new id ([`Session::renewed`]) and the old one dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: SessionId,
    subject: Subject,
    binding: BindingKey,
    proofs: Vec<Proof>,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl Session {
    /// A first session of the subject, good for `lifespan` from the proof on.
    pub fn new(subject: Subject, proof: Proof, lifespan: Duration) -> Self {
        let issued_at = proof.completed_at();
        Self {
            id: SessionId::random(),
            subject,
            binding: BindingKey::random(),
            proofs: vec![proof],
            issued_at,
            // As the token's `exp` says it.
            expires_at: issued_at.whole_seconds() + lifespan,
        }
    }

    /// A session as a store kept it.
    pub const fn from_parts(
        id: SessionId,
        subject: Subject,
        binding: BindingKey,
        proofs: Vec<Proof>,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self { id, subject, binding, proofs, issued_at, expires_at }
    }

    /// The session that takes this one's place when a further proof is made: new id, same subject, binding and first issue.
    ///
    /// The newest proof per method, level and provider replaces the older one. The end moves to `lifespan` after the proof, but
    /// never past `absolute_lifespan` after the first issue.
    #[must_use]
    pub fn renewed(&self, proof: Proof, lifespan: Duration, absolute_lifespan: Option<Duration>) -> Self {
        let mut expires_at = proof.completed_at().whole_seconds() + lifespan;
        if let Some(absolute) = absolute_lifespan {
            expires_at = expires_at.min(self.issued_at.whole_seconds() + absolute);
        }
        Self { expires_at, ..self.amended(proof) }
    }

    /// The same session under a new id with one more proof, which prolongs nothing.
    pub(crate) fn amended(&self, proof: Proof) -> Self {
        let mut proofs: Vec<_> = self.proofs.iter().filter(|old| !old.is_replaced_by(&proof)).cloned().collect();
        proofs.push(proof);
        Self { id: SessionId::random(), proofs, ..self.clone() }
    }

    /// The same session under a new id, for when what it may do changes without a new proof.
    #[must_use]
    pub fn rotated(&self) -> Self {
        Self { id: SessionId::random(), ..self.clone() }
    }

    /// The id.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Whose session it is.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What ties flows to this session through its rotations.
    pub const fn binding(&self) -> BindingKey {
        self.binding
    }

    /// All proofs, oldest first, whether or not they still count.
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// When the user first signed in.
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// From when on the session is no longer good.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When the newest proof was completed; the first issue if there is none.
    pub fn authenticated_at(&self) -> Timestamp {
        self.proofs.iter().map(Proof::completed_at).max().unwrap_or(self.issued_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aal::{Aal, Method};

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn signed_in() -> Session {
        Session::new(Subject::new("kim").unwrap(), Proof::new(Method::Password, Aal::Aal1, at(1000)), DAY)
    }

    #[test]
    fn renewal_keeps_who_and_since_when_but_not_the_id() {
        let old = signed_in();
        let new = old.renewed(Proof::new(Method::Totp, Aal::Aal2, at(1500)), DAY, None);
        assert_ne!(new.id(), old.id());
        assert_eq!((new.subject(), new.binding(), new.issued_at()), (old.subject(), old.binding(), old.issued_at()));
        assert_eq!(new.authenticated_at(), at(1500));
        assert_eq!(new.expires_at(), at(1500) + DAY);
        assert_eq!(new.proofs().len(), 2);
    }

    #[test]
    fn the_newest_proof_of_a_kind_replaces_the_older() {
        let mut session = signed_in();
        for second in 1..50 {
            session = session.renewed(Proof::new(Method::Totp, Aal::Aal2, at(1000 + second)), DAY, None);
        }
        assert_eq!(session.proofs().len(), 2);
        assert_eq!(session.authenticated_at(), at(1049));
    }

    #[test]
    fn renewal_never_passes_the_absolute_end() {
        let absolute = Some(Duration::from_secs(600));
        let session = signed_in().renewed(Proof::new(Method::Totp, Aal::Aal2, at(1500)), DAY, absolute);
        assert_eq!(session.expires_at(), at(1600));
    }

    #[test]
    fn a_rotation_changes_the_id_and_nothing_else() {
        let old = signed_in();
        let new = old.rotated();
        assert_ne!(new.id(), old.id());
        assert_eq!(Session { id: old.id(), ..new }, old);
    }

    #[test]
    fn one_more_proof_alone_prolongs_nothing() {
        let old = signed_in();
        let proof = Proof::new(Method::Totp, Aal::Aal2, at(1500));
        let new = old.amended(proof.clone());
        assert_ne!(new.id(), old.id());
        assert_eq!(new.proofs(), [old.proofs()[0].clone(), proof]);
        assert_eq!(Session { id: old.id(), proofs: old.proofs.clone(), ..new }, old);
    }

    #[test]
    fn ids_stay_the_same_in_whatever_shape_and_new_ones_differ() {
        let id = Uuid::new_v4();
        assert_eq!((Uuid::from(SessionId::from(id)), Uuid::from(BindingKey::from(id))), (id, id));
        assert_eq!(SessionId::from(id).to_string(), id.to_string());
        assert_ne!(SessionId::random(), SessionId::random());
        assert_ne!(BindingKey::random(), BindingKey::random());
    }

    #[test]
    fn every_way_to_a_subject_checks_it() {
        let kim = Subject::new("kim").unwrap();
        assert_eq!("kim".parse(), Ok(kim.clone()));
        assert_eq!(Subject::try_from("kim"), Ok(kim.clone()));
        assert_eq!(Subject::try_from("kim".to_owned()), Ok(kim.clone()));
        assert!("".parse::<Subject>().is_err());
        assert!(Subject::try_from("").is_err());
        assert!(Subject::try_from(String::new()).is_err());
        assert_eq!((kim.to_string(), String::from(kim)), ("kim".to_owned(), "kim".to_owned()));
    }

    #[test]
    fn subjects_are_any_printable_text_but_none() {
        for good in ["a", "Jürgen ☕", "00000000-0000-0000-0000-000000000000", &"x".repeat(255)] {
            assert!(Subject::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\0", &"x".repeat(256)] {
            assert!(Subject::new(bad).is_err(), "{bad:?}");
        }
    }
}

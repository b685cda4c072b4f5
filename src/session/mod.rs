//! A session: its subject, proofs and lifetime. `token` and `cookie` say how it travels.

pub(crate) mod cookie;
mod hs256;
pub(crate) mod key;
mod stored;
pub(crate) mod token;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use self::stored::renewed_end;
pub use self::{
    cookie::CookiePrefix,
    key::{InvalidKey, SigningKey},
    stored::{Answered, StoredSession},
    token::SessionToken,
};
use crate::{aal::Proof, client::Client, clock::Timestamp};

/// The application's stable id of a user: any text of 1 to 255 bytes without control characters.
///
/// Two subjects are equal if their bytes are. Use an id that is never reassigned: a primary key, not an email address.
///
/// ```
/// use tower_step_up::Subject;
///
/// let subject: Subject = "user-4711".parse()?;
/// assert_eq!(subject.as_str(), "user-4711");
/// assert!("".parse::<Subject>().is_err());
/// # Ok::<(), tower_step_up::session::InvalidSubject>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

impl Subject {
    const MAX_BYTES: usize = 255;

    /// Makes a subject of this text.
    ///
    /// # Errors
    ///
    /// The text is empty (in practice: nobody is signed in), longer than 255 bytes, or contains a control character.
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
        f.write_str("a subject must have 1 to 255 bytes and no control characters")
    }
}

impl std::error::Error for InvalidSubject {}

/// Names one session. It changes with every step-up and every re-authentication, in its second half: the first half stays, so that whoever
/// ends a session by an id that has just been replaced ends the session that goes on. An id opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new random id (122 bits from the operating system's generator).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// An id for the session that replaces the one of this id: 62 new random bits.
    fn successor(self) -> Self {
        let (first, _) = self.0.as_u64_pair();
        let (_, second) = Uuid::new_v4().as_u64_pair();
        Self(Uuid::from_u64_pair(first, second))
    }

    /// Whether both are ids of one session of a subject, one of them perhaps from before a rotation.
    pub(crate) fn is_of_same_session(self, other: Self) -> bool {
        self.0.as_u64_pair().0 == other.0.as_u64_pair().0
    }
}

impl From<Uuid> for SessionId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// Reads what `Display` writes: hyphenated hexadecimal, in either case.
///
/// ```
/// use tower_step_up::session::SessionId;
///
/// let id = SessionId::random();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!("{67e55044-10b1-426f-9247-bb680e5fe0c8}".parse::<SessionId>().is_err());
/// ```
impl std::str::FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidSessionId(()))?;
        // The parser takes other shapes too.
        if id.to_string().eq_ignore_ascii_case(text) { Ok(Self(id)) } else { Err(InvalidSessionId(())) }
    }
}

/// The text is not the id of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSessionId(());

impl fmt::Display for InvalidSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session's id is a UUID in its hyphenated form")
    }
}

impl std::error::Error for InvalidSessionId {}

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

/// Ties flows to a session through all its rotations. It leaves the server only inside the signed token.
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

/// A session as its source reports it: the subject, the proofs with their times, and the end.
///
/// The level is not a field. It is computed from the proofs that still count: see
/// [`Standing::level`](crate::standing::Standing::level).
///
/// A session that this crate keeps has an id and a time of issue. For a session kept elsewhere, everything that its source does
/// not know is `None`.
///
/// ```
/// use tower_step_up::{Aal, Method, Subject, aal::Proof, clock::Timestamp, session::Session};
///
/// let password = Proof::new(Method::Password, Aal::Aal1, Timestamp::from_unix_seconds(1_800_000_000));
/// let session = Session::external(Subject::new("kim")?, vec![password]);
/// assert_eq!(session.id(), None);
/// # Ok::<(), tower_step_up::session::InvalidSubject>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: Option<SessionId>,
    subject: Subject,
    binding: Option<BindingKey>,
    proofs: Box<[Proof]>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// Few decisions need it.
    device: Option<Box<Client>>,
}

impl Session {
    /// A session kept elsewhere, with its known proofs, oldest first.
    pub fn external(subject: Subject, proofs: Vec<Proof>) -> Self {
        let proofs = proofs.into_boxed_slice();
        Self { id: None, subject, binding: None, proofs, issued_at: None, expires_at: None, device: None }
    }

    /// The same session with the key that ties flows to it.
    #[must_use]
    pub const fn with_binding(mut self, binding: BindingKey) -> Self {
        self.binding = Some(binding);
        self
    }

    /// The same session with the time at which the user first signed in.
    #[must_use]
    pub const fn with_issued_at(mut self, issued_at: Timestamp) -> Self {
        self.issued_at = Some(issued_at);
        self
    }

    /// The same session with its end. Without an end, it is valid as long as its source returns it.
    #[must_use]
    pub const fn with_expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The same session under an id of this crate's store.
    pub(crate) fn named(self, id: SessionId, device: Option<&Client>) -> Self {
        Self { id: Some(id), device: device.cloned().map(Box::new), ..self }
    }

    /// The same session with this proof in place of an older one of its kind.
    pub(crate) fn proven(self, proof: Proof) -> Self {
        let mut proofs: Vec<_> = self.proofs.iter().filter(|old| !old.is_replaced_by(&proof)).cloned().collect();
        proofs.push(proof);
        proofs.sort_by_key(Proof::completed_at);
        Self { proofs: proofs.into_boxed_slice(), ..self }
    }

    /// The id, if this crate keeps the session.
    pub const fn id(&self) -> Option<SessionId> {
        self.id
    }

    /// The user whose session it is.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The key that ties flows to this session through its rotations, if there is one.
    pub const fn binding(&self) -> Option<BindingKey> {
        self.binding
    }

    /// All proofs, oldest first, whether or not they still count. The note that a [device is trusted](crate::StepUpBuilder::trusted_devices) stands
    /// among them, at `aal0`, and never counts.
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// When the user first signed in, if that is known.
    pub const fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// The end of the session, if its source knows it. From this instant on the session is invalid.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The client with which the user signed in: its software, and its address if the application says how to know it. For lists of
    /// sessions, never for a decision: a client says what it likes.
    ///
    /// A later proof does not change it. `None` if it is not known: see [`StepUp::for_request`](crate::StepUp::for_request).
    pub const fn device(&self) -> Option<&Client> {
        match &self.device {
            Some(device) => Some(&**device),
            None => None,
        }
    }

    /// Whether the session has ended at `now`.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    /// The session that replaces this one in this crate's store: new id, same subject and device, same binding if there is
    /// one. The newest proof per method, level and provider replaces the older one, so that the list does not grow for ever.
    pub(crate) fn successor(&self, proof: Option<Proof>, issued_at: Timestamp, expires_at: Timestamp) -> StoredSession {
        let replaced = |old: &&Proof| proof.as_ref().is_none_or(|proof| !old.is_replaced_by(proof));
        let mut proofs: Vec<_> = self.proofs.iter().filter(replaced).cloned().collect();
        proofs.extend(proof);
        let binding = self.binding.unwrap_or_else(BindingKey::random);
        let subject = self.subject.clone();
        let id = self.id.map_or_else(SessionId::random, SessionId::successor);
        let new = StoredSession::from_parts(id, subject, binding, proofs, issued_at, expires_at);
        match &self.device {
            Some(device) => new.with_device(device),
            None => new,
        }
    }
}

impl AsRef<Session> for Session {
    fn as_ref(&self) -> &Session {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_the_same_in_whatever_shape_and_new_ones_differ() {
        let id = Uuid::new_v4();
        assert_eq!((Uuid::from(SessionId::from(id)), Uuid::from(BindingKey::from(id))), (id, id));
        assert_eq!(SessionId::from(id).to_string(), id.to_string());
        assert_ne!(SessionId::random(), SessionId::random());
        let id = SessionId::random();
        let (one, other) = (id.successor(), id.successor());
        assert!(id != one && id != other && one != other, "an id of its own for each");
        assert!(id.is_of_same_session(one) && one.is_of_same_session(other.successor()));
        assert!(!id.is_of_same_session(SessionId::random()));
        assert_eq!(Uuid::from(one).get_version_num(), 4, "as random ones look");
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

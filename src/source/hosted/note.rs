//! What is kept in the application's session.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Builder;

use crate::{
    aal::{Aal, Method, Proof},
    clock::Timestamp,
    seal::Sealer,
    session::{BindingKey, Subject},
    source::{HostState, HostUser, SourceError},
};

/// A first factor that was proven to the application then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FirstFactor {
    pub(super) method: Method,
    pub(super) at: Timestamp,
}

/// The step-ups of one session of the application: of this user, under this handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) subject: Subject,
    pub(super) handle: BindingKey,
    /// A keyed digest of what the step-ups depend on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    /// `None` if it is not known when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proven: Option<FirstFactor>,
}

impl Line {
    /// A line under a new random handle.
    pub(super) fn new(user: &HostUser, proven: Option<FirstFactor>, sealer: &Sealer) -> Result<Self, SourceError> {
        Self::under(BindingKey::random(), user, proven, sealer)
    }

    pub(super) fn under(
        handle: BindingKey,
        user: &HostUser,
        proven: Option<FirstFactor>,
        sealer: &Sealer,
    ) -> Result<Self, SourceError> {
        let stamp = if user.stamp.is_empty() {
            None
        } else {
            let digest = sealer.digest(&stamped(user)).ok_or("a digest could not be made")?;
            Some(URL_SAFE_NO_PAD.encode(digest))
        };
        Ok(Self { subject: user.subject.clone(), handle, stamp, proven })
    }

    /// The same line after this was proven.
    pub(super) fn proven(self, first_factor: FirstFactor) -> Self {
        Self { proven: Some(first_factor), ..self }
    }

    /// Whether it is this user's, and nothing has changed that its step-ups depend on.
    pub(super) fn is_of(&self, user: &HostUser, sealer: &Sealer) -> bool {
        let same_stamp = match &self.stamp {
            None => user.stamp.is_empty(),
            Some(stamp) => {
                let digest = URL_SAFE_NO_PAD.decode(stamp).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
                !user.stamp.is_empty() && digest.is_some_and(|digest| sealer.is_digest(&stamped(user), &digest))
            }
        };
        self.subject == user.subject && same_stamp
    }
}

/// No message about a form begins like this: those begin with zeros.
fn stamped(user: &HostUser) -> Vec<u8> {
    [b"stamp of a host\0", user.subject.as_str().as_bytes(), b"\0", &user.stamp].concat()
}

/// The note of this crate in the application's session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// `None` if nobody was signed in, or nobody that this crate knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<Line>,
    /// Whether nobody was signed in when it was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) nobody: bool,
    /// What the application's login says of itself: it counts as soon as the response goes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) said: Option<FirstFactor>,
}

impl Note {
    pub(super) const fn nobody() -> Self {
        Self { line: None, nobody: true, said: None }
    }

    pub(super) const fn of(line: Line) -> Self {
        Self { line: Some(line), nobody: false, said: None }
    }

    /// The note in this session. One that cannot be read counts as none, which gives nobody anything.
    pub(super) fn read(state: &HostState) -> Option<Self> {
        serde_json::from_str(state.note.as_deref()?).ok()
    }

    /// The line, if it is this user's.
    pub(super) fn line_of(self, user: &HostUser, sealer: &Sealer) -> Option<Line> {
        self.line.filter(|line| line.is_of(user, sealer))
    }

    pub(super) fn text(&self) -> Result<String, SourceError> {
        Ok(serde_json::to_string(self)?)
    }
}

/// The note after the application has said that its user has just proven this.
pub(crate) fn note_that_says(state: &HostState, method: Method, at: Timestamp) -> Result<String, SourceError> {
    let said = Some(FirstFactor { method, at });
    Note { said, ..Note::read(state).unwrap_or_default() }.text()
}

/// The handle of a session that has none yet. Nobody without the key can tell it from the id, and whoever begins first, it is the same.
pub(super) fn handle_of(id: &str, user: &HostUser, sealer: &Sealer) -> Option<BindingKey> {
    let message = [b"handle of a host\0", id.as_bytes(), b"\0", &stamped(user)].concat();
    let digest = sealer.digest(&message)?;
    Some(Builder::from_random_bytes(*digest.first_chunk()?).into_uuid().into())
}

/// The user's first factor: when it was proven is what the application knows, or what was noted, whichever is later.
pub(super) fn first_factor(
    user: &HostUser,
    noted: Option<FirstFactor>,
    latest: Timestamp,
) -> Result<Proof, SourceError> {
    let known = user.proven_at.map(|at| FirstFactor { method: user.method, at });
    let newest = known.into_iter().chain(noted).filter(|proven| proven.at <= latest).max_by_key(|proven| proven.at);
    let method = newest.map_or(user.method, |proven| proven.method);
    if method.first_factor_level().is_none() {
        return Err("the method of a HostUser must be a first factor".into());
    }
    Ok(newest
        .map_or_else(|| Proof::at_unknown_time(method, Aal::Aal1), |proven| Proof::new(method, Aal::Aal1, proven.at)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::seal::EncryptionKey;

    fn sealer(ids: &[&str]) -> Sealer {
        Sealer::new(ids.iter().map(|id| EncryptionKey::new(*id, Sha256::digest(id)).unwrap()).collect())
    }

    fn user(name: &str, stamp: &[u8]) -> HostUser {
        HostUser::new(Subject::new(name).unwrap()).with_stamp(stamp)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn state(note: &str) -> HostState {
        HostState::new(None, Some(note.to_owned()))
    }

    #[test]
    fn a_note_comes_back_as_it_was_and_shows_no_stamp() {
        let sealer = sealer(&["a"]);
        let proven = FirstFactor { method: Method::Oidc, at: at(1000) };
        let line = Line::new(&user("kim", b"secret hash"), Some(proven), &sealer).unwrap();
        for note in [Note::of(line), Note::nobody(), Note { said: Some(proven), ..Note::nobody() }, Note::default()] {
            let text = note.text().unwrap();
            assert_eq!(Note::read(&state(&text)), Some(note));
            assert!(!text.contains("secret"), "{text}");
        }
        assert_eq!(Note::nobody().text().unwrap(), r#"{"nobody":true}"#);
    }

    #[test]
    fn a_line_is_of_one_user_with_one_stamp_under_any_of_the_keys() {
        let old = sealer(&["a"]);
        for (stamp, others) in [(&b"x"[..], [&b"y"[..], b""]), (b"", [b"x", b"\0"])] {
            let note = Note::of(Line::new(&user("kim", stamp), None, &old).unwrap());
            assert!(note.clone().line_of(&user("kim", stamp), &old).is_some());
            assert!(note.clone().line_of(&user("kim", stamp), &sealer(&["b", "a"])).is_some(), "keys were changed");
            assert!(note.clone().line_of(&user("lee", stamp), &old).is_none());
            for other in others {
                assert!(note.clone().line_of(&user("kim", other), &old).is_none());
            }
        }
    }

    #[test]
    fn a_derived_handle_is_of_one_session_user_and_stamp() {
        let (one, other) = (sealer(&["a"]), sealer(&["b"]));
        let handle = |id, name, stamp: &[u8], sealer| handle_of(id, &user(name, stamp), sealer).unwrap();
        let first = handle("id", "kim", b"x", &one);
        assert_eq!(first, handle("id", "kim", b"x", &one));
        for different in [
            handle("ie", "kim", b"x", &one),
            handle("id", "lee", b"x", &one),
            handle("id", "kim", b"y", &one),
            handle("id", "kim", b"x", &other),
        ] {
            assert_ne!(first, different);
        }
    }

    #[test]
    fn the_later_of_what_is_known_and_noted_counts_and_never_the_future() {
        let proof = |known: Option<i64>, noted: Option<i64>| {
            let mut kim = user("kim", b"").with_method(Method::Oidc);
            kim.proven_at = known.map(at);
            let noted = noted.map(|seconds| FirstFactor { method: Method::Password, at: at(seconds) });
            let proof = first_factor(&kim, noted, at(2000)).unwrap();
            (proof.method(), proof.completed_at().map(Timestamp::unix_seconds))
        };
        assert_eq!(proof(None, None), (Method::Oidc, None));
        assert_eq!(proof(Some(1000), None), (Method::Oidc, Some(1000)));
        assert_eq!(proof(Some(1000), Some(1500)), (Method::Password, Some(1500)));
        assert_eq!(proof(Some(1600), Some(1500)), (Method::Oidc, Some(1600)));
        assert_eq!(proof(Some(2001), Some(1500)), (Method::Password, Some(1500)));
        assert_eq!(proof(Some(2001), Some(2001)), (Method::Oidc, None));
        let second = user("kim", b"").with_method(Method::Totp);
        assert!(first_factor(&second, None, at(2000)).is_err());
    }

    proptest! {
        /// A note that somebody else has written, or an earlier version, is none.
        #[test]
        fn any_text_may_stand_where_the_note_is(text in ".{0,80}") {
            if let Some(note) = Note::read(&state(&text)) {
                prop_assert_eq!(Note::read(&state(&note.text().unwrap())), Some(note));
            }
        }
    }
}

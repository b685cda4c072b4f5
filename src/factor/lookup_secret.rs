//! Look-up secrets (NIST SP 800-63B-4 section 3.1.2): codes on paper for when the phone is lost.

use constant_time_eq::constant_time_eq;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal, Verdict,
    typed,
};
use crate::{
    aal::{Aal, CredentialId, Method},
    clock::Timestamp,
    seal::{SealError, Sealer},
    session::Subject,
    standing::CredentialSummary,
    store::{Consumption, Credential, StoredSecret},
    wire::ui::{Group, InputKind, Node, Text, message, reason},
};

/// Codes in a set.
const COUNT: usize = 12;

/// 24 characters of base32: 120 random bits. From 112 on, a fast hash keeps a code safe in a stolen store (NIST SP 800-63B-4 section
/// 3.1.2.2).
const CHARACTERS: usize = 24;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Look-up secrets: sets of 12 single-use codes of 120 random bits, stored hashed and shown once. Codes that users bring along may be
/// shorter, and are stored under a keyed hash.
///
/// A set with no codes left still counts as enrolled. Otherwise using the last code would lower what the owner must prove.
///
/// ```
/// use tower_step_up::factor::LookupSecrets;
///
/// let lookup_secrets = LookupSecrets::default();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupSecrets {}

/// Normalises a typed code: case, width, blanks and dashes do not matter.
pub(crate) fn normalise(code: &str) -> Zeroizing<String> {
    Zeroizing::new(typed::normalise(code).to_ascii_uppercase())
}

/// What the sealed key of an imported set is bound to.
fn seal_context(subject: &Subject, set: CredentialId) -> Vec<u8> {
    format!("lookup_secret\0{set}\0{subject}").into_bytes()
}

/// HMAC-SHA256 of the hash under the set's key, and once more: the two steps of HKDF.
fn keyed(key: &[u8], hash: [u8; 32]) -> Result<[u8; 32], FactorError> {
    let mut keyed = [0; 32];
    Hkdf::<Sha256>::new(Some(key), &hash)
        .expand(b"lookup_secret", &mut keyed)
        .map_err(|error| FactorError::Unavailable(error.to_string().into()))?;
    Ok(keyed)
}

/// The hash of a code as this set keeps it.
fn kept_hash(subject: &Subject, set: &Credential, sealer: &Sealer, code: &str) -> Result<[u8; 32], FactorError> {
    let id = set.summary.id;
    let plain = hash(id, code);
    if set.data.is_empty() {
        return Ok(plain);
    }
    keyed(&sealer.open(&seal_context(subject, id), &set.data)?, plain)
}

/// Bound to its set: equal codes of two users differ in the store.
pub(crate) fn hash(set: CredentialId, code: &str) -> [u8; 32] {
    Sha256::new_with_prefix(format!("lookup_secret\0{set}\0"))
        .chain_update(normalise(code).as_bytes())
        .finalize()
        .into()
}

/// The shortest code that can be imported: 13 characters of base32 are 65 bits.
const SHORTEST: usize = 13;

/// Whether the codes can be typed, cannot be guessed, and are all different.
fn are_strong(codes: &[&str]) -> bool {
    let plain: std::collections::BTreeSet<_> = codes.iter().map(|code| normalise(code).to_string()).collect();
    !codes.is_empty() && plain.len() == codes.len() && plain.iter().all(|code| (SHORTEST..=64).contains(&code.len()))
}

impl LookupSecrets {
    /// An imported set; `None` if its codes are too few, too weak or not distinct.
    ///
    /// Its codes may be short. So they are hashed with a random key of the set, which is kept sealed: without the encryption key, nobody
    /// can test a guess against a stolen store (NIST SP 800-63B-4 section 3.1.2.2).
    pub(crate) fn imported(
        subject: &Subject,
        codes: &[&str],
        sealer: &Sealer,
        now: Timestamp,
    ) -> Result<Option<Credential>, FactorError> {
        if !are_strong(codes) {
            return Ok(None);
        }
        let mut set = Self::set(codes.iter().copied(), now);
        let mut key = Zeroizing::new([0u8; 32]);
        getrandom::fill(key.as_mut()).map_err(|error| FactorError::Unavailable(error.into()))?;
        set.data = sealer.seal(&seal_context(subject, set.summary.id), key.as_slice())?;
        for secret in &mut set.secrets {
            secret.hash = keyed(key.as_slice(), secret.hash)?;
        }
        Ok(Some(set))
    }

    fn set<'a>(codes: impl Iterator<Item = &'a str>, now: Timestamp) -> Credential {
        let id = CredentialId::random();
        let summary = CredentialSummary { id, method: Method::LookupSecret, aal: Aal::Aal2 };
        let secrets = codes.map(|code| StoredSecret { hash: hash(id, code), used_at: None }).collect();
        Credential::new(summary, now).with_secrets(secrets)
    }
}

fn random_set() -> Result<Zeroizing<String>, FactorError> {
    let mut random = Zeroizing::new([0u8; COUNT * CHARACTERS]);
    getrandom::fill(random.as_mut()).map_err(|error| FactorError::Unavailable(error.into()))?;
    let mut set = Zeroizing::new(String::with_capacity(COUNT * (CHARACTERS + 4)));
    for (position, byte) in random.iter().enumerate() {
        if position % CHARACTERS == 0 && position > 0 {
            set.push('\n');
        } else if position % 4 == 0 && position > 0 {
            set.push('-');
        }
        // 256 is a multiple of 32, so all characters are equally likely.
        let character = ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
        set.push(char::from(character));
    }
    Ok(set)
}

/// The state of a flow whose user asked for the list of the codes. No set of codes looks like this.
const REVEALED: &[u8] = b"revealed";

/// The codes that the flow has made and nobody has confirmed yet.
fn pending<'a>(context: &FactorContext<'a>) -> Option<&'a str> {
    context.state.filter(|state| *state != REVEALED).and_then(|state| std::str::from_utf8(state).ok())
}

/// How many codes are left, and how many there were.
pub(crate) fn left(sets: &[Credential]) -> (usize, usize) {
    let codes = || sets.iter().flat_map(|set| &set.secrets);
    (codes().filter(|secret| secret.used_at.is_none()).count(), codes().count())
}

/// The list of the codes. They are kept hashed, so it only says which ones are used.
fn revealed(sets: &[Credential]) -> Node {
    let codes = sets.iter().flat_map(|set| &set.secrets).map(|secret| secret.used_at);
    let (list, label) = (message::lookup_uses(codes), message::lookup_uses_label());
    Node::text(Group::LookupSecret, "lookup_secret_codes", list, label)
}

impl Factor for LookupSecrets {
    fn method(&self) -> Method {
        Method::LookupSecret
    }

    fn is_usable(&self, credentials: &[Credential]) -> bool {
        credentials.iter().flat_map(|set| &set.secrets).any(|secret| secret.used_at.is_none())
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![
            Node::field(Group::LookupSecret, "lookup_secret", InputKind::Text, message::lookup_field()).value(""),
            Node::button(Group::LookupSecret, "method", Method::LookupSecret.as_str(), message::lookup_button()),
        ]
    }

    fn check_fields(&self, form: &Form) -> Result<(), FieldError> {
        if normalise(form.get("lookup_secret").unwrap_or_default()).is_empty() {
            return Err(FieldError { field: Some("lookup_secret"), text: message::missing("lookup_secret") });
        }
        Ok(())
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            let code = form.get("lookup_secret").unwrap_or_default();
            let mut verdict = Verdict::Wrong;
            for set in context.credentials {
                let credential = set.summary.id;
                let hash = kept_hash(context.subject, set, context.sealer, code)?;
                // Compare all of them. Only the store knows for sure whether one was used.
                for stored in &set.secrets {
                    if constant_time_eq(&stored.hash, &hash) {
                        verdict = Verdict::Proven(Consumption::Secret { credential, hash });
                    }
                }
            }
            Ok(verdict)
        })
    }

    fn refusal(&self, why: Refusal) -> Text {
        match why {
            Refusal::NotEnrolled => message::no_lookup_secrets(),
            Refusal::Used => message::lookup_used(),
            Refusal::Wrong | Refusal::TooOld => message::lookup_wrong(),
        }
    }

    fn is_backup(&self) -> bool {
        true
    }

    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        if credential.data.is_empty() {
            return Ok(None);
        }
        sealer.reseal(&seal_context(subject, credential.summary.id), &credential.data)
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }
}

impl Enrolment for LookupSecrets {
    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        let flag = |name, label| Node::button(Group::LookupSecret, name, "true", label);
        if let Some(codes) = pending(&context) {
            return Ok(vec![
                Node::text(
                    Group::LookupSecret,
                    "lookup_secret_codes",
                    message::lookup_codes(codes.lines()),
                    message::lookup_codes_label(),
                ),
                flag("lookup_secret_confirm", message::lookup_confirm()),
            ]);
        }
        let regenerate = flag("lookup_secret_regenerate", message::lookup_regenerate());
        if context.credentials.is_empty() {
            return Ok(vec![regenerate]);
        }
        let disable = flag("lookup_secret_disable", message::lookup_disable());
        // Ory's UI kit offers new codes only beside a list of codes.
        if context.state == Some(REVEALED) {
            return Ok(vec![revealed(context.credentials), disable, regenerate]);
        }
        Ok(vec![flag("lookup_secret_reveal", message::lookup_reveal()), disable])
    }

    fn claims(&self, form: &Form) -> bool {
        ["confirm", "reveal", "disable", "regenerate"].iter().any(|flag| form.flag(&format!("lookup_secret_{flag}")))
    }

    fn guesses_nothing(&self, _: &Form) -> bool {
        true
    }

    fn check_fields(&self, _: FactorContext<'_>, _: &Form) -> Result<(), FieldError> {
        Ok(())
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(async move { Self::decide(&context, form) })
    }
}

impl LookupSecrets {
    /// The outcome of a settings form.
    fn decide(context: &FactorContext<'_>, form: &Form) -> Result<EnrolmentOutcome, FactorError> {
        if form.flag("lookup_secret_confirm") {
            let Some(codes) = pending(context) else {
                return Ok(EnrolmentOutcome::Refused(message::generic(reason::NO_NEW_LOOKUP_SECRETS)));
            };
            return Ok(EnrolmentOutcome::Enrolled(Self::set(codes.lines(), context.now)));
        }
        if form.flag("lookup_secret_reveal") {
            // New codes stay on the page until they are confirmed: nobody can show them again.
            if let Some(codes) = pending(context) {
                return Ok(EnrolmentOutcome::Pending { state: codes.as_bytes().to_vec(), message: None });
            }
            if context.credentials.is_empty() {
                return Ok(EnrolmentOutcome::Refused(message::generic(reason::NO_LOOKUP_SECRETS)));
            }
            let (left, of) = left(context.credentials);
            let message = Some(message::lookup_left(left, of));
            return Ok(EnrolmentOutcome::Pending { state: REVEALED.to_vec(), message });
        }
        // Ory's UI kit sends the button for disabling along with the others, so it counts last.
        if form.flag("lookup_secret_regenerate") {
            if let Some(codes) = pending(context) {
                return Ok(EnrolmentOutcome::Pending { state: codes.as_bytes().to_vec(), message: None });
            }
            let state = random_set()?.as_bytes().to_vec();
            return Ok(EnrolmentOutcome::Pending { state, message: None });
        }
        if form.flag("lookup_secret_disable") {
            return Ok(EnrolmentOutcome::Removed);
        }
        Ok(EnrolmentOutcome::Refused(message::generic(reason::NO_LOOKUP_CHOICE)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::EncryptionKey;

    #[test]
    fn a_set_is_twelve_codes_that_a_fast_hash_keeps_safe() {
        let set = random_set().unwrap();
        let codes: Vec<_> = set.lines().collect();
        assert_eq!(codes.len(), COUNT);
        for code in &codes {
            assert_eq!(code.len(), CHARACTERS + 5, "{code}");
            assert_eq!(normalise(code).len(), CHARACTERS);
            assert!(normalise(code).bytes().all(|byte| ALPHABET.contains(&byte)));
        }
        let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), COUNT);
        assert_ne!(*random_set().unwrap(), *set);
        // The chance that a character is missing here is less than one in 10^20.
        let many: std::collections::BTreeSet<u8> = (0..10)
            .flat_map(|_| random_set().unwrap().bytes().filter(u8::is_ascii_alphanumeric).collect::<Vec<_>>())
            .collect();
        assert_eq!(many.len(), ALPHABET.len(), "not each character is used");
    }

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let set = CredentialId::random();
        let expected = hash(set, "ABCD-EFGH-IJKL-2345");
        for typed in [
            "abcdefghijkl2345",
            " ABCD efgh\tIJKL-2345 ",
            "A-B-C-D-E-F-G-H-I-J-K-L-2-3-4-5",
            "abcd\u{2013}efgh\u{a0}ijkl\u{2009}２３４５",
        ] {
            assert_eq!(hash(set, typed), expected, "{typed}");
        }
        assert_ne!(hash(CredentialId::random(), "ABCD-EFGH-IJKL-2345"), expected, "bound to its set");
        assert_ne!(hash(set, "ABCD-EFGH-IJKL-2346"), expected);
    }

    #[test]
    fn nothing_is_compared_where_nothing_is_typed() {
        let check = |code: &str| {
            let form = Form::from_pairs([("lookup_secret".to_owned(), code.to_owned())]).unwrap();
            Factor::check_fields(&LookupSecrets::default(), &form).map_err(|error| error.field)
        };
        assert_eq!((check(""), check(" - ")), (Err(Some("lookup_secret")), Err(Some("lookup_secret"))));
        assert_eq!(check("a"), Ok(()));
    }

    #[test]
    fn only_strong_and_distinct_codes_are_taken_along() {
        let now = Timestamp::from_unix_seconds(0);
        let (kim, sealer) = (Subject::new("kim").unwrap(), sealer(&["a"]));
        let imported = |codes: &[&str]| LookupSecrets::imported(&kim, codes, &sealer, now).unwrap();
        let (one, two) = ("ABCD-EFGH-IJKL-M", "nopq rstu vwxy z");
        assert_eq!(imported(&[one, two]).unwrap().secrets.len(), 2);
        for bad in [&[][..], &["ABCD-EFGH-IJKL"], &[one, "abcdefghijklm"], &[one, ""], &[&"A".repeat(65)]] {
            assert!(imported(bad).is_none(), "{bad:?}");
        }
    }

    fn sealer(ids: &[&str]) -> Sealer {
        Sealer::new(ids.iter().map(|id| EncryptionKey::new(*id, Sha256::digest(id)).unwrap()).collect())
    }

    async fn is_right(subject: &Subject, set: &Credential, sealer: &Sealer, code: &str) -> Result<bool, FactorError> {
        let credentials = [set.clone()];
        let public_url = url::Url::parse("https://bank.example").unwrap();
        let stores = crate::factor::no_stores();
        let session = crate::session::Session::external(subject.clone(), Vec::new());
        let context = FactorContext {
            application_name: "Example Bank",
            flow: crate::store::FlowId::random(),
            memory: crate::factor::no_memory(&stores, sealer, subject),
            public_url: &public_url,
            subject,
            identifier: "kim",
            directory: &crate::directory::NoDirectory,
            credentials: &credentials,
            stored: 1,
            session: &session,
            now: Timestamp::from_unix_seconds(0),
            sealer,
            state: None,
            browser: true,
        };
        let form = Form::from_pairs([("lookup_secret".to_owned(), code.to_owned())]).unwrap();
        let verdict = LookupSecrets::default().answer(context, &form).await?;
        Ok(matches!(verdict, Verdict::Proven(Consumption::Secret { .. })))
    }

    /// Imported codes work as long as the key of their set opens, which can be sealed under a new key. A set without a key is one of new
    /// codes, or one that was imported by a version before.
    #[tokio::test]
    async fn imported_codes_need_the_key_and_outlive_its_rotation() {
        let (old, both, new) = (sealer(&["old"]), sealer(&["new", "old"]), sealer(&["new"]));
        let (kim, lee) = (Subject::new("kim").unwrap(), Subject::new("lee").unwrap());
        let (code, now) = ("ABCD-EFGH-IJKL-M", Timestamp::from_unix_seconds(0));
        let mut set = LookupSecrets::imported(&kim, &[code], &old, now).unwrap().unwrap();
        assert_ne!(set.secrets[0].hash, hash(set.summary.id, code), "a fast hash without a key");
        for sealer in [&old, &both] {
            assert!(is_right(&kim, &set, sealer, "abcdefghijklm").await.unwrap());
            assert!(!is_right(&kim, &set, sealer, "abcdefghijkln").await.unwrap());
        }
        assert!(is_right(&kim, &set, &new, code).await.is_err(), "the key is gone");
        assert!(is_right(&lee, &set, &old, code).await.is_err(), "copied to somebody else");

        let factor = LookupSecrets::default();
        assert_eq!(factor.reseal(&kim, &set, &old).unwrap(), None);
        set.data = factor.reseal(&kim, &set, &both).unwrap().expect("sealed anew");
        assert!(is_right(&kim, &set, &new, code).await.unwrap());
        assert_eq!(factor.reseal(&kim, &set, &both).unwrap(), None);

        let plain = LookupSecrets::set([code].into_iter(), now);
        assert!(plain.data.is_empty() && is_right(&kim, &plain, &new, code).await.unwrap());
        assert_eq!(factor.reseal(&kim, &plain, &both).unwrap(), None);
        let other = LookupSecrets::imported(&kim, &[code], &old, now).unwrap().unwrap();
        assert_ne!(other.secrets[0].hash, set.secrets[0].hash);
    }

    #[test]
    fn a_used_up_set_cannot_be_used_but_is_there() {
        let set = |used_at| {
            let summary =
                CredentialSummary { id: CredentialId::random(), method: Method::LookupSecret, aal: Aal::Aal2 };
            let secrets = vec![StoredSecret { hash: [0; 32], used_at }];
            Credential::new(summary, Timestamp::from_unix_seconds(0)).with_secrets(secrets)
        };
        let used = Some(Timestamp::from_unix_seconds(1));
        let factor = LookupSecrets::default();
        assert!(factor.is_usable(&[set(None)]));
        assert!(!factor.is_usable(&[set(used)]));
        assert!(!factor.is_usable(&[]));
    }

    proptest! {
        #[test]
        fn any_text_can_be_typed(text in any::<String>()) {
            let _ = hash(CredentialId::from(uuid::Uuid::nil()), &text);
        }
    }
}

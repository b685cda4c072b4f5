//! A bank whose clock stands still and whose users have fixed secrets, so the corpus stays valid.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    clock::{Clock, Timestamp},
    config::StepUpBuilder,
    directory::{Directory, DirectoryFuture, Identity},
    factor::{LookupSecrets, Password, Totp, lookup_secret},
    seal::{EncryptionKey, Sealer},
    session::{SigningKey, StoredSession, Subject},
    standing::CredentialSummary,
    step_up::StepUp,
    store::{Credential, MemoryStore, StoredSecret},
};

pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
pub(super) const COOKIE: &str = "__Host-step_up_session";
pub(super) const PASSWORD: &str = "correct horse battery staple";
pub(super) const TOTP_SECRET: &[u8] = b"a secret of twenty b";
pub(super) const LOOKUP_CODES: [&str; 2] = ["ABCD-EFGH-IJKL-2345", "BCDE-FGHI-JKLM-3456"];
pub(super) const SIGNING_SECRET: [u8; 32] = *b"signs in tests and nowhere else.";
pub(super) const OLD_SECRET: [u8; 32] = *b"signed in tests but not any more";

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// All users have the same password.
struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move { Ok(Some(Identity::new(serde_json::json!({ "name": subject })))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        let known = ["kim", "lee", "mia"].contains(&identifier) && password == PASSWORD;
        Box::pin(async move { Ok(known.then(|| subject(identifier))) })
    }
}

pub(super) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(super) fn builder() -> StepUpBuilder {
    StepUp::builder("https://bank.example")
        .signing_key(SigningKey::hs256("new", SIGNING_SECRET).unwrap())
        .signing_key(SigningKey::hs256("old", OLD_SECRET).unwrap())
        .store(MemoryStore::default())
        .factor(Totp::new("Example Bank"))
        .factor(LookupSecrets::default())
        .factor(Password::default())
        .directory(Users)
        .clock(Still)
        .cached_sessions(16)
}

/// Seals and opens as the bank does.
pub(super) fn sealer() -> Sealer {
    let key = SigningKey::hs256("new", SIGNING_SECRET).unwrap();
    Sealer::new(vec![EncryptionKey::derived_from(&key).unwrap()])
}

/// A session with a fixed id, five minutes old.
pub(super) fn session(name: &str, id: u128, proofs: Vec<Proof>) -> StoredSession {
    let issued_at = NOW - Duration::from_secs(300);
    let (id, binding) = (Uuid::from_u128(id), Uuid::from_u128(id + 0x100));
    let day = Duration::from_secs(86_400);
    StoredSession::from_parts(id.into(), subject(name), binding.into(), proofs, issued_at, issued_at + day)
}

pub(super) fn password() -> Proof {
    Proof::new(Method::Password, Aal::Aal1, NOW - Duration::from_secs(300))
}

pub(super) fn totp(credential: CredentialId) -> Proof {
    Proof::new(Method::Totp, Aal::Aal2, NOW - Duration::from_secs(240)).with_credential(credential)
}

pub(super) fn credential_id(id: u128) -> CredentialId {
    CredentialId::from(Uuid::from_u128(id))
}

/// A TOTP credential and a set of look-up secrets, with the ids `id` and `id + 1`.
pub(super) fn credentials(name: &str, id: u128) -> [Credential; 2] {
    let at = NOW - Duration::from_secs(86_400);
    let mut totp = Totp::credential(&subject(name), TOTP_SECRET, 0, &sealer(), at).unwrap();
    // Sealed for its own id: an attacker could try to copy it to another row.
    totp.summary.id = credential_id(id);
    totp.data = sealer().seal(&crate::factor::totp_seal_context(&subject(name), totp.summary.id), TOTP_SECRET).unwrap();
    let set = credential_id(id + 1);
    let secrets = LOOKUP_CODES.map(|code| StoredSecret { hash: lookup_secret::hash(set, code), used_at: None });
    let summary = CredentialSummary { id: set, method: Method::LookupSecret, aal: Aal::Aal2 };
    [totp, Credential::new(summary, at).with_secrets(secrets.to_vec())]
}

/// The valid codes of a TOTP secret: of the previous, the current and the next step.
pub(super) fn totp_codes(secret: &[u8]) -> [String; 3] {
    let totp = totp_rs::Builder::new().with_secret(secret.to_vec()).build().unwrap();
    let now = u64::try_from(NOW.unix_seconds()).unwrap();
    [now - 30, now, now + 30].map(|seconds| totp.generate(seconds).to_string())
}

/// The outcome of a future that never waits.
pub(super) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    let Poll::Ready(outcome) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for something");
    };
    outcome
}

/// Runs a future with a timer, which every call of the store needs.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Replaces each placeholder, a control byte, by its text.
pub(super) fn expand(data: &[u8], stands_for: impl Fn(u8) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(data.len());
    for &byte in data {
        match stands_for(byte) {
            Some(bytes) => expanded.extend(bytes),
            None => expanded.push(byte),
        }
    }
    expanded
}

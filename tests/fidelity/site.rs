//! The application: three users, the factors that were recorded, and a clock that stands still.

use std::time::Duration;

use axum::Router;
use serde_json::json;
use tower_step_up::{
    RequiredAal, SigningKey, StepUp, Subject,
    clock::Clock,
    directory::{Directory, DirectoryFuture, Identity},
    factor::{LookupSecrets, Password, Totp},
    store::MemoryStore,
    test_util::FixedClock,
};

pub const PUBLIC: &str = "https://bank.example";

/// Users whose password is their name and `-password`.
struct Users;

impl Directory for Users {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move { Ok(Some(Identity::new(json!({ "username": subject.as_str() })))) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(async move {
            let right = password == format!("{identifier}-password");
            Ok(right.then(|| Subject::new(identifier).unwrap()))
        })
    }
}

/// The application's router, and its clock.
pub struct Site {
    pub router: Router,
    clock: FixedClock,
}

impl Site {
    /// `required`: the level that whoami and the settings ask for. It is the whole difference between the models.
    pub fn new(required: RequiredAal) -> Self {
        let clock = FixedClock::default();
        let step_up = StepUp::builder(PUBLIC)
            .signing_key(SigningKey::generate("2026-11").unwrap())
            .store(MemoryStore::default())
            .clock(clock.clone())
            .directory(Users)
            .factor(Totp::new("Example Bank"))
            .factor(LookupSecrets::default())
            .factor(Password::default())
            .whoami_required_aal(required)
            .settings_required_aal(required)
            .build()
            .unwrap();
        Self { router: Router::new().merge(step_up.router()).layer(step_up.layer()), clock }
    }

    fn code_at(secret: &str, seconds: u64) -> String {
        let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
        totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(seconds).to_string()
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.clock.now().unix_seconds()).unwrap()
    }

    /// The next code: each counts once.
    pub fn fresh_code(&self, secret: &str) -> String {
        self.clock.advance(Duration::from_secs(30));
        Self::code_at(secret, self.seconds())
    }

    /// A code that is wrong now.
    pub fn wrong_code(&self, secret: &str) -> String {
        let near: Vec<_> = (0..=4).map(|step| Self::code_at(secret, self.seconds() - 60 + 30 * step)).collect();
        let mut wrong = ["000000", "000001", "000002", "000003", "000004", "000005"].into_iter();
        wrong.find(|code| !near.iter().any(|right| right == code)).unwrap().to_owned()
    }
}

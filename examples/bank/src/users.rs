//! Who the bank's users are, and whether a password is right. Of this, the crate sees only [`Directory`].

use std::{error::Error, sync::Arc};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use serde_json::json;
use tokio::{sync::Semaphore, task::spawn_blocking};
use tower_step_up::{
    StepUp, Subject,
    directory::{Address, Directory, DirectoryFuture, Identity},
};

use crate::database::{Database, on};

type BoxError = Box<dyn Error + Send + Sync>;

/// A user to create in an empty store.
struct Seed {
    username: &'static str,
    password: &'static str,
    /// The secret that is already in the user's authenticator app.
    totp: Option<&'static str>,
    /// Where codes go.
    addresses: &'static [SeedAddress],
}

/// A mail address or a number for text messages.
struct SeedAddress {
    address: &'static str,
    verified: bool,
}

impl From<&SeedAddress> for Address {
    fn from(seed: &SeedAddress) -> Self {
        let address = if seed.address.contains('@') { Self::email(seed.address) } else { Self::sms(seed.address) };
        address.verified(seed.verified)
    }
}

static SEEDS: [Seed; 3] = [
    Seed {
        username: "alice",
        password: "alice-password",
        totp: Some("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
        addresses: &[SeedAddress { address: "alice@bank.example", verified: true }],
    },
    Seed { username: "bob", password: "bob-password", totp: None, addresses: &[] },
    Seed {
        username: "carol",
        password: "carol-password",
        totp: Some("KRSXG5CTMVRXEZLUKN2HE2LOM4QHG33N"),
        addresses: &[
            SeedAddress { address: "+4915112345678", verified: true },
            SeedAddress { address: "carol@bank.example", verified: false },
        ],
    },
];

/// Longer passwords are wrong without being hashed.
const MAX_PASSWORD_BYTES: usize = 512;

/// The table of users.
#[derive(Clone)]
pub(crate) struct Users {
    database: Database,
    /// A hash takes much time and memory on purpose, so only a few run at once.
    hashing: Arc<Semaphore>,
    /// The hash for unknown users, so that a wrong name takes as long as a wrong password.
    nobody: Arc<str>,
}

impl Users {
    pub(crate) async fn new(database: Database) -> Result<Self, BoxError> {
        let nobody = spawn_blocking(|| hash("the password of nobody")).await??;
        Ok(Self { database, hashing: Arc::new(Semaphore::new(2)), nobody: nobody.into() })
    }

    /// Fills an empty store. It is safe to repeat it, and to kill it: second factors come first, so a user who should have one
    /// never exists without it. `apps`: whether authenticator apps are a factor here.
    pub(crate) async fn seed(&self, step_up: &StepUp, apps: bool) -> Result<(), BoxError> {
        let read = "SELECT NOT EXISTS (SELECT 1 FROM bank_users)";
        let empty: bool = on!(&self.database, pool => sqlx::query_scalar(read).fetch_one(pool).await)?;
        if !empty {
            return Ok(());
        }
        let mut hashes = Vec::new();
        for seed in &SEEDS {
            if let Some(secret) = seed.totp.filter(|_| apps) {
                step_up.import_totp(&Subject::new(seed.username)?, secret).await?;
            }
            hashes.push(spawn_blocking(|| hash(seed.password)).await??);
        }
        // One statement: it adds all users or none.
        let insert = "INSERT INTO bank_users (username, password_hash) VALUES ($1, $2), ($3, $4), ($5, $6) ON CONFLICT DO NOTHING";
        on!(&self.database, pool => {
            let mut insert = sqlx::query(insert);
            for (seed, hash) in SEEDS.iter().zip(&hashes) {
                insert = insert.bind(seed.username).bind(hash);
            }
            insert.execute(pool).await.map(drop)
        })?;
        Ok(())
    }

    /// The user, if the password is theirs. Neither the answer nor its time reveals whether the user exists.
    ///
    /// A real bank also limits the attempts of strangers. The crate counts only attempts of signed-in users, since otherwise a
    /// stranger could lock a user out.
    pub(crate) async fn verify(&self, username: &str, password: &str) -> Result<Option<Subject>, BoxError> {
        if Subject::new(username).is_err() {
            // No user is called so, and a database may fail on it.
            return Ok(None);
        }
        let read = "SELECT password_hash FROM bank_users WHERE username = $1";
        let stored: Option<String> =
            on!(&self.database, pool => sqlx::query_scalar(read).bind(username).fetch_optional(pool).await)?;
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(None);
        }
        let permit = Arc::clone(&self.hashing).acquire_owned().await?;
        let password = password.to_owned();
        let right = spawn_blocking(move || {
            // Hold it until the work ends, which is after the request if the client hangs up.
            let _permit = permit;
            PasswordHash::new(&stored).map(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await??;
        Ok(if known && right { Some(Subject::new(username)?) } else { None })
    }
}

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

impl Directory for Users {
    fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
        Box::pin(async move {
            let read = "SELECT EXISTS (SELECT 1 FROM bank_users WHERE username = $1)";
            let known: bool =
                on!(&self.database, pool => sqlx::query_scalar(read).bind(subject.as_str()).fetch_one(pool).await)?;
            Ok(known.then(|| Identity::new(json!({ "username": subject.as_str() }))))
        })
    }

    /// The bank's users are always the same, and so are their addresses.
    fn addresses<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Vec<Address>> {
        let own = SEEDS.iter().find(|seed| seed.username == subject.as_str());
        Box::pin(async move { Ok(own.iter().flat_map(|seed| seed.addresses).map(Address::from).collect()) })
    }

    fn checks_passwords(&self) -> bool {
        true
    }

    fn check_password<'a>(&'a self, identifier: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
        Box::pin(self.verify(identifier, password))
    }
}

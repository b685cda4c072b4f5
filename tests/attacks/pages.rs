//! Section 6 of the list of attacks: pages, headers, logs.

use axum::{body::Body, http::Method as HttpMethod};
use tower_step_up::{
    Challenge, Directory, DirectoryFuture, EncryptionKey, Identity, SigningKey, StepUp, Subject,
    factor::{LookupSecrets, Password, Totp},
    store::MemoryStore,
    test_util::FixedClock,
};

use crate::{
    common::{log::Log, store::ADDRESS},
    site::{Answer, KINDS, Kind, ORIGIN, Site, code_of},
    world::{WRONG, World, client, secret_of, subject},
};

//! The helpers that applications test with.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that fails panics"
)]

#[path = "../common/mod.rs"]
mod common;

mod attacks;

use std::time::Duration;

use common::{Bank, request, send};
use tower::{ServiceBuilder, service_fn};
use tower_step_up::{
    Aal, Method, RequireAal2, SigningKey, StepUp, Subject,
    aal::{CredentialId, Proof},
    clock::Clock,
    factor::Totp,
    store::MemoryStore,
    test_util::{FixedClock, mint},
};

#[tokio::test]
async fn a_minted_session_has_the_level_of_its_proofs() {
    let clock = FixedClock::default();
    let step_up = StepUp::builder("https://bank.example")
        .signing_key(SigningKey::generate("2026-11").unwrap())
        .store(MemoryStore::default())
        .factor(Totp::new("Example Bank"))
        .clock(clock.clone())
        .build()
        .unwrap();
    let service = ServiceBuilder::new()
        .layer(step_up.layer())
        .layer(RequireAal2.max_age(Duration::from_secs(300)))
        .service(service_fn(async |_| Ok(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))));
    let password = Proof::new(Method::Password, Aal::Aal1, clock.now());
    let totp = Proof::new(Method::Totp, Aal::Aal2, clock.now()).with_credential(CredentialId::random());
    let subject = || Subject::new("kim").unwrap();

    for (proofs, status) in [(vec![password.clone()], 403), (vec![password, totp], 200)] {
        // Twice, since the second time the credential is there.
        for _ in 0..2 {
            let kim = mint(&step_up, subject(), proofs.clone()).await.unwrap();
            let bearer = format!("Bearer {}", kim.token().as_str());
            let answer = send(&service, request("GET", "/", &[("x-session-token", &bearer[7..])])).await;
            assert_eq!(answer.status, status);
        }
    }
    assert!(mint(&step_up, subject(), []).await.is_err());

    let kim = Bank::new().aal2("kim").await;
    assert_eq!(send(&service, request("GET", "/", &[("x-session-token", kim.token())])).await.status, 401);
}

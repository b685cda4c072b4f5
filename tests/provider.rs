//! `jsonwebtoken` has one provider of cryptography for the whole process. The application chooses it, or nobody does: this crate neither
//! installs one nor needs one.

mod common;

use axum::{Router, routing::get};
use common::{Bank, request, send};
use jsonwebtoken::{
    Algorithm, EncodingKey,
    crypto::{self, CryptoProvider, KeyUtils},
    errors::ErrorKind,
};
use tower_step_up::RequireAal2;

/// What the application has installed. It refuses everything, so that whoever asks it is found out.
static OF_THE_APPLICATION: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Signs two tokens and verifies both.
async fn works() -> bool {
    let bank = Bank::new();
    let app = Router::new().route("/", get(async || "paid").layer(RequireAal2)).layer(bank.step_up.layer());
    let kim = bank.aal2("kim").await;
    send(&app, request("GET", "/", &[("cookie", &kim.cookie())])).await.status == 200
}

/// The only test of this process.
#[tokio::test]
async fn sessions_need_no_provider_and_leave_the_applications_own_alone() {
    assert!(works().await, "without a provider");
    assert!(OF_THE_APPLICATION.install_default().is_ok(), "nobody has installed one, nor made jsonwebtoken choose one");
    assert!(works().await, "with a provider of others");
    let key = EncodingKey::from_secret(b"of the application").unwrap();
    assert!(
        crypto::sign(b"message", &key, Algorithm::HS256).is_err(),
        "the application has the one that it has chosen"
    );
}

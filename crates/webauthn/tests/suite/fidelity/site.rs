//! The application: Alice, the factors that were recorded, and a clock that stands still but for what codes must wait.

use std::time::Duration;

use axum::Router;
use tower_step_up::{
    directory::Address,
    factor::{Code, Password},
    test_util::FixedClock,
};
use tower_step_up_webauthn::WebAuthn;

pub use crate::site::ORIGIN as PUBLIC;
use crate::{postbox::Postbox, site};

pub const ADDRESS: &str = "alice@bank.example";

const COOL_DOWN: Duration = Duration::from_secs(1);

pub struct Site {
    pub router: Router,
    pub postbox: Postbox,
    clock: FixedClock,
}

impl Site {
    pub fn new() -> Self {
        let postbox = Postbox::default();
        let code = Code::new(postbox.clone()).cool_down(COOL_DOWN).sends_per_hour(100);
        let bank =
            site::Site::with(|builder| builder.factor(Password::default()).factor(code).factor(WebAuthn::new("Bank")));
        bank.users.reach("alice", [Address::email(ADDRESS).verified(true)]);
        Self { router: bank.router, postbox, clock: bank.clock }
    }

    /// Lets the time pass in which an address gets no other code.
    pub fn wait(&self) {
        self.clock.advance(COOL_DOWN);
    }
}

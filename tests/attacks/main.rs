//! Attacks on a guarded application. Each is tried after its honest twin has passed, so that no test is green because nothing works.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::unchecked_time_subtraction,
    reason = "a test that fails panics"
)]

#[path = "../common/address_page.rs"]
mod address_page;
#[path = "../common/answers.rs"]
mod answers;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/held.rs"]
mod held;
#[path = "../common/key.rs"]
mod key;
#[path = "../common/naive.rs"]
mod naive;
mod naive_is_caught;
#[path = "../common/post.rs"]
mod post;
#[path = "../common/postbox.rs"]
mod postbox;
#[cfg(all(unix, any(feature = "postgres", feature = "redis")))]
#[path = "../servers/mod.rs"]
mod servers;
#[path = "../flows/site.rs"]
mod site;
mod stores;
#[path = "../common/witness.rs"]
mod witness;
mod world;

mod changes;
mod codes;
mod devices;
mod enrolment;
mod faults;
mod flows;
mod held_bodies;
mod input;
mod messages;
mod methods;
mod model;
mod outages;
mod own_addresses;
mod pages;
mod races;
mod recovery;
mod repeats;

mod sessions;
mod state_and_policy;
mod strangers;
mod texts;
mod tokens;
mod tokens_and_transport;

use axum::Router;
use common::{Answer, Bank, log::Log, request, send};
use tower_step_up::StepUpBuilder;

/// An application with a log, and the ways in which a refusal looks.
struct Target {
    bank: Bank,
    log: Log,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Target {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(configure: impl FnOnce(StepUpBuilder) -> StepUpBuilder) -> Self {
        Self::of(Bank::on(stores::one(), configure))
    }

    /// For what has nothing to do with the store.
    fn in_memory() -> Self {
        Self::of(Bank::new())
    }

    fn of(bank: Bank) -> Self {
        let (log, guard) = Log::begin();
        Self { bank, log, _guard: guard }
    }

    /// The honest twin: it gets through, and the handler runs once.
    #[track_caller]
    fn assert_passed(&self, answer: &Answer) {
        assert_eq!((answer.status.as_u16(), self.bank.calls.take()), (200, 1), "{answer:?}");
        self.log.take();
    }

    /// The handler did not run, no session was handed out, and the audit has one line with a reason and no secret.
    #[track_caller]
    fn assert_refused(&self, answer: &Answer, status: u16, id: &str) {
        assert_eq!(answer.status, status, "{answer:?}");
        if answer.body.is_empty() {
            assert_eq!(id, "");
        } else {
            assert_eq!(answer.error_id(), id, "{answer:?}");
        }
        assert_eq!(self.bank.calls.take(), 0, "the handler ran");
        assert_eq!(answer.header("set-cookie"), None);
        let audit = self.log.take_audit();
        assert!(matches!(&audit[..], [line] if line.contains(" reason=") && !line.contains("eyJ")), "{audit:?}");
    }
}

async fn get(app: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [headers, &[("accept", "application/json")]].concat();
    send(app, request("GET", path, &headers)).await
}

//! For tests of applications and of this crate (feature `test-util`): a clock that stands still, sessions at any level without going
//! through a login, and a walk over routes that must be closed. Never enable it in a deployment: it signs in whomever it is told to.

mod clock;
mod sessions;
mod walk;

pub use self::{clock::FixedClock, sessions::mint, walk::assert_denied_below};

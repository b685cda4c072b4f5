//! The shapes of Ory's JSON: sessions, errors, and what a flow shows. They take values, and know no stores and no requests.

mod envelope;
pub(crate) mod session;
pub mod ui;

pub(crate) use self::envelope::Envelope;

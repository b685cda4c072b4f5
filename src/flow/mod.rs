//! Attempts to prove more: what a flow is, how it begins, what it shows and when it is over. Decisions are pure; what must be
//! stored goes through the store's traits. Nothing here answers HTTP requests.

pub(crate) mod csrf;
pub(crate) mod login;
pub(crate) mod owner;
pub(crate) mod record;
pub(crate) mod settings;

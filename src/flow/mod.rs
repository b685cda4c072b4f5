//! Login and settings flows: what they are, how they begin, what they show and when they end. Decisions are pure; writes go through the
//! store's traits. Nothing here answers HTTP requests.

pub(crate) mod csrf;
pub(crate) mod login;
pub(crate) mod owner;
pub(crate) mod record;
pub(crate) mod settings;
pub(crate) mod states;
pub(crate) mod unstored;
mod view;

//! Sessions of our own.

mod standing_cache;

pub(crate) use self::standing_cache::StandingCache;

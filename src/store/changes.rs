//! What a store tells of changes, so that processes need not read each session again and again.

use std::fmt;

use crate::session::Subject;

/// A place in a store's log of changes. Only the store that made it can read it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LogPlace(String);

impl LogPlace {
    /// The place that this text means to the store.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogPlace").field(&self.0).finish()
    }
}

/// What has changed since a place in the log, and the place that the log has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changes {
    /// This store keeps no log.
    NoLog,
    /// Nothing is known of what was before this place: the reader begins here. It named no place, or one that the log no longer reaches
    /// back to.
    Cut(LogPlace),
    /// These subjects have changed, and no others. They may be named more than once.
    Of(Vec<Subject>, LogPlace),
    /// Any subject may have changed.
    OfEverybody(LogPlace),
}

/// More subjects than this are told as everybody: an answer stays small.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) const TOLD_AT_ONCE: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_text_that_the_store_gave_it() {
        assert_eq!(LogPlace::new("7").as_str(), "7");
        assert_ne!(LogPlace::new("7"), LogPlace::new("8"));
    }
}

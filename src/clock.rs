//! Time: instants as the wire and the stores write them, and the clock they come from.
//!
//! Only [`SystemClock`] asks the operating system for the time. Decisions take `now` as a value.

use std::{
    fmt,
    num::NonZeroI64,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An instant in UTC, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic saturates at the years 0000 and 9999. So a hostile number in a token or a row can neither overflow nor become a
/// time that RFC 3339 cannot write.
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::clock::Timestamp;
///
/// let start = Timestamp::from_unix_seconds(1_800_000_000);
/// assert_eq!((start + Duration::from_secs(90)).since(start), Duration::from_secs(90));
/// assert_eq!(start.to_string(), "2027-01-15T08:00:00Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// Counted from a millisecond before the first instant. It is never zero, so an `Option` of it takes no more memory.
    NonZeroI64,
);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z, the ends of what RFC 3339 can write.
const MIN: i64 = -62_167_219_200_000;
const MAX: i64 = 253_402_300_799_999;

/// What [`Timestamp`] counts from.
const ORIGIN: i64 = MIN - 1;

impl Timestamp {
    /// The instant `milliseconds` after the Unix epoch, clamped to the range.
    pub const fn from_unix_milliseconds(milliseconds: i64) -> Self {
        let milliseconds = if milliseconds < MIN {
            MIN
        } else if milliseconds > MAX {
            MAX
        } else {
            milliseconds
        };
        Self(match NonZeroI64::new(milliseconds.saturating_sub(ORIGIN)) {
            Some(since_origin) => since_origin,
            // Never: the origin is before all of them.
            None => NonZeroI64::MIN,
        })
    }

    /// The instant `seconds` after the Unix epoch, clamped to the range.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self::from_unix_milliseconds(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_milliseconds(self) -> i64 {
        self.0.get().saturating_add(ORIGIN)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.unix_milliseconds().div_euclid(1000)
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.get().saturating_sub(earlier.0.get())).unwrap_or(0))
    }

    /// The same instant without its fraction of a second, as a JWT's `NumericDate` holds it.
    #[must_use]
    pub(crate) const fn whole_seconds(self) -> Self {
        Self::from_unix_seconds(self.unix_seconds())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self::from_unix_milliseconds(self.unix_milliseconds().saturating_add(milliseconds(duration)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self::from_unix_milliseconds(self.unix_milliseconds().saturating_sub(milliseconds(duration)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self::from_unix_milliseconds(milliseconds(after)),
            Err(before) => Self::from_unix_milliseconds(milliseconds(before.duration()).saturating_neg()),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.unix_milliseconds()).finish()
    }
}

/// Writes RFC 3339 in UTC, as all times on the wire are written.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.unix_milliseconds()).saturating_mul(1_000_000))
                .ok()
                .and_then(|time| time.format(&Rfc3339).ok())
                .ok_or(fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        i64::try_from(time.unix_timestamp_nanos() / 1_000_000)
            .map(Self::from_unix_milliseconds)
            .map_err(serde::de::Error::custom)
    }
}

/// The source of the crate's "now".
///
/// The default is [`SystemClock`]. Tests set their own time (`test_util::FixedClock`, feature `test-util`), so that they need not
/// sleep.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_fractions_only_when_there_are_any() {
        assert_eq!(Timestamp::from_unix_milliseconds(1_500).to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!(Timestamp::from_unix_milliseconds(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn whole_seconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_unix_milliseconds(-1).whole_seconds().unix_milliseconds(), -1000);
    }

    proptest! {
        #[test]
        fn every_instant_can_be_written_and_read(milliseconds in any::<i64>()) {
            let instant = Timestamp::from_unix_milliseconds(milliseconds);
            let text = serde_json::to_string(&instant).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), instant);
            prop_assert_eq!(instant.unix_milliseconds(), milliseconds.clamp(MIN, MAX));
        }

        #[test]
        fn arithmetic_never_overflows(start in any::<i64>(), seconds in any::<u64>()) {
            let start = Timestamp::from_unix_milliseconds(start);
            let duration = Duration::from_secs(seconds);
            prop_assert!(start + duration >= start);
            prop_assert!(start - duration <= start);
        }
    }
}

//! RFC 3339: written in UTC to the millisecond, read with any offset.

use std::fmt;

const DAY: i64 = 86_400_000;
/// Four hundred years, after which the calendar repeats, and the days from 0000-03-01 to 1970-01-01.
const ERA: i64 = 146_097;
const EPOCH: i64 = 719_468;

/// Writes the instant of these milliseconds since 1970, without the zeros at the end of its fraction.
pub(super) fn write(milliseconds: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (year, month, day) = date_of(milliseconds.div_euclid(DAY));
    let of_day = milliseconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    match of_day % 1_000 {
        0 => {}
        fraction if fraction % 100 == 0 => write!(f, ".{}", fraction / 100)?,
        fraction if fraction % 10 == 0 => write!(f, ".{:02}", fraction / 10)?,
        fraction => write!(f, ".{fraction:03}")?,
    }
    f.write_str("Z")
}

/// The milliseconds since 1970. Smaller fractions are cut off, and a leap second is the last millisecond before it.
#[expect(clippy::arithmetic_side_effects, reason = "each number has at most four digits")]
pub(super) fn read(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let days = match numbers(date, b"dddd-dd-dd")?[..] {
        [year, month @ 1..=12, day @ 1..=31] => {
            Some(days_of(year, month, day)).filter(|days| date_of(*days) == (year, month, day))?
        }
        _ => return None,
    };
    let (clock, rest) = time.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|one: char| !one.is_ascii_digit()).filter(|end| *end > 0)?),
        None => ("0", rest),
    };
    let fraction: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let of_day = match numbers(clock, b"dd:dd:dd")?[..] {
        [hour @ 0..=23, minute @ 0..=59, 60] => ((hour * 60 + minute) * 60 + 59) * 1000 + 999,
        [hour @ 0..=23, minute @ 0..=59, second @ 0..=59] => ((hour * 60 + minute) * 60 + second) * 1000 + fraction,
        _ => return None,
    };
    let east = match offset.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), offset) => match numbers(offset, b"dd:dd")?[..] {
            [hours @ 0..=23, minutes @ 0..=59] if sign == "+" => hours * 60 + minutes,
            [hours @ 0..=23, minutes @ 0..=59] => -(hours * 60 + minutes),
            _ => return None,
        },
        _ => return None,
    };
    Some(days * DAY + of_day - east * 60_000)
}

/// The numbers in a text of this shape, in which `d` is a digit.
fn numbers(text: &str, shape: &[u8]) -> Option<Vec<i64>> {
    let fits = |(one, expected): (u8, &u8)| if *expected == b'd' { one.is_ascii_digit() } else { one == *expected };
    let like_it = text.len() == shape.len() && text.bytes().zip(shape).all(fits);
    like_it.then(|| text.split(['-', ':']).filter_map(|number| number.parse().ok()).collect())
}

// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": the year begins in March, so that a leap day is its last.

#[expect(clippy::arithmetic_side_effects, reason = "a timestamp has at most four digits of years")]
fn date_of(days: i64) -> (i64, i64, i64) {
    let (era, day) = ((days + EPOCH).div_euclid(ERA), (days + EPOCH).rem_euclid(ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[expect(clippy::arithmetic_side_effects, reason = "each number has at most four digits")]
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * month + 2) / 5 + day - 1;
    era * ERA + year * 365 + year / 4 - year / 100 + day - EPOCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

    use super::{super::*, read};

    #[test]
    fn other_ways_to_write_an_instant_are_read() {
        let noon = 1_800_014_400_000;
        for (text, expected) in [
            ("2027-01-15T12:00:00Z", noon),
            ("2027-01-15t12:00:00z", noon),
            ("2027-01-15 12:00:00+00:00", noon),
            ("2027-01-15T13:30:00+01:30", noon),
            ("2027-01-15T10:30:00-01:30", noon),
            ("2027-01-15T12:00:00.5Z", noon + 500),
            ("2027-01-15T12:00:00.1239999999999Z", noon + 123),
            ("2016-12-31T23:59:60Z", 1_483_228_799_999),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "2027-01-15",
            "2027-01-15T12:00:00",
            "2027-01-15T12:00Z",
            "2027-01-15T12:00:00.Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T12:60:00Z",
            "2027-01-15T12:00:61Z",
            "2027-02-29T12:00:00Z",
            "2100-02-29T12:00:00Z",
            "2027-13-15T12:00:00Z",
            "2027-00-15T12:00:00Z",
            "2027-01-00T12:00:00Z",
            "2027-01-15T12:00:00Z ",
            "2027-01-15T12:00:00+1:00",
            "2027-01-15T12:00:00+24:00",
            "2027-01-15T12:00:00+0100",
            "+027-01-15T12:00:00Z",
            "2027-1-015T12:00:00Z",
            "2027-01-15T12:00:00\u{663}Z",
            "\u{662}\u{660}27-01-15T12:00:00Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_an_implementation_by_others(milliseconds in MIN..=MAX, minutes in -1439i32..=1439) {
            let instant = Timestamp::from_unix_milliseconds(milliseconds);
            let theirs = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).unwrap();
            let text = theirs.format(&Rfc3339).unwrap();
            prop_assert_eq!(instant.to_string(), text.clone());
            prop_assert_eq!(read(&text), Some(milliseconds));
            let offset = UtcOffset::from_whole_seconds(minutes * 60).unwrap();
            if let Some(Ok(text)) = theirs.checked_to_offset(offset).map(|there| there.format(&Rfc3339)) {
                prop_assert_eq!(read(&text), Some(milliseconds), "{}", text);
            }
        }

        #[test]
        fn reads_no_more_than_they_do(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{0,4})?(Z|[+-][0-2][0-9]:[0-5][0-9])") {
            if let Some(read) = read(&text) {
                let theirs = OffsetDateTime::parse(&text.replace(' ', "T"), &Rfc3339).unwrap();
                prop_assert_eq!(i128::from(read), theirs.unix_timestamp_nanos().div_euclid(1_000_000));
            }
        }
    }
}

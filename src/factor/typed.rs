//! Codes as people type them, and as password managers paste them.

use zeroize::Zeroizing;

/// The code itself: without blanks, dashes and characters that nobody sees, full-width characters as their ASCII twins. All else stays,
/// so a text that is no code does not become one. Digits of other scripts stay too: no authenticator app shows them.
pub(super) fn normalise(typed: &str) -> Zeroizing<String> {
    Zeroizing::new(typed.chars().filter(|&character| !is_separator(character)).map(narrow).collect())
}

fn is_separator(character: char) -> bool {
    let is_dash =
        matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}');
    let is_unseen = matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    character.is_whitespace() || is_dash || is_unseen
}

/// Full-width letters and digits stand in the order of ASCII, this much later.
const FULL_WIDTH: u32 = 0xfee0;

fn narrow(character: char) -> char {
    match character {
        '\u{ff10}'..='\u{ff19}' | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => {
            u32::from(character).checked_sub(FULL_WIDTH).and_then(char::from_u32).unwrap_or(character)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_written() {
        for typed in [
            "123456",
            " 123 456\n",
            "123-456",
            "123\u{a0}456",
            "123\u{2009}456",
            "123\u{202f}456",
            "123\u{2013}456",
            "\u{feff}123\u{200b}456",
            "１２３４５６",
            "１２３　４５６",
        ] {
            assert_eq!(normalise(typed).as_str(), "123456", "{typed:?}");
        }
        assert_eq!(normalise("ＡＢｃ-２").as_str(), "ABc2");
        for kept in ["+12345", "0x1E240", "123456\0", "123,456", "١٢٣٤٥٦", "code:123456"] {
            assert_eq!(normalise(kept).as_str(), kept);
        }
    }

    proptest! {
        /// Reading a code again changes nothing, and nothing becomes a digit that was none.
        #[test]
        fn what_is_read_is_read_once(typed in "\\PC{0,24}|[0-9０-９ \u{2009}\u{2013}-]{0,12}") {
            let once = normalise(&typed);
            let again = normalise(&once);
            prop_assert_eq!(again.as_str(), once.as_str());
            let digits = |text: &str| text.chars().filter(|one| matches!(one, '0'..='9' | '０'..='９')).count();
            prop_assert_eq!(digits(&once), digits(&typed));
            prop_assert!(!once.chars().any(|one| matches!(one, '０'..='９') || one.is_whitespace()));
        }
    }
}

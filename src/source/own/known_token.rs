//! The keys of the cache of sessions.

use std::hash::{BuildHasher, Hash, Hasher};

/// How many characters of a token's signature are kept: 192 bits.
const KEPT: usize = 32;

/// A verified token in the cache, in a tenth of the memory that its text takes.
///
/// Only who has the token knows its end, and the entry leads to that token's session alone. The hash is for those who have one, and change
/// what is signed: that is refused, as it is where nothing is cached. To find other bytes of the same hash would gain them another spelling
/// of the token that they have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownToken {
    end: [u8; KEPT],
    rest: u64,
}

impl KnownToken {
    /// `None` if the text is too short for any token.
    pub(super) fn of(token: &[u8], hasher: &impl BuildHasher) -> Option<Self> {
        let (rest, end) = token.split_last_chunk()?;
        Some(Self { end: *end, rest: hasher.hash_one(rest) })
    }
}

impl Hash for KnownToken {
    /// The end of a token that was verified is as good as random.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.end.last_chunk::<16>().hash(state);
    }
}

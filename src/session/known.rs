//! The keys of the cache of verified tokens.

use std::hash::{Hash, Hasher};

/// How many bytes at the end of a token are hashed. They belong to the signature, so in verified tokens they are as good as
/// random. A comparison uses all bytes.
const HASHED: usize = 16;

/// A verified token, in the cache.
#[derive(PartialEq, Eq)]
pub(super) struct KnownToken(pub(super) Box<[u8]>);

/// A token that may be in the cache.
pub(super) struct Candidate<'a>(pub(super) &'a [u8]);

impl Hash for Candidate<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.last_chunk::<HASHED>().hash(state);
    }
}

impl Hash for KnownToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Candidate(&self.0).hash(state);
    }
}

impl quick_cache::Equivalent<KnownToken> for Candidate<'_> {
    fn equivalent(&self, known: &KnownToken) -> bool {
        *self.0 == *known.0
    }
}

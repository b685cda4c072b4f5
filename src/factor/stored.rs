//! Which of the credentials that the store keeps count.

/// Whether the stored credentials of a factor count: [`Factor::stored_credentials`](super::Factor::stored_credentials).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredCredentials {
    /// For as long as they exist.
    Count,
    /// They are addresses ([`Factor::stored_address`](super::Factor::stored_address)). Each counts for as long as it exists, but in no session whose
    /// first factor was proven by what was sent to it: that is one mailbox, and so one factor. See
    /// [`Proof::with_address`](crate::aal::Proof::with_address). Where a first factor names an address, each reading of the session reads the
    /// credentials too.
    Addresses,
    /// They do not: the factor takes none, and those that are there were stored before it was configured so.
    Ignored,
}

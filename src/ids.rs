//! Ids that are made of names.

use sha1::{Digest as _, Sha1};
use uuid::{Builder, Uuid};

/// The id of a name in a name space: a UUID of version 5 (RFC 9562 section 5.5). The same name always has the same id. It is made by SHA-1,
/// so no security may depend on it.
pub(crate) fn of_name(namespace: Uuid, name: &[u8]) -> Uuid {
    let hash = Sha1::new().chain_update(namespace).chain_update(name).finalize();
    let [first @ .., _, _, _, _] = <[u8; 20]>::from(hash);
    Builder::from_sha1_bytes(first).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9562, appendix A.4.
    #[test]
    fn the_example_of_the_standard() {
        let id = of_name(Uuid::NAMESPACE_DNS, b"www.example.com");
        assert_eq!(id.to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }
}

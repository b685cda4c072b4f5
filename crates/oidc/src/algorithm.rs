//! The algorithms that a token may be signed with: asymmetric ones only.

use std::fmt;

/// An algorithm for signatures (RFC 7518 section 3.1, RFC 8037). There is none with a shared secret, and no `none`: a token that names one of
/// these is refused before anything else of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA with PSS padding and SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519. Its newer name `Ed25519` (RFC 9864) is read too.
    EdDsa,
}

impl SigningAlgorithm {
    /// All of them, which is the default.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The name in the header `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of exactly this name (RFC 7515 section 4.1.1: case-sensitive).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_algorithms_with_a_public_key_have_a_name() {
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(SigningAlgorithm::from_name(algorithm.as_str()), Some(algorithm));
        }
        assert_eq!(SigningAlgorithm::from_name("Ed25519"), Some(SigningAlgorithm::EdDsa));
        for name in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES256K", "Ed448"] {
            assert_eq!(SigningAlgorithm::from_name(name), None, "{name}");
        }
    }
}

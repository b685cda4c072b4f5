//! The issuer's public keys: JSON Web Keys (RFC 7517). A key that does not fit in every respect is as good as none.

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::SigningAlgorithm;

/// The members that matter here (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    intended_use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point (SEC 1 section 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key that verifies signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    id: Option<String>,
    algorithm: Option<SigningAlgorithm>,
    material: Material,
}

impl Key {
    /// `None` if it is not for signatures, or of a kind that is not known here: those are to be ignored (RFC 7517 section 5).
    fn from_jwk(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        if jwk.intended_use.is_some_and(|intended| intended != "sig") || !jwk.key_ops.as_ref().is_none_or(verifies) {
            return None;
        }
        let algorithm = match jwk.alg {
            Some(name) => Some(SigningAlgorithm::from_name(&name)?),
            None => None,
        };
        let bytes = |member: Option<String>| URL_SAFE_NO_PAD.decode(member?).ok();
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { modulus: integer(&bytes(jwk.n)?)?, exponent: integer(&bytes(jwk.e)?)? },
            ("EC", Some("P-256")) => Material::P256(point(32, &bytes(jwk.x)?, &bytes(jwk.y)?)?),
            ("EC", Some("P-384")) => Material::P384(point(48, &bytes(jwk.x)?, &bytes(jwk.y)?)?),
            ("EC", Some("P-521")) => Material::P521(point(66, &bytes(jwk.x)?, &bytes(jwk.y)?)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(jwk.x).filter(|x| x.len() == 32)?),
            _ => return None,
        };
        Some(Self { id: jwk.kid, algorithm, material })
    }

    fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        use SigningAlgorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        self.algorithm.is_none_or(|own| own == algorithm)
            && matches!(
                (&self.material, algorithm),
                (Material::Rsa { .. }, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
                    | (Material::P256(_), Es256)
                    | (Material::P384(_), Es384)
                    | (Material::P521(_), Es512)
                    | (Material::Ed25519(_), EdDsa)
            )
    }

    fn has_signed(&self, algorithm: SigningAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        use SigningAlgorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let rsa = |parameters: &'static RsaParameters, n: &[u8], e: &[u8]| {
            RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
        };
        let ecdsa = |algorithm: &'static EcdsaVerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature)
        };
        match (&self.material, algorithm) {
            // Keys of fewer than 2048 bits are refused (RFC 7518 section 3.3).
            (Material::Rsa { modulus, exponent }, Rs256) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA256, modulus, exponent)
            }
            (Material::Rsa { modulus, exponent }, Rs384) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA384, modulus, exponent)
            }
            (Material::Rsa { modulus, exponent }, Rs512) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA512, modulus, exponent)
            }
            (Material::Rsa { modulus, exponent }, Ps256) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA256, modulus, exponent)
            }
            (Material::Rsa { modulus, exponent }, Ps384) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA384, modulus, exponent)
            }
            (Material::Rsa { modulus, exponent }, Ps512) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA512, modulus, exponent)
            }
            (Material::P256(point), Es256) => ecdsa(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Material::P384(point), Es384) => ecdsa(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Material::P521(point), Es512) => ecdsa(&signature::ECDSA_P521_SHA512_FIXED, point),
            (Material::Ed25519(x), EdDsa) => UnparsedPublicKey::new(&signature::ED25519, x).verify(message, signature),
            _ => return false,
        }
        .is_ok()
    }
}

/// A positive integer. Leading zeros, which some issuers write, are taken away.
fn integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|&byte| byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

/// The coordinates have their full length (RFC 7518 section 6.2.1.2).
fn point(length: usize, x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}

/// What a token says about the key that it was signed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) algorithm: SigningAlgorithm,
}

/// All keys of the issuer that are good for something.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    pub(crate) fn from_jwks(keys: Vec<Value>) -> Self {
        Self(keys.into_iter().filter_map(Key::from_jwk).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys of this id that fit. A token without an id can only mean the one key that fits.
    fn matching<'a>(&'a self, wanted: Wanted<'a>) -> impl Iterator<Item = &'a Key> {
        let fitting = move || self.0.iter().filter(move |key| key.fits(wanted.algorithm));
        let only = wanted.id.is_some() || fitting().count() == 1;
        fitting().filter(move |key| only && (wanted.id.is_none() || key.id.as_deref() == wanted.id))
    }

    pub(crate) fn has(&self, wanted: Wanted<'_>) -> bool {
        self.matching(wanted).next().is_some()
    }

    pub(crate) fn has_signed(&self, wanted: Wanted<'_>, message: &[u8], signature: &[u8]) -> bool {
        self.matching(wanted).any(|key| key.has_signed(wanted.algorithm, message, signature))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(id: Option<&str>, algorithm: SigningAlgorithm) -> Wanted<'_> {
        Wanted { id, algorithm }
    }

    fn rsa(more: &Value) -> Value {
        let mut jwk = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([7; 256]), "e": "AQAB"});
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    #[test]
    fn a_key_fits_by_kind_use_operation_algorithm_and_id() {
        use SigningAlgorithm::{Es256, Ps256, Rs256, Rs512};
        let has = |more: &Value, algorithm| KeySet::from_jwks(vec![rsa(more)]).has(wanted(Some("a"), algorithm));
        for (more, expected) in [
            (json!({"kid": "a"}), [true, true, true, false]),
            (json!({"kid": "a", "use": "sig"}), [true, true, true, false]),
            (json!({"kid": "a", "use": "enc"}), [false; 4]),
            (json!({"kid": "a", "alg": "RS256"}), [true, false, false, false]),
            (json!({"kid": "a", "alg": "PS256"}), [false, false, true, false]),
            (json!({"kid": "a", "alg": "RSA-OAEP"}), [false; 4]),
            (json!({"kid": "a", "alg": "HS256"}), [false; 4]),
            (json!({"kid": "a", "key_ops": ["verify"]}), [true, true, true, false]),
            (json!({"kid": "a", "key_ops": ["encrypt"]}), [false; 4]),
            (json!({"kid": "a", "key_ops": "verify"}), [false; 4]),
            (json!({"kid": "b"}), [false; 4]),
            (json!({}), [false; 4]),
        ] {
            assert_eq!([Rs256, Rs512, Ps256, Es256].map(|algorithm| has(&more, algorithm)), expected, "{more}");
        }
    }

    #[test]
    fn a_token_without_a_key_id_means_the_only_key() {
        let one = KeySet::from_jwks(vec![rsa(&json!({"kid": "a"})), json!({"kty": "oct", "k": "AAAA"})]);
        assert!(one.has(wanted(None, SigningAlgorithm::Rs256)));
        let two = KeySet::from_jwks(vec![rsa(&json!({"kid": "a"})), rsa(&json!({"kid": "b"}))]);
        assert!(!two.has(wanted(None, SigningAlgorithm::Rs256)));
        assert!(two.has(wanted(Some("b"), SigningAlgorithm::Rs256)));
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        let good = rsa(&json!({"kid": "good"}));
        let bad = vec![
            json!({"kty": "oct", "k": "AAAA", "kid": "secret"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "later"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
            json!({"kty": "EC", "crv": "P-256"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32])}),
            json!({"kty": "RSA", "n": "", "e": "AQAB"}),
            json!({"kty": "RSA", "n": "AAAA", "e": "AQAB"}),
            json!({"kty": "RSA", "n": "not base64!", "e": "AQAB"}),
            json!("a key"),
            json!(null),
            good.clone(),
        ];
        assert_eq!(KeySet::from_jwks(bad), KeySet::from_jwks(vec![good]));
    }

    /// RFC 8037, appendix A.4.
    #[test]
    fn the_example_of_the_standard() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let keys = KeySet::from_jwks(vec![jwk]);
        let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            concat!("hgyY0il_MGCjP0JzlnLWG1PPO", "t7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let wanted = wanted(None, SigningAlgorithm::EdDsa);
        assert!(keys.has_signed(wanted, message.as_bytes(), &signature));
        assert!(!keys.has_signed(wanted, b"another", &signature));
        assert!(!keys.has_signed(wanted, message.as_bytes(), signature.get(1..).unwrap()));
    }
}

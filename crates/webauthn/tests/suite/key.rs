//! A security key whose answers can be forged in every part.

use passkey_crypto::{
    AvailableBackend, AvailableSecretKey, CryptoBackend, PublicKeyT, SecretKeyT,
    coset::{CborSerializable, CoseKeyBuilder},
    hash::Sha256Backend,
    iana::{Algorithm, EllipticCurve},
};
use passkey_types::encoding::{base64url, try_from_base64url};
use serde_json::{Value, json};

use crate::site::ORIGIN;

pub const PRESENT: u8 = 0x01;
pub const VERIFIED: u8 = 0x04;
pub const BACKUP_ELIGIBLE: u8 = 0x08;
pub const BACKED_UP: u8 = 0x10;
const HAS_KEY: u8 = 0x40;

fn sha256(bytes: &[u8]) -> Vec<u8> {
    <AvailableBackend as CryptoBackend>::Sha256::sha256(bytes).to_vec()
}

/// What a maker gives its keys to show where they come from: `attestation/makers.pem` has the authority, made for these tests alone.
const ATTESTATION: [&str; 4] = [
    "MIIBtTCCAVqgAwIBAgIBBzAKBggqhkjOPQQDAjA8MQswCQYDVQQGEwJTRTETMBEGA1UECgwKS2V5IE1ha2VyczEYMBYGA1UEAwwP\
    S2V5IE1ha2VycyBSb290MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjBWMQswCQYDVQQGEwJTRTETMBEGA1UECgwK\
    S2V5IE1ha2VyczEiMCAGA1UECwwZQXV0aGVudGljYXRvciBBdHRlc3RhdGlvbjEOMAwGA1UEAwwFS2V5IDcwWTATBgcqhkjOPQIB\
    BggqhkjOPQMBBwNCAARMScjtBVbSWJVLJwA0bpdLS-H8iRMQFGUXfKkVJ4QRK-XSjrtOtBdtw67Uaj3QNwn4lqCWom4xLyfVXL_n\
    EJ3mozEwLzAMBgNVHRMBAf8EAjAAMB8GA1UdIwQYMBaAFKd272QORqhAzMhZBJe9iqPNOg7oMAoGCCqGSM49BAMCA0kAMEYCIQCF\
    a022Ef96xg70ofJW_T8FM2HsL49gxzlO8tup4qPi3AIhAOSj3eGSgD70YRTKDlyYJjI6kOpJC3hAEsReA87xfdJf",
    "KN0CxDk7Q4vCH6s4b46SNH3HEnitSFR52rSlbmYYdAI",
    "TEnI7QVW0liVSycANG6XS0vh_IkTEBRlF3ypFSeEESs",
    "5dKOu060F23DrtRqPdA3CfiWoJaibjEvJ9Vcv-cQneY",
];

fn attestation_key() -> AvailableSecretKey {
    let [_, secret, x, y] = ATTESTATION.map(bytes);
    let key = CoseKeyBuilder::new_ec2_priv_key(EllipticCurve::P_256, x, y, secret).algorithm(Algorithm::ES256).build();
    AvailableSecretKey::from_cose_key(&key).unwrap()
}

pub struct SecurityKey {
    pub id: Vec<u8>,
    secret: AvailableSecretKey,
    pub counter: u32,
    /// The handle of the account that the key was added for.
    pub user_handle: Option<String>,
}

/// An answer as an attacker may change it. The default is an honest one.
#[derive(Clone, Debug)]
pub struct Forgery {
    pub kind: Option<&'static str>,
    pub challenge: Option<String>,
    pub origin: &'static str,
    pub cross_origin: Option<Value>,
    pub rp_id: &'static str,
    pub flags: u8,
    pub counter: Option<u32>,
    pub user_handle: Option<String>,
    pub id: Option<Vec<u8>>,
    pub type_: &'static str,
    /// Shows who made the key.
    pub attested: bool,
    /// Changes the signature's last byte.
    pub broken_signature: bool,
}

impl Default for Forgery {
    fn default() -> Self {
        Self {
            kind: None,
            challenge: None,
            origin: ORIGIN,
            cross_origin: None,
            rp_id: "bank.example",
            flags: PRESENT,
            counter: None,
            user_handle: None,
            id: None,
            type_: "public-key",
            attested: false,
            broken_signature: false,
        }
    }
}

impl Forgery {
    fn client_data(&self, kind: &str, public_key: &Value) -> Vec<u8> {
        let challenge = self.challenge.as_deref().or(public_key["challenge"].as_str()).unwrap();
        let mut data = json!({ "type": self.kind.unwrap_or(kind), "challenge": challenge, "origin": self.origin });
        if let Some(cross_origin) = &self.cross_origin {
            data["crossOrigin"] = cross_origin.clone();
        }
        data.to_string().into_bytes()
    }
}

impl SecurityKey {
    pub fn new() -> Self {
        let secret = AvailableBackend.generate_key(Algorithm::ES256).unwrap();
        let id = sha256(&secret.to_cose_key().to_vec().unwrap());
        Self { id, secret, counter: 0, user_handle: None }
    }

    /// In COSE.
    pub fn public_key(&self) -> Vec<u8> {
        self.secret.public_key().to_cose_key().to_vec().unwrap()
    }

    /// The same key in a second device.
    pub fn clone_key(&self) -> Self {
        let secret = AvailableSecretKey::from_cose_key(&self.secret.to_cose_key()).unwrap();
        Self { id: self.id.clone(), secret, counter: self.counter, user_handle: self.user_handle.clone() }
    }

    fn counts(&mut self, forgery: &Forgery) -> u32 {
        self.counter += 1;
        forgery.counter.unwrap_or(self.counter)
    }

    /// The answer to the options of `navigator.credentials.create`, as Ory's script sends it.
    pub fn create(&mut self, options: &str, forgery: &Forgery) -> String {
        let public_key = &serde_json::from_str::<Value>(options).unwrap()["publicKey"];
        self.user_handle = public_key["user"]["id"].as_str().map(str::to_owned);
        let client_data = forgery.client_data("webauthn.create", public_key);
        let id = forgery.id.clone().unwrap_or_else(|| self.id.clone());
        let mut data = sha256(forgery.rp_id.as_bytes());
        data.push(forgery.flags | HAS_KEY);
        data.extend(self.counts(forgery).to_be_bytes());
        data.extend([0; 16]);
        data.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
        data.extend(&id);
        data.extend(self.public_key());
        // {"fmt": .., "attStmt": .., "authData": data} in CBOR.
        let mut object = if forgery.attested {
            let mut signature = attestation_key().sign(&[data.clone(), sha256(&client_data)].concat());
            if forgery.broken_signature {
                *signature.last_mut().unwrap() ^= 1;
            }
            let certificate = bytes(ATTESTATION[0]);
            let mut object = b"\xa3\x63fmt\x66packed\x67attStmt\xa3\x63alg\x26\x63sig\x58".to_vec();
            object.push(u8::try_from(signature.len()).unwrap());
            object.extend(signature);
            object.extend(b"\x63x5c\x81\x59");
            object.extend(u16::try_from(certificate.len()).unwrap().to_be_bytes());
            object.extend(certificate);
            object.extend(b"\x68authData\x59");
            object
        } else {
            b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec()
        };
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        json!({
            "id": base64url(&id), "rawId": base64url(&id), "type": forgery.type_,
            "response": { "attestationObject": base64url(&object), "clientDataJSON": base64url(&client_data) },
        })
        .to_string()
    }

    /// The answer to the options of `navigator.credentials.get`.
    pub fn get(&mut self, options: &str, forgery: &Forgery) -> String {
        let public_key = &serde_json::from_str::<Value>(options).unwrap()["publicKey"];
        let client_data = forgery.client_data("webauthn.get", public_key);
        let mut data = sha256(forgery.rp_id.as_bytes());
        data.push(forgery.flags);
        data.extend(self.counts(forgery).to_be_bytes());
        let mut signature = self.secret.sign(&[data.clone(), sha256(&client_data)].concat());
        if forgery.broken_signature {
            *signature.last_mut().unwrap() ^= 1;
        }
        let id = forgery.id.clone().unwrap_or_else(|| self.id.clone());
        json!({
            "id": base64url(&id), "rawId": base64url(&id), "type": forgery.type_,
            "response": {
                "authenticatorData": base64url(&data), "clientDataJSON": base64url(&client_data),
                "signature": base64url(&signature), "userHandle": forgery.user_handle.as_deref().unwrap_or(""),
            },
        })
        .to_string()
    }
}

pub fn bytes(base64: &str) -> Vec<u8> {
    try_from_base64url(base64).unwrap()
}

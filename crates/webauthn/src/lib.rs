//! Security keys and passkeys (W3C Web Authentication) as a second factor for [`tower-step-up`](tower_step_up).
//!
//! ```
//! use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
//! use tower_step_up_webauthn::WebAuthn;
//!
//! let step_up = StepUp::builder("https://bank.example")
//!     .signing_key(SigningKey::generate("2026-11")?)
//!     .store(MemoryStore::default())
//!     .factor(WebAuthn::new("Example Bank"))
//!     .factor(Totp::new("Example Bank"))
//!     .build()?;
//! # let _ = step_up;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Users add any number of keys in the settings, each with a name, and remove them one by one. Each step-up and each refresh takes any of
//! them. The proofs have the method `webauthn` and the level `aal2`, and they resist phishing: a key signs for one origin alone (NIST SP
//! 800-63B-4 section 3.2.5).
//!
//! # What is checked
//!
//! Signatures and the structure of answers are checked by [webauthn-rs](https://docs.rs/webauthn-rs-core). Beyond that, at each answer:
//!
//! - Its challenge is the one of this flow, and of the last answer: each is good for one answer, and for the
//!   [timeout](WebAuthn::timeout) and ten minutes more, since a page may be read for a while before the button is pressed.
//! - The origin is the one of the public URL, or one of [`origins`](WebAuthn::origins), and no other site contains the page.
//! - The key is one of the signed-in user's, and a user handle, if there is one, is theirs.
//! - The user was present, and verified if [that is required](UserVerification::Required).
//! - Whether the key can be backed up is as it was when it was added.
//! - The signature counter has risen, unless the key has none: see [`on_clone_warning`](WebAuthn::on_clone_warning).
//!
//! Wrong answers are audited, and not counted: there is nothing to guess. Keys are stored sealed, so that nobody who writes to the store
//! swaps one for another.
//!
//! # The browser's side
//!
//! The companion router serves `/.well-known/ory/webauthn.js` below the public URL, for front ends of every origin. The built-in pages
//! contain it; their `Content-Security-Policy` names it by its hash. A front end of your own that renders Ory's nodes, such as Ory Elements,
//! needs `script-src` for that address, and `form-action` for the public URL: the answer is sent as an HTML form.
//!
//! Native apps have no script. By default they are not offered this factor, as in Ory Kratos. With
//! [`offer_to_native_clients`](WebAuthn::offer_to_native_clients), API flows have the nodes with the options, and the app asks the platform.

mod answer;
mod assertion;
mod key;
mod kratos;
mod registration;
mod relying_party;
mod script;
mod settings;
mod text;

pub use self::kratos::import_from_kratos;
pub use self::settings::{CloneWarning, ResidentKey, UserVerification, WebAuthn};

/// The examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

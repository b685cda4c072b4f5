use totp_rs::Builder;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    factor,
};

/// The code that an authenticator app with this secret shows at this time.
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::{clock::Clock, test_util::{FixedClock, totp_code}};
///
/// let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"; // as given to `StepUp::import_totp`, or shown at enrolment
/// let clock = FixedClock::default();
/// let first = totp_code(secret, clock.now())?;
/// clock.advance(Duration::from_secs(30)); // a code works once, so wait for the next one
/// assert_ne!(totp_code(secret, clock.now())?, first);
/// # Ok::<(), tower_step_up::Error>(())
/// ```
///
/// # Errors
///
/// The secret is not base32, or is shorter than 128 bits.
pub fn totp_code(base32_secret: &str, at: Timestamp) -> Result<String, Error> {
    let secret = factor::decode_totp_secret(base32_secret)?;
    // Before 1970 there are no codes.
    let seconds = u64::try_from(at.unix_seconds()).unwrap_or_default();
    let totp = Builder::new().with_secret(secret.to_vec()).build().map_err(|_| Error::new(ErrorKind::TotpSecret))?;
    Ok(totp.generate(seconds).to_string())
}

/// A new random secret.
#[cfg(feature = "axum")]
pub(super) fn random_secret() -> Result<String, Error> {
    let secret = factor::random_totp_secret().map_err(|error| Error::with_source(ErrorKind::TotpSecret, error))?;
    Ok(totp_rs::Secret::from(*secret).to_base32())
}

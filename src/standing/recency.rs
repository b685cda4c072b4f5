//! Whether a session may change the factors of its subject now.

use std::time::Duration;

use super::{Enrolled, Standing};
use crate::{aal::Aal, clock::Timestamp, session::Session};

/// Whether the session may change factors now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recency {
    /// It may.
    Recent,
    /// The user must prove a factor again first: a second factor, if one is enrolled.
    ProveAnew { second_factor: bool },
}

impl Standing {
    /// The rule of the wire contract, section 8.3. If any second factor is enrolled, a change needs a recent second-factor proof, in the lax
    /// model too. A `max_age` of zero waives the age, never the level.
    pub(crate) fn recency(&self, session: &Session, max_age: Duration, now: Timestamp) -> Recency {
        let second_factor = self.enrolled() != Enrolled::No;
        let proven_at = if second_factor {
            let proven = self.level(session, now) == Aal::Aal2;
            self.second_factor_at(session, now).filter(|_| proven)
        } else {
            self.authenticated_at(session, now)
        };
        match proven_at {
            Some(at) if max_age.is_zero() || now < at + max_age => Recency::Recent,
            _ => Recency::ProveAnew { second_factor },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aal::{CredentialId, Method, Proof},
        session::{StoredSession, Subject},
        standing::CredentialSummary,
    };

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn a_change_of_factors_takes_what_the_contract_says() {
        let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
        let password = |second| Proof::new(Method::Password, Aal::Aal1, at(second));
        let aal1 = StoredSession::new(Subject::new("kim").unwrap(), password(0), at(0), 24 * HOUR);
        let aal2 = aal1.renewed(
            Proof::new(Method::Totp, Aal::Aal2, at(1000)).with_credential(totp.id),
            at(1000),
            24 * HOUR,
            None,
        );
        let password_again = aal2.renewed(password(9000), at(9000), 24 * HOUR, None);
        let (none, enrolled) = (Standing::new(vec![]), Standing::new(vec![totp]));
        let again = |second_factor| Recency::ProveAnew { second_factor };
        for (session, standing, max_age, now, expected) in [
            (&aal1, &none, HOUR, 3599, Recency::Recent),
            (&aal1, &none, HOUR, 3600, again(false)),
            (&aal1, &none, Duration::ZERO, 80_000, Recency::Recent),
            (&aal1, &enrolled, HOUR, 1, again(true)),
            (&aal1, &enrolled, Duration::ZERO, 1, again(true)),
            (&aal2, &enrolled, HOUR, 4599, Recency::Recent),
            (&aal2, &enrolled, HOUR, 4600, again(true)),
            (&aal2, &enrolled, Duration::ZERO, 80_000, Recency::Recent),
            (&password_again, &enrolled, HOUR, 9001, again(true)),
        ] {
            assert_eq!(standing.recency(session.as_ref(), max_age, at(now)), expected, "{now} {max_age:?}");
        }
    }
}

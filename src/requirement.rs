//! What a route requires of a session, and why a session falls short of it. Pure: no I/O, no clock, no HTTP.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    aal::Aal,
    clock::Timestamp,
    session::Session,
    standing::{Enrolled, Standing},
};

/// The level that a route requires, weakest first, with the names of Ory's `required_aal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredAal {
    /// Any valid session ("lax").
    Aal1,
    /// The highest level that the subject can reach ("strict"). The default.
    #[default]
    HighestAvailable,
    /// Two factors. Users without a second factor must enrol one.
    Aal2,
}

impl RequiredAal {
    const ALL: [Self; 3] = [Self::Aal1, Self::HighestAvailable, Self::Aal2];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::HighestAvailable => "highest_available",
            Self::Aal2 => "aal2",
        }
    }
}

impl From<RequiredAal> for Requirement {
    fn from(level: RequiredAal) -> Self {
        Self { level, max_age: None }
    }
}

/// The text is not the name of a [`RequiredAal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRequiredAal(());

impl fmt::Display for UnknownRequiredAal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("required_aal must be aal1, highest_available or aal2")
    }
}

impl std::error::Error for UnknownRequiredAal {}

impl FromStr for RequiredAal {
    type Err = UnknownRequiredAal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|required| required.as_str() == text).ok_or(UnknownRequiredAal(()))
    }
}

/// What a route requires of a session: a level, and optionally the greatest age of its proof.
///
/// ```
/// use std::time::Duration;
/// use tower_step_up::Requirement;
///
/// const PAYMENTS: Requirement = Requirement::aal2();
/// const TRANSFER: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
/// assert_eq!(PAYMENTS.and(TRANSFER), TRANSFER);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    level: RequiredAal,
    max_age: Option<Duration>,
}

/// The name of the level, and the age in seconds if there is one: `aal2`, or `aal2 within 300 s`.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level.as_str())?;
        self.max_age.map_or(Ok(()), |age| write!(f, " within {} s", age.as_secs()))
    }
}

/// Why a session does not meet a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// There is no valid session.
    NoSession,
    /// A second factor is required, the subject has one, and it was not proven in this session.
    LevelTooLow,
    /// A second factor is required, and the subject has none. The user must enrol one first.
    NothingEnrolled,
    /// The highest available level is required, but the source of the session does not know which level that is. This never
    /// passes.
    CannotTell,
    /// The store, the directory or the source of sessions did not answer, so nothing is known.
    Unavailable,
    /// The level is high enough, but was proven longer ago than the requirement allows.
    TooOld {
        /// The greatest age that the requirement allows.
        max_age: Duration,
        /// Whether the second factor must be proven again. If not, any factor will do.
        second_factor: bool,
    },
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSession => "no valid session",
            Self::LevelTooLow => "second factor missing",
            Self::NothingEnrolled => "no second factor enrolled",
            Self::CannotTell => "unknown whether there is a second factor",
            Self::Unavailable => "the session could not be looked up",
            Self::TooOld { .. } => "proven too long ago",
        })
    }
}

impl Requirement {
    /// Any valid session.
    pub const fn aal1() -> Self {
        Self { level: RequiredAal::Aal1, max_age: None }
    }

    /// Two factors. Users without a second factor must enrol one first.
    pub const fn aal2() -> Self {
        Self { level: RequiredAal::Aal2, max_age: None }
    }

    /// Two factors if the subject has a second one, else any valid session (Ory's "strict" model).
    pub const fn highest_available() -> Self {
        Self { level: RequiredAal::HighestAvailable, max_age: None }
    }

    /// The proof may be at most this old. At exactly this age it still passes.
    ///
    /// For two factors, the age counts from the last *second-factor* proof: renewing the password alone does not renew it.
    /// Otherwise it counts from the last proof of any kind.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The greatest age of the proof, if there is one: what [`max_age`](Self::max_age) set.
    pub const fn longest_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Both requirements at once: the higher level and the shorter age.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            level: self.level.max(other.level),
            max_age: match (self.max_age, other.max_age) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
        }
    }

    /// The shortfall of a session that meets the requirement but must prove it again.
    pub(crate) fn proven_anew(self) -> Shortfall {
        let second_factor = self.level == RequiredAal::Aal2;
        Shortfall::TooOld { max_age: self.max_age.unwrap_or(Duration::ZERO), second_factor }
    }

    /// Whether this outcome depends on what is known about the subject's second factor.
    pub(crate) const fn depends_on_enrolment(&self, shortfall: Option<&Shortfall>) -> bool {
        match shortfall {
            None => matches!(self.level, RequiredAal::HighestAvailable),
            // The session is too old either way. But users with a second factor renew that one, and users without renew the
            // first.
            Some(Shortfall::TooOld { .. }) => !matches!(self.level, RequiredAal::Aal1),
            Some(Shortfall::NoSession | Shortfall::Unavailable) => false,
            Some(Shortfall::LevelTooLow | Shortfall::NothingEnrolled | Shortfall::CannotTell) => true,
        }
    }

    /// Checks whether the session meets the requirement now. Not public, since a remembered standing may lack a second factor:
    /// [`SessionContext::decide`](crate::SessionContext::decide) takes care of that.
    ///
    /// # Errors
    ///
    /// The shortfall, if it does not.
    pub(crate) fn check(&self, session: &Session, standing: &Standing, now: Timestamp) -> Result<(), Shortfall> {
        let level = standing.level(session, now);
        if level == Aal::Aal0 || session.has_ended(now) {
            return Err(Shortfall::NoSession);
        }
        let enrolled = standing.enrolled();
        let second_factor = match self.level {
            RequiredAal::Aal1 => false,
            RequiredAal::HighestAvailable => enrolled != Enrolled::No,
            RequiredAal::Aal2 => true,
        };
        if second_factor && level < Aal::Aal2 {
            return Err(match (self.level, enrolled) {
                (RequiredAal::HighestAvailable, Enrolled::Unknown) => Shortfall::CannotTell,
                (_, Enrolled::No) => Shortfall::NothingEnrolled,
                // The step-up finds out whether there is one.
                (_, Enrolled::Yes | Enrolled::Unknown) => Shortfall::LevelTooLow,
            });
        }
        let Some(max_age) = self.max_age else { return Ok(()) };
        let proven_at = if second_factor {
            standing.second_factor_at(session, now)
        } else {
            standing.authenticated_at(session, now)
        };
        match proven_at {
            Some(proven_at) if now.since(proven_at) <= max_age => Ok(()),
            _ => Err(Shortfall::TooOld { max_age, second_factor }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        aal::{CredentialId, Method, Proof},
        session::{StoredSession, Subject},
        standing::CredentialSummary,
    };

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn any_requirement() -> impl Strategy<Value = Requirement> {
        let level = prop::sample::select(&[RequiredAal::Aal1, RequiredAal::HighestAvailable, RequiredAal::Aal2][..]);
        let age = prop::option::of((0..400u64).prop_map(Duration::from_secs));
        (level, age).prop_map(|(level, max_age)| Requirement { level, max_age })
    }

    /// A session whose password was proven at 1000 and its second factor, if at all, after that; and its standing.
    fn any_session() -> impl Strategy<Value = (StoredSession, Standing)> {
        (prop::option::of(1000..1300i64), any::<bool>(), prop::option::of(1000..1300i64)).prop_map(
            |(second_factor, enrolled, password_again)| {
                let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
                let password = |second| Proof::new(Method::Password, Aal::Aal1, at(second));
                let mut session = StoredSession::new(Subject::new("kim").unwrap(), password(1000), at(1000), DAY);
                if let Some(second) = second_factor {
                    let proof = Proof::new(Method::Totp, Aal::Aal2, at(second)).with_credential(totp.id);
                    session = session.renewed(proof, at(second), DAY, None);
                }
                if let Some(second) = password_again {
                    session = session.renewed(password(second), at(second), DAY, None);
                }
                (session, Standing::new(if enrolled { vec![totp] } else { vec![] }))
            },
        )
    }

    fn session(password: i64, second_factor: i64) -> (StoredSession, Standing) {
        let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
        let session = StoredSession::new(
            Subject::new("kim").unwrap(),
            Proof::new(Method::Password, Aal::Aal1, at(password)),
            at(password),
            DAY,
        )
        .renewed(
            Proof::new(Method::Totp, Aal::Aal2, at(second_factor)).with_credential(totp.id),
            at(second_factor),
            DAY,
            None,
        );
        (session, Standing::new(vec![totp]))
    }

    proptest! {
        #[test]
        fn a_stricter_requirement_never_passes_where_a_weaker_one_failed(
            (session, standing) in any_session(), weaker in any_requirement(), added in any_requirement(), now in 1000..2000i64,
        ) {
            let stricter = weaker.and(added);
            if weaker.check(session.as_ref(), &standing, at(now)).is_err() {
                prop_assert!(stricter.check(session.as_ref(), &standing, at(now)).is_err());
            }
        }

        #[test]
        fn combined_requirements_equal_the_strictest_of_both(one in any_requirement(), two in any_requirement()) {
            let both = one.and(two);
            prop_assert_eq!(both.level, one.level.max(two.level));
            prop_assert_eq!(both.max_age, [one.max_age, two.max_age].into_iter().flatten().min());
            prop_assert_eq!(both, two.and(one));
            prop_assert_eq!(both, both.and(one));
        }

        #[test]
        fn a_combination_passes_only_where_both_pass(
            (session, standing) in any_session(), one in any_requirement(), two in any_requirement(), now in 1000..2000i64,
        ) {
            if one.and(two).check(session.as_ref(), &standing, at(now)).is_ok() {
                prop_assert_eq!(one.check(session.as_ref(), &standing, at(now)), Ok(()));
                prop_assert_eq!(two.check(session.as_ref(), &standing, at(now)), Ok(()));
            }
        }

        #[test]
        fn max_age_ends_on_the_second(proven in 0..1_000_000i64, age in 0..100_000i64) {
            let (session, standing) = session(proven, proven);
            let required = Requirement::aal2().max_age(Duration::from_secs(u64::try_from(age).unwrap()));
            let check = |now| required.check(session.as_ref(), &standing, now);
            prop_assume!(at(proven + age + 1) < session.expires_at());
            prop_assert_eq!(check(at(proven + age)), Ok(()));
            let late = Timestamp::from_unix_milliseconds(at(proven + age).unix_milliseconds() + 1);
            let too_old = Err(Shortfall::TooOld { max_age: Duration::from_secs(u64::try_from(age).unwrap()), second_factor: true });
            prop_assert_eq!(check(late), too_old);
            prop_assert_eq!(check(at(proven + age + 1)), too_old);
        }
    }

    #[test]
    fn levels_have_the_names_of_orys_required_aal() {
        for required in RequiredAal::ALL {
            assert_eq!(required.as_str().parse(), Ok(required));
            assert_eq!(serde_json::to_value(required).unwrap(), required.as_str());
        }
        assert!("strict".parse::<RequiredAal>().is_err());
    }

    #[test]
    fn the_age_of_aal2_is_that_of_the_second_factor() {
        let (session, standing) = session(1000, 1100);
        let session = session.renewed(Proof::new(Method::Password, Aal::Aal1, at(5000)), at(5000), DAY, None);
        let required = |requirement: Requirement| {
            requirement.max_age(Duration::from_secs(300)).check(session.as_ref(), &standing, at(5001)).is_ok()
        };
        assert!(required(Requirement::aal1()));
        assert!(!required(Requirement::highest_available()));
        assert!(!required(Requirement::aal2()));
    }

    #[test]
    fn shortfalls_say_what_to_do() {
        let (session, standing) = session(1000, 1100);
        let first_only = StoredSession::new(session.subject().clone(), session.proofs()[0].clone(), at(1000), DAY);
        let check = |requirement: Requirement, session, standing| {
            requirement.check(StoredSession::as_ref(session), standing, at(1200))
        };
        let none = Standing::new(vec![]);
        assert_eq!(check(Requirement::aal2(), &first_only, &standing), Err(Shortfall::LevelTooLow));
        assert_eq!(check(Requirement::highest_available(), &first_only, &standing), Err(Shortfall::LevelTooLow));
        assert_eq!(check(Requirement::aal2(), &first_only, &none), Err(Shortfall::NothingEnrolled));
        assert_eq!(check(Requirement::highest_available(), &first_only, &none), Ok(()));
        assert_eq!(check(Requirement::aal1(), &first_only, &standing), Ok(()));
        let ended = session.expires_at();
        assert_eq!(Requirement::aal1().check(session.as_ref(), &standing, ended), Err(Shortfall::NoSession));
    }

    #[test]
    fn a_session_of_an_unknown_time_never_meets_an_age() {
        let proofs =
            vec![Proof::at_unknown_time(Method::Password, Aal::Aal1), Proof::at_unknown_time(Method::Totp, Aal::Aal2)];
        let session = Session::external(Subject::new("kim").unwrap(), proofs);
        let check =
            |requirement: Requirement, standing: &Standing| requirement.check(&session, standing, at(1_800_000_000));
        let forever = Duration::from_secs(u64::MAX);
        for enrolled in [Enrolled::Yes, Enrolled::No, Enrolled::Unknown] {
            let standing = Standing::external(enrolled);
            for requirement in [Requirement::aal1(), Requirement::aal2(), Requirement::highest_available()] {
                assert_eq!(check(requirement, &standing), Ok(()), "two factors, whenever");
                assert!(matches!(check(requirement.max_age(forever), &standing), Err(Shortfall::TooOld { .. })));
            }
            let lapsing = standing.second_factor_lifespan(Some(forever));
            assert!(check(Requirement::aal2(), &lapsing).is_err(), "it may have lapsed");
        }
    }
}

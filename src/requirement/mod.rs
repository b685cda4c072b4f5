//! What a route requires of a session, and why a session falls short of it. Pure: no I/O, no clock, no HTTP.

mod freshness;
mod level;
mod shortfall;
mod text;

use std::time::Duration;

pub use self::{
    freshness::Freshness,
    level::{RequiredAal, UnknownRequiredAal},
    shortfall::Shortfall,
    text::InvalidRequirement,
};
use crate::{
    aal::{Aal, Method, Methods, Proof},
    clock::Timestamp,
    session::Session,
    standing::{Enrolled, Standing},
};

/// What a route requires of a session: a level, and optionally the greatest age of its proof and the methods that count.
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
    methods: Option<Methods>,
    /// Whether a trusted device may stand for the second factor.
    trusted_devices: bool,
}

impl From<RequiredAal> for Requirement {
    fn from(level: RequiredAal) -> Self {
        Self::of(level)
    }
}

impl Requirement {
    const fn of(level: RequiredAal) -> Self {
        Self { level, max_age: None, methods: None, trusted_devices: true }
    }

    /// Any valid session.
    pub const fn aal1() -> Self {
        Self::of(RequiredAal::Aal1)
    }

    /// Two factors. Users without a second factor must enrol one first.
    pub const fn aal2() -> Self {
        Self::of(RequiredAal::Aal2)
    }

    /// Two factors if the subject has a second one, else any valid session (Ory's "strict" model).
    pub const fn highest_available() -> Self {
        Self::of(RequiredAal::HighestAvailable)
    }

    /// Two factors, the second proven as recently as one of three presets says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_step_up::{Freshness, Requirement};
    ///
    /// const TRANSFER: Requirement = Requirement::fresh(Freshness::Strict);
    /// assert_eq!(TRANSFER, Requirement::aal2().max_age(Duration::from_secs(600)));
    /// ```
    pub const fn fresh(freshness: Freshness) -> Self {
        Self::aal2().max_age(freshness.max_age())
    }

    /// The proof may be at most this old. At exactly this age it still passes.
    ///
    /// For two factors, the age counts from the last *second-factor* proof: renewing the password alone does not renew it.
    /// Otherwise it counts from the last proof of any kind. If the requirement names [methods](Self::any_of), only proofs by one of these
    /// count.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Only proofs by one of these methods count: at most four. Called again, only methods that are in both lists do.
    ///
    /// At [`aal2`](Self::aal2) it is the second factor that must be proven by one of them. At [`aal1`](Self::aal1), any proof by one of them
    /// is enough. At [`highest_available`](Self::highest_available), it is the one or the other, as the subject has a second factor or not.
    ///
    /// A proof counts as long as its credential exists. So it is worth nothing any more once the user removes the key.
    ///
    /// ```
    /// use tower_step_up::{Method, Requirement};
    ///
    /// const CODE_OR_KEY: Requirement = Requirement::aal2().any_of([Method::Totp, Method::WebAuthn]);
    /// assert_eq!(CODE_OR_KEY.to_string(), "aal2, methods=totp|webauthn");
    /// assert_eq!(CODE_OR_KEY.any_of([Method::Totp, Method::Code]), Requirement::aal2().any_of([Method::Totp]));
    /// ```
    ///
    /// An empty list, or one of more than four, does not compile:
    ///
    /// ```compile_fail
    /// # use tower_step_up::{Method, Requirement};
    /// const NOBODY: Requirement = Requirement::aal2().any_of([]);
    /// ```
    ///
    /// Lists that have nothing in common leave no method. Then no session meets the requirement: see [`is_impossible`](Self::is_impossible).
    #[must_use]
    pub const fn any_of<const N: usize>(self, methods: [Method; N]) -> Self {
        const { assert!(N > 0 && N <= Methods::MOST, "name one to four methods") };
        self.only(Methods::of(methods.as_slice()))
    }

    /// Only methods count that resist phishing: `webauthn` and `passkey`. A user cannot be talked out of such a proof: the key signs for the
    /// site that the browser is on, and a look-alike site gets nothing that is good elsewhere (NIST SP 800-63B-4, section 3.2.5).
    ///
    /// API clients are told to ask for the `acr` that OpenID has for it, `phr` or `phrh`
    /// ([OpenID Connect EAP ACR Values](https://openid.net/specs/openid-connect-eap-acr-values-1_0-final.html)); other names:
    /// [`StepUpBuilder::phishing_resistant_acr_values`](crate::StepUpBuilder::phishing_resistant_acr_values).
    ///
    /// ```
    /// use tower_step_up::{Method, Requirement};
    ///
    /// const ADMINISTRATION: Requirement = Requirement::aal2().phishing_resistant();
    /// assert_eq!(ADMINISTRATION, Requirement::aal2().any_of([Method::WebAuthn, Method::Passkey]));
    /// ```
    #[must_use]
    pub const fn phishing_resistant(self) -> Self {
        self.only(Methods::PHISHING_RESISTANT)
    }

    /// Never satisfied by a [trusted device](crate::StepUpBuilder::trusted_devices): the second factor must be proven in this session. A requirement
    /// with a [greatest age](Self::max_age) or with [methods](Self::any_of) is never satisfied by one anyway.
    ///
    /// ```
    /// use tower_step_up::Requirement;
    ///
    /// const PERSONAL_DATA: Requirement = Requirement::aal2().without_trusted_devices();
    /// assert_eq!(PERSONAL_DATA.to_string(), "aal2, without_trusted_devices");
    /// assert_eq!(Requirement::aal2().and(PERSONAL_DATA), PERSONAL_DATA);
    /// ```
    #[must_use]
    pub const fn without_trusted_devices(mut self) -> Self {
        self.trusted_devices = false;
        self
    }

    /// Whether a trusted device may stand for the second factor.
    const fn takes_trusted_devices(&self) -> bool {
        self.trusted_devices && self.max_age.is_none() && self.methods.is_none()
    }

    const fn only(mut self, methods: Methods) -> Self {
        self.methods = Some(match self.methods {
            Some(named) => named.intersection(methods),
            None => methods,
        });
        self
    }

    /// The methods that count, if it names any.
    pub const fn methods(&self) -> Option<&Methods> {
        self.methods.as_ref()
    }

    /// Whether no method is left that would do, since lists of methods met that have nothing in common. Then every session is refused with
    /// [`Shortfall::NoMethodPossible`].
    ///
    /// [`RouterExt::route_requiring`](crate::RouterExt::route_requiring) does not take such a requirement, and [`Proven`](crate::Proven) does
    /// not compile with it.
    ///
    /// ```
    /// use tower_step_up::{Method, Requirement};
    ///
    /// assert!(Requirement::aal2().any_of([Method::Totp]).phishing_resistant().is_impossible());
    /// ```
    pub const fn is_impossible(&self) -> bool {
        matches!(&self.methods, Some(methods) if methods.is_empty())
    }

    /// The greatest age of the proof, if there is one: what [`max_age`](Self::max_age) set.
    pub const fn longest_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Both requirements at once: the higher level, the shorter age, and the methods that both allow. If there are none, nobody passes. A trusted device does
    /// only where both take it.
    ///
    /// ```
    /// use tower_step_up::{Method, Requirement};
    ///
    /// let codes = Requirement::aal2().any_of([Method::Totp, Method::WebAuthn]);
    /// let both = codes.and(Requirement::aal1().phishing_resistant());
    /// assert_eq!(both, Requirement::aal2().any_of([Method::WebAuthn]));
    /// ```
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            level: self.level.max(other.level),
            max_age: match (self.max_age, other.max_age) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            methods: match (self.methods, other.methods) {
                (Some(one), Some(two)) => Some(one.intersection(two)),
                (one, two) => one.or(two),
            },
            trusted_devices: self.trusted_devices && other.trusted_devices,
        }
    }

    /// The shortfall of a session that meets the requirement but must prove it again.
    pub(crate) fn proven_anew(self) -> Shortfall {
        let second_factor = self.level == RequiredAal::Aal2;
        Shortfall::TooOld { max_age: self.max_age.unwrap_or(Duration::ZERO), second_factor }
    }

    /// Whether this outcome depends on something *not* being enrolled, going by this standing. That something is enrolled is believed of a
    /// remembered standing too.
    pub(crate) fn depends_on_enrolment(&self, shortfall: Option<&Shortfall>, standing: &Standing) -> bool {
        let depends = match shortfall {
            None => matches!(self.level, RequiredAal::HighestAvailable),
            // The session is too old either way. But users with a second factor renew that one, and users without renew the
            // first.
            Some(Shortfall::TooOld { .. }) => self.methods.is_some() || !matches!(self.level, RequiredAal::Aal1),
            Some(Shortfall::NoSession | Shortfall::Unavailable | Shortfall::NoMethodPossible) => false,
            Some(
                Shortfall::LevelTooLow
                | Shortfall::NothingEnrolled
                | Shortfall::CannotTell
                | Shortfall::MethodMissing { .. }
                | Shortfall::MethodNotEnrolled,
            ) => true,
        };
        // Where a user is led depends on which methods are enrolled.
        let known = match (&self.methods, shortfall) {
            (Some(methods), Some(_)) => standing.credentials().iter().any(|one| methods.contains(one.method)),
            _ => true,
        };
        depends && !(known && standing.enrolled() == Enrolled::Yes)
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
        if self.is_impossible() {
            return Err(Shortfall::NoMethodPossible);
        }
        let enrolled = standing.enrolled();
        let second_factor = match self.level {
            RequiredAal::Aal1 => false,
            RequiredAal::HighestAvailable => enrolled != Enrolled::No,
            RequiredAal::Aal2 => true,
        };
        if second_factor && level < Aal::Aal2 {
            if self.takes_trusted_devices() && standing.is_on_trusted_device(session, now) {
                return Ok(());
            }
            return Err(match (self.level, enrolled) {
                (RequiredAal::HighestAvailable, Enrolled::Unknown) => Shortfall::CannotTell,
                (_, Enrolled::No) if !self.can_come_from_elsewhere(second_factor) => Shortfall::NothingEnrolled,
                _ if self.must_be_enrolled(standing, second_factor) => Shortfall::MethodNotEnrolled,
                // The step-up finds out whether there is one.
                _ => Shortfall::LevelTooLow,
            });
        }
        let proven_at = match &self.methods {
            None if self.max_age.is_none() => return Ok(()),
            None if second_factor => standing.second_factor_at(session, now),
            None => standing.authenticated_at(session, now),
            Some(methods) => {
                let counting = standing.counting_proofs(session, now);
                let counting = counting.filter(|proof| !second_factor || proof.aal() == Aal::Aal2);
                let by_method = counting.filter(|proof| methods.contains(proof.method()));
                let Some(newest) = by_method.map(Proof::completed_at).max() else {
                    return Err(if self.must_be_enrolled(standing, second_factor) {
                        Shortfall::MethodNotEnrolled
                    } else {
                        Shortfall::MethodMissing { second_factor }
                    });
                };
                newest
            }
        };
        let Some(max_age) = self.max_age else { return Ok(()) };
        match proven_at {
            Some(proven_at) if now.since(proven_at) <= max_age => Ok(()),
            _ => Err(Shortfall::TooOld { max_age, second_factor }),
        }
    }

    /// Whether it requires a second factor of everybody.
    pub(crate) const fn is_of_second_factor(&self) -> bool {
        matches!(self.level, RequiredAal::Aal2)
    }

    /// Whether the subject must enrol a credential first. Only a standing that names the credentials says so.
    fn must_be_enrolled(&self, standing: &Standing, second_factor: bool) -> bool {
        let Some(methods) = &self.methods else { return false };
        let is_known = !standing.credentials().is_empty() || standing.enrolled() == Enrolled::No;
        let is_there = standing
            .credentials()
            .iter()
            .any(|one| methods.contains(one.method) && (!second_factor || one.aal == Aal::Aal2));
        is_known && !is_there && !self.can_come_from_elsewhere(second_factor)
    }

    /// Whether a proof by one of the methods may need no credential here: the application has checked it, or another provider.
    fn can_come_from_elsewhere(&self, second_factor: bool) -> bool {
        let from_elsewhere = |method: Method| match self.level {
            RequiredAal::Aal1 => method.first_factor_level().is_some(),
            _ if second_factor => matches!(method, Method::Oidc | Method::Saml),
            _ => matches!(
                method,
                Method::Password | Method::Oidc | Method::Saml | Method::LinkRecovery | Method::CodeRecovery
            ),
        };
        self.methods.is_some_and(|methods| methods.iter().any(from_elsewhere))
    }
}

#[cfg(test)]
mod tests;

//! What a login at an upstream provider proves: `acr`, `amr` and `auth_time` become proofs, by an allow-list. Pure: no I/O, no clock.

use std::sync::Arc;

use super::{Aal, Method, Methods, Proof};
use crate::clock::Timestamp;

/// Which `acr` and `amr` of an upstream OpenID provider the application believes, and what they prove to it (as `aal2_acr_values` of Ory Kratos).
///
/// A provider's names for levels mean nothing by themselves (OpenID Connect Core section 2: parties agree on them). So only names that are listed
/// here count, compared exactly. Everything else is unknown, and unknown proves no more than one factor:
///
/// | claim of the ID token | listed by | proves |
/// |---|---|---|
/// | `acr` | [`acr`](Self::acr) | the level of its name; of several, the highest |
/// | `acr` | [`second_factor_acr`](Self::second_factor_acr) | two factors, the second by this method |
/// | `amr` | [`amr`](Self::amr) | that this method was used, at the first level |
/// | `amr` | [`second_factor_amr`](Self::second_factor_amr) | that this method was the second factor, where the level is `aal2` by another name |
/// | `amr` | [`amr_level`](Self::amr_level) | the level of its name |
/// | `auth_time` | | when all of it was proven; if it is missing, no maximum age is met |
///
/// Give it what your OpenID library has read from an ID token that it has verified, and the proofs to
/// [`StepUp::sign_in_with`](crate::StepUp::sign_in_with):
///
/// ```
/// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
/// use tower_step_up::{Aal, Method, SignedIn, Subject, aal::UpstreamAssurance, clock::{Clock, SystemClock}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let step_up = StepUp::builder("https://bank.example")
/// #     .signing_key(SigningKey::generate("2026-11")?)
/// #     .store(MemoryStore::default())
/// #     .factor(Totp::new("Example Bank"))
/// #     .build()?;
/// let assurance = UpstreamAssurance::of("https://id.example")
///     .acr("urn:example:2fa", Aal::Aal2)
///     .second_factor_acr("phr", Method::WebAuthn);
///
/// // Of the ID token: {"iss": "https://id.example", "sub": "4711", "acr": "phr", "amr": ["hwk", "user"], "auth_time": 1800000000, ..}
/// # let auth_time = SystemClock.now();
/// let proofs = assurance.proofs(["phr"], ["hwk", "user"], Some(auth_time));
/// let signed_in: SignedIn = step_up.sign_in_with(Subject::new("kim")?, proofs).await?;
/// # drop(signed_in);
/// # Ok(())
/// # }
/// ```
///
/// The provider vouches for these proofs, and none names a credential of yours. So they count until their
/// [lifespan](crate::StepUpBuilder::second_factor_lifespan) ends, whatever the user enrols or removes here, and are renewed by a new login there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a table does nothing until proofs are read by it"]
pub struct UpstreamAssurance {
    provider: Arc<str>,
    /// In order of preference.
    acr: Vec<(String, Aal)>,
    second_factor_acr: Vec<(String, Method)>,
    amr: Vec<(String, Method)>,
    second_factor_amr: Vec<(String, Method)>,
    amr_levels: Vec<(String, Aal)>,
}

/// The listed thing takes the place of an earlier one of its name.
fn list<T>(table: &mut Vec<(String, T)>, name: String, meaning: T) {
    match table.iter_mut().find(|(listed, _)| *listed == name) {
        Some((_, listed)) => *listed = meaning,
        None => table.push((name, meaning)),
    }
}

fn listed<T: Copy>(table: &[(String, T)], name: &str) -> Option<T> {
    table.iter().find(|(listed, _)| listed == name).map(|&(_, meaning)| meaning)
}

impl UpstreamAssurance {
    /// An empty table for this provider, its `iss`: nobody reaches more than one factor. Proofs name no provider if this is empty.
    pub fn of(provider: impl Into<Arc<str>>) -> Self {
        Self {
            provider: provider.into(),
            acr: Vec::new(),
            second_factor_acr: Vec::new(),
            amr: Vec::new(),
            second_factor_amr: Vec::new(),
            amr_levels: Vec::new(),
        }
    }

    /// The same table for another provider.
    pub fn for_provider(self, provider: impl Into<Arc<str>>) -> Self {
        Self { provider: provider.into(), ..self }
    }

    /// Users whose `acr` is exactly this have this level. A name that is listed again means what was said last.
    pub fn acr(mut self, name: impl Into<String>, level: Aal) -> Self {
        let name = name.into();
        self.second_factor_acr.retain(|(listed, _)| *listed != name);
        list(&mut self.acr, name, level);
        self
    }

    /// Users whose `acr` is exactly this have two factors, and the second was proven by this method: `phr` of OpenID Connect EAP ACR Values by
    /// [`Method::WebAuthn`], for example, if your provider means that by it.
    pub fn second_factor_acr(mut self, name: impl Into<String>, method: Method) -> Self {
        let name = name.into();
        list(&mut self.acr, name.clone(), Aal::Aal2);
        list(&mut self.second_factor_acr, name, method);
        self
    }

    /// Users whose `amr` (RFC 8176) has exactly this have used this method. It says how, not how well: alone it is worth one factor.
    pub fn amr(mut self, name: impl Into<String>, method: Method) -> Self {
        list(&mut self.amr, name.into(), method);
        self
    }

    /// Users whose `amr` has exactly this have proven their second factor by this method, if they have two: that must be said by a listed `acr`
    /// or [`amr_level`](Self::amr_level). Without it, the method is worth one factor.
    pub fn second_factor_amr(mut self, name: impl Into<String>, method: Method) -> Self {
        list(&mut self.second_factor_amr, name.into(), method);
        self
    }

    /// Users whose `amr` has exactly this have this level, for providers that say `mfa` there and nothing in `acr`.
    pub fn amr_level(mut self, name: impl Into<String>, level: Aal) -> Self {
        list(&mut self.amr_levels, name.into(), level);
        self
    }

    /// The names of `acr` to ask for, to reach this level: the most wanted first.
    pub fn acr_values(&self, level: Aal) -> impl Iterator<Item = &str> {
        self.acr.iter().filter(move |&&(_, reached)| reached == level).map(|(name, _)| name.as_str())
    }

    /// The names of `acr` to ask for, so that the second factor is by one of these methods.
    pub fn acr_values_by(&self, methods: &Methods) -> impl Iterator<Item = &str> {
        let by_method = self.second_factor_acr.iter().filter(|(_, method)| methods.contains(*method));
        by_method.map(|(name, _)| name.as_str())
    }

    /// All names in the table, each with its level if it has one.
    pub fn names(&self) -> impl Iterator<Item = (&str, Option<Aal>)> {
        let levels = self.acr.iter().chain(&self.amr_levels).map(|(name, level)| (name.as_str(), Some(*level)));
        levels.chain(self.amr.iter().chain(&self.second_factor_amr).map(|(name, _)| (name.as_str(), None)))
    }

    /// What a login with these claims proves, in proofs of method `oidc` and, beside them, by the listed methods.
    ///
    /// `acr` has several names only for providers that send a list, such as Entra's `acrs`. Without `auth_time`, the proofs are
    /// [of unknown time](Proof::at_unknown_time): do not put the time of the login here in its place, which may have been without any proof (single
    /// sign-on).
    pub fn proofs<'a>(
        &self,
        acr: impl IntoIterator<Item = &'a str>,
        amr: impl IntoIterator<Item = &'a str>,
        auth_time: Option<Timestamp>,
    ) -> Vec<Proof> {
        let (acr, amr): (Vec<_>, Vec<_>) = (acr.into_iter().collect(), amr.into_iter().collect());
        let proof = |method, level| {
            let proof = match auth_time {
                Some(time) => Proof::new(method, level, time),
                None => Proof::at_unknown_time(method, level),
            };
            if self.provider.is_empty() { proof } else { proof.with_provider(Arc::clone(&self.provider)) }
        };
        let reached = acr.iter().filter_map(|name| listed(&self.acr, name));
        let also_reached = amr.iter().filter_map(|name| listed(&self.amr_levels, name));
        // Who is signed in has proven something, if nobody knows what. That stays when the second factor lapses.
        let mut proofs = vec![proof(Method::Oidc, Aal::Aal1)];
        let mut add = |method, level| {
            let is_new = |proofs: &[Proof]| proofs.iter().all(|known| known.method() != method);
            if is_new(&proofs) {
                proofs.push(proof(method, level));
            }
        };
        let second = if reached.chain(also_reached).max() == Some(Aal::Aal2) {
            for method in acr.iter().filter_map(|name| listed(&self.second_factor_acr, name)) {
                add(method, Aal::Aal2);
            }
            Aal::Aal2
        } else {
            Aal::Aal1
        };
        // In the order of the tables, so that equal claims make equal proofs.
        for (table, level) in [(&self.second_factor_amr, second), (&self.amr, Aal::Aal1)] {
            for (_, method) in table.iter().filter(|(name, _)| amr.contains(&name.as_str())) {
                add(*method, level);
            }
        }
        if second == Aal::Aal2 {
            proofs.insert(1, proof(Method::Oidc, Aal::Aal2));
        }
        proofs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aal::level_of,
        requirement::{Requirement, Shortfall},
        session::{Session, Subject},
        standing::{Enrolled, Standing},
    };

    const AT: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const KEY: Requirement = Requirement::aal2().phishing_resistant();

    fn table() -> UpstreamAssurance {
        UpstreamAssurance::of("https://id.example")
            .acr("2fa", Aal::Aal2)
            .acr("1fa", Aal::Aal1)
            .second_factor_acr("phr", Method::WebAuthn)
            .amr("pwd", Method::Password)
            .amr("otp", Method::Totp)
            .second_factor_amr("hwk", Method::WebAuthn)
            .amr_level("mfa", Aal::Aal2)
    }

    fn check(proofs: Vec<Proof>) -> (Aal, Result<(), Shortfall>) {
        let level = level_of(&proofs);
        let session = Session::external(Subject::new("kim").unwrap(), proofs);
        (level, KEY.check(&session, &Standing::external(Enrolled::Yes), AT))
    }

    #[test]
    fn only_listed_names_count_and_each_for_what_it_says() {
        let missing = Err(Shortfall::MethodMissing { second_factor: true });
        for (acr, amr, level, resists) in [
            (&[][..], &[][..], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["1fa"], &[], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["2FA"], &[], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["phrh"], &["phr"], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["2fa"], &[], Aal::Aal2, missing),
            (&["2fa"], &["otp", "pwd", "face"], Aal::Aal2, missing),
            (&[], &["mfa"], Aal::Aal2, missing),
            (&["mfa"], &["2fa"], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["phr"], &[], Aal::Aal2, Ok(())),
            (&["1fa", "phr"], &["pwd"], Aal::Aal2, Ok(())),
            // A key alone is worth one factor.
            (&[], &["hwk"], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["1fa"], &["hwk", "pwd"], Aal::Aal1, Err(Shortfall::LevelTooLow)),
            (&["2fa"], &["hwk", "pwd"], Aal::Aal2, Ok(())),
            (&[], &["hwk", "mfa"], Aal::Aal2, Ok(())),
        ] {
            let proofs = table().proofs(acr.iter().copied(), amr.iter().copied(), Some(AT));
            assert_eq!(check(proofs), (level, resists), "{acr:?} {amr:?}");
        }
        assert_eq!(check(UpstreamAssurance::of("x").proofs(["phr"], ["hwk", "mfa"], Some(AT))).0, Aal::Aal1);
    }

    #[test]
    fn what_is_listed_last_counts() {
        let raised = table().acr("1fa", Aal::Aal2);
        assert_eq!(check(raised.proofs(["1fa"], [], None)).0, Aal::Aal2);
        let lowered = table().acr("phr", Aal::Aal2);
        assert!(check(lowered.proofs(["phr"], [], None)).1.is_err(), "it says nothing of the method any more");
        assert_eq!(table().acr_values(Aal::Aal2).collect::<Vec<_>>(), ["2fa", "phr"]);
        assert_eq!(table().acr_values_by(KEY.methods().unwrap()).collect::<Vec<_>>(), ["phr"]);
    }

    #[test]
    fn the_provider_and_the_time_stand_in_every_proof() {
        for time in [Some(AT), None] {
            let proofs = table().proofs(["phr"], ["hwk", "pwd", "pwd"], time);
            let methods: Vec<_> = proofs.iter().map(|proof| (proof.method(), proof.aal())).collect();
            let expected = [
                (Method::Oidc, Aal::Aal1),
                (Method::Oidc, Aal::Aal2),
                (Method::WebAuthn, Aal::Aal2),
                (Method::Password, Aal::Aal1),
            ];
            assert_eq!(methods, expected);
            for proof in proofs {
                assert_eq!((proof.provider(), proof.completed_at()), (Some("https://id.example"), time));
                assert_eq!(proof.credential(), None);
            }
        }
    }
}

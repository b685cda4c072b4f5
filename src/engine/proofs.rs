//! Proofs that the application has checked itself: which of them can begin a session.

use super::Engine;
use crate::{
    aal::{Aal, Method, Proof, level_of},
    clock::Timestamp,
    standing::CredentialSummary,
};

/// A factor, by the way it reaches the user. Two proofs over one way are one factor.
fn channel(method: Method) -> Method {
    match method {
        // All are sent to where the user reads mail or messages.
        Method::LinkRecovery | Method::CodeRecovery => Method::Code,
        // One key, whatever it is called.
        Method::Passkey => Method::WebAuthn,
        other => other,
    }
}

const fn is_federated(method: Method) -> bool {
    matches!(method, Method::Oidc | Method::Saml)
}

/// Whether another provider has seen this proof, and vouches for it by one of its own, at that level or a higher one.
pub(crate) fn is_vouched_for(proof: &Proof, proofs: &[Proof]) -> bool {
    let by_provider = |other: &Proof| {
        is_federated(other.method()) && other.provider() == proof.provider() && other.aal() >= proof.aal()
    };
    !is_federated(proof.method())
        && proof.provider().is_some()
        && proof.credential().is_none()
        && proofs.iter().any(by_provider)
}

/// Whether two proofs are of one factor. A provider may vouch for the first factor and for both, so that one of them is left when the
/// other lapses.
fn are_one_factor(one: &Proof, other: &Proof) -> bool {
    let are_levels_of_one_provider = is_federated(one.method())
        && one.provider().is_some()
        && one.provider() == other.provider()
        && one.aal() != other.aal();
    channel(one.method()) == channel(other.method()) && !are_levels_of_one_provider
}

impl Engine {
    /// Says why these proofs cannot begin a session of a subject with these credentials.
    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    pub(crate) fn check_proofs(
        &self,
        proofs: &[Proof],
        known: &[CredentialSummary],
        now: Timestamp,
    ) -> Result<(), &'static str> {
        if proofs.is_empty() {
            return Err("there is no proof");
        }
        let latest = now + self.limits.clock_leeway;
        for (position, proof) in proofs.iter().enumerate() {
            if proof.completed_at().is_some_and(|at| at > latest) {
                return Err("a proof is in the future");
            }
            if proofs.iter().take(position).any(|earlier| earlier.is_replaced_by(proof)) {
                return Err("two proofs are of one method and level");
            }
            if is_vouched_for(proof, proofs) {
                if proof.aal() == Aal::Aal0 {
                    return Err("a proof at aal0 proves nothing");
                }
                continue;
            }
            if proof.provider().is_some() && !is_federated(proof.method()) {
                return Err("only oidc and saml have a provider, and what a proof of theirs at this level vouches for");
            }
            let mut earlier = proofs.iter().take(position).filter(|earlier| !is_vouched_for(earlier, proofs));
            if earlier.any(|earlier| are_one_factor(earlier, proof)) {
                return Err("two proofs are of one method, or reach the user in one way: that is one factor");
            }
            self.check_proof(proof, known)?;
        }
        let first = |proof: &Proof| proof.aal() == Aal::Aal1 || is_federated(proof.method());
        if !proofs.iter().any(first) {
            return Err("there are only second factors: a session begins with a first one");
        }
        // What has lapsed already, or does not count for another reason, begins nothing.
        let standing = self.judge(known.to_vec());
        let counting = proofs.iter().filter(|proof| standing.counts(proof, Some(now), now));
        if level_of(counting) == Aal::Aal0 { Err("no proof counts any longer") } else { Ok(()) }
    }

    fn check_proof(&self, proof: &Proof, known: &[CredentialSummary]) -> Result<(), &'static str> {
        let method = proof.method();
        match proof.aal() {
            Aal::Aal0 => return Err("a proof at aal0 proves nothing"),
            Aal::Aal1 if self.first_factor_level(method).is_none() => {
                return Err("this method is a second factor only");
            }
            Aal::Aal1 if method == Method::Profile => return Err("a change of the profile proves nothing"),
            Aal::Aal1 => {}
            Aal::Aal2 if is_federated(method) => {}
            Aal::Aal2 => {
                let own = self.factor(method).is_some_and(|factor| factor.aal() == Aal::Aal2);
                if !own && !method.is_second_factor() {
                    return Err("this method is no second factor");
                }
                if proof.credential().is_none() {
                    return Err("a second factor must name its credential");
                }
            }
        }
        let is_it = |one: &CredentialSummary| (one.method, one.aal) == (method, proof.aal());
        match proof.credential() {
            Some(id) if !known.iter().any(|one| one.id == id && is_it(one)) => {
                Err("the subject has no such credential of this method and level")
            }
            _ => Ok(()),
        }
    }
}

//! Where a user of our own sessions can meet a requirement: the login flow, the settings, the application's own login.

use std::collections::BTreeSet;

use url::Url;

use super::OwnSessions;
use crate::{
    aal::{Aal, Method, Methods, Proof},
    requirement::{Requirement, Shortfall},
    source::{Evidence, Remedy, Unmet},
    standing::{Enrolled, Recency},
};

impl OwnSessions {
    pub(super) fn remedy_for(&self, unmet: &Unmet<'_>) -> Remedy {
        let names = unmet.requirement.methods().map(|methods| self.shown_names(methods)).unwrap_or_default();
        match self.page(unmet, &names) {
            Some(page) => Remedy::page(page).with_methods(names),
            None => Remedy::default().with_methods(names),
        }
    }

    /// The methods as forms and addresses name them.
    fn shown_names(&self, methods: &Methods) -> BTreeSet<String> {
        let shown =
            |method: Method| self.shown.iter().find(|(own, _)| *own == method).map_or(method, |(_, shown)| *shown);
        methods.iter().map(|method| shown(method).to_string()).collect()
    }

    fn page(&self, unmet: &Unmet<'_>, names: &BTreeSet<String>) -> Option<Url> {
        let (urls, return_to) = (&self.urls, unmet.return_to);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let names = names.join(",");
        let methods = (!names.is_empty()).then_some(names.as_str());
        // The second factor with which the requirement can be met is kept here. Another provider may have vouched for both factors, or the
        // application may have checked the method. Then it can be proven only there.
        let is_here = |requirement: &Requirement, evidence: &Evidence| match requirement.methods() {
            None => evidence.standing.enrolled() != Enrolled::No,
            Some(methods) => {
                let mut known = evidence.standing.credentials().iter();
                known.any(|one| one.aal == Aal::Aal2 && methods.contains(one.method))
            }
        };
        // Who came by another provider, and could enrol nothing here that would do, proves it there.
        let is_elsewhere =
            unmet.evidence.is_some_and(|known| self.can_only_come_from_elsewhere(&unmet.requirement, known));
        Some(match unmet.shortfall {
            Shortfall::NothingEnrolled | Shortfall::MethodNotEnrolled if is_elsewhere => {
                urls.login_by(false, true, methods, return_to)
            }
            // Names no level: a client without a session learns nothing about what the route requires.
            Shortfall::NoSession => urls.first_login(return_to),
            Shortfall::LevelTooLow | Shortfall::CannotTell => {
                let is_here =
                    methods.is_none() || unmet.evidence.is_none_or(|known| is_here(&unmet.requirement, known));
                urls.login_by(is_here, !is_here, methods, return_to)
            }
            Shortfall::NothingEnrolled => urls.enrolment(return_to),
            Shortfall::MethodNotEnrolled => self.enrolment_behind_a_proof(unmet),
            Shortfall::TooOld { second_factor, .. } | Shortfall::MethodMissing { second_factor } => {
                let is_here = unmet.evidence.is_some_and(|known| is_here(&unmet.requirement, known));
                // A key that is a second factor is proven as one, though any proof by it would do.
                urls.login_by((second_factor || methods.is_some()) && is_here, true, methods, return_to)
            }
            Shortfall::Unavailable | Shortfall::NoMethodPossible => return None,
        })
    }

    fn can_only_come_from_elsewhere(&self, requirement: &Requirement, known: &Evidence) -> bool {
        let Some(methods) = requirement.methods() else { return false };
        let came_from_elsewhere = |proof: &Proof| matches!(proof.method(), Method::Oidc | Method::Saml);
        !self.second_factors.iter().any(|method| methods.contains(*method))
            && known.session.proofs().iter().any(came_from_elsewhere)
    }

    /// Where a factor is enrolled. Who has another one proves that first: the settings would ask for it in the middle.
    fn enrolment_behind_a_proof(&self, unmet: &Unmet<'_>) -> Url {
        let enrolment = self.urls.enrolment(unmet.return_to);
        let must_prove = unmet.evidence.is_some_and(|Evidence { session, standing }| {
            let recency = standing.recency(session, self.privileged_session_max_age, unmet.now);
            recency == Recency::ProveAnew { second_factor: true }
        });
        if must_prove { self.urls.login(true, true, Some(&enrolment)) } else { enrolment }
    }
}

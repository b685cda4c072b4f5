//! The one door: every verdict about a request comes through here. It asks the source of sessions only if it must, and once.

use std::sync::{Arc, atomic::Ordering};

use http::Extensions;
use tracing::{Instrument, Level, Span, field::Empty, level_filters::LevelFilter};

use super::{Answer, SessionContext, Shared, Unavailable, Unshown, head::matched_route};
use crate::{
    audit::{count_decision, outcome},
    requirement::{Requirement, Shortfall},
    source::{Clue, Evidence, Look, Recalled, SecondFactorRequired},
};

/// The session that meets a requirement, or the shortfall.
pub(crate) type Verdict<'a> = Result<&'a Arc<Evidence>, Shortfall>;

fn conclude(decision: &Span, verdict: &Verdict<'_>) {
    if !decision.is_none() {
        decision.record("outcome", outcome(verdict));
    }
    count_decision(verdict);
}

impl SessionContext {
    /// Every verdict comes from here. The extensions are those of the request, if they are at hand: they name the matched route.
    pub(crate) async fn verdict(&self, requirement: &Requirement, extensions: Option<&Extensions>) -> Verdict<'_> {
        match self.verdict_without_waiting(requirement, extensions) {
            Some(verdict) => verdict,
            None => self.verdict_of_the_source(requirement, self.decision(requirement, extensions)).await,
        }
    }

    /// The part of [`verdict`](Self::verdict) that never waits.
    pub(crate) fn verdict_without_waiting(
        &self,
        requirement: &Requirement,
        extensions: Option<&Extensions>,
    ) -> Option<Verdict<'_>> {
        let verdict = self.known_verdict(requirement)?;
        conclude(&self.decision(requirement, extensions), &verdict);
        Some(verdict)
    }

    /// The part that waits, within the span of the decision.
    pub(crate) async fn verdict_of_the_source(&self, requirement: &Requirement, decision: Span) -> Verdict<'_> {
        // Boxed, or the future of every request would have room for this one.
        let verdict = self.judge(Box::pin(self.read().instrument(decision.clone())).await, requirement);
        conclude(&decision, &verdict);
        verdict
    }

    /// The span of a decision. While nobody listens, it costs a comparison.
    pub(crate) fn decision(&self, requirement: &Requirement, extensions: Option<&Extensions>) -> Span {
        // A span that is made and then not enabled would cost a twentieth of a request.
        if LevelFilter::current() < Level::DEBUG {
            return Span::none();
        }
        tracing::debug_span!(
            target: "tower_step_up::decision",
            "decision",
            %requirement,
            route = extensions.and_then(matched_route).or_else(|| self.head()?.route()),
            outcome = Empty,
        )
    }

    /// The verdict, if nobody must be asked. It is told to nobody: it may be no decision.
    pub(crate) fn known_verdict(&self, requirement: &Requirement) -> Option<Verdict<'_>> {
        self.consult();
        let clue = match &self.shared.look {
            Look::Clue(clue) => clue,
            Look::Nothing | Look::Ambiguous(_) => return Some(Err(Shortfall::NoSession)),
            Look::Miswired(_) => return Some(Err(Shortfall::Unavailable)),
        };
        if let Some(read) = self.answer() {
            return Some(self.judge(read, requirement));
        }
        match self.recalled(clue) {
            Recalled::Unknown => None,
            Recalled::NoSession => Some(Err(Shortfall::NoSession)),
            Recalled::Evidence(evidence) => {
                let verdict = self.check(evidence, requirement);
                // Another process may have enrolled a second factor since. If the verdict depends on there being none, ask the source.
                let believed = !requirement.depends_on_enrolment(verdict.as_ref().err(), &evidence.standing);
                // The user may have proven more since, to another service.
                let lasting = verdict.is_ok() || !self.shared.edge.source.rises_unseen();
                (believed && lasting).then_some(verdict)
            }
        }
    }

    fn check<'a>(&self, evidence: &'a Arc<Evidence>, requirement: &Requirement) -> Verdict<'a> {
        requirement.check(&evidence.session, &evidence.standing, self.shared.now).map(|()| evidence)
    }

    fn judge<'a>(&self, read: &'a Answer, requirement: &Requirement) -> Verdict<'a> {
        match read {
            Err(Unshown::Unavailable) => Err(Shortfall::Unavailable),
            Err(Unshown::SecondFactorRequired) => Err(Shortfall::LevelTooLow),
            Ok(None) => Err(Shortfall::NoSession),
            Ok(Some(evidence)) => self.check(evidence, requirement),
        }
    }

    /// Session and standing, from the cache or the source.
    pub(crate) async fn evidence(&self) -> Result<Option<&Arc<Evidence>>, Unavailable> {
        self.consult();
        let clue = match &self.shared.look {
            Look::Clue(clue) => clue,
            Look::Nothing | Look::Ambiguous(_) => return Ok(None),
            Look::Miswired(_) => return Err(Unavailable),
        };
        if self.answer().is_none() {
            match self.recalled(clue) {
                Recalled::Evidence(evidence) => return Ok(Some(evidence)),
                Recalled::NoSession => return Ok(None),
                Recalled::Unknown => {}
            }
        }
        match Box::pin(self.read()).await {
            Ok(evidence) => Ok(evidence.as_ref()),
            Err(Unshown::SecondFactorRequired) => Ok(None),
            Err(Unshown::Unavailable) => Err(Unavailable),
        }
    }

    fn recalled(&self, clue: &Clue) -> &Recalled {
        let Shared { edge, now, recalled, .. } = &*self.shared;
        recalled.get_or_init(|| edge.source.recall(clue, *now))
    }

    /// Asks the source, once per request.
    async fn read(&self) -> &Answer {
        let Shared { edge, look, now, read, .. } = &*self.shared;
        let cell = read.get_or_init(Box::default);
        cell.get_or_init(|| async {
            let Look::Clue(clue) = look else { return Ok(None) };
            edge.source.ask(clue, *now).await.map_err(|error| {
                if error.is::<SecondFactorRequired>() {
                    return Unshown::SecondFactorRequired;
                }
                // The error's source may name a database. Its own text never does.
                tracing::error!(target: "tower_step_up::context", %error, "a session could not be looked up");
                Unshown::Unavailable
            })
        })
        .await
    }

    /// The source's answer, if it was asked.
    fn answer(&self) -> Option<&Answer> {
        self.shared.read.get()?.get()
    }

    pub(super) fn consult(&self) {
        self.shared.consulted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_consulted(&self) -> bool {
        self.shared.consulted.load(Ordering::Relaxed)
    }

    /// What is known already, for logs. Asks nobody.
    pub(super) fn known(&self) -> Option<&Arc<Evidence>> {
        match (self.answer(), self.shared.recalled.get()) {
            (Some(read), _) => read.as_ref().ok()?.as_ref(),
            (None, Some(Recalled::Evidence(evidence))) => Some(evidence),
            (None, _) => None,
        }
    }
}

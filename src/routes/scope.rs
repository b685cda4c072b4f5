//! What every route needs: the engine, and the context from the outer layer of the *same* `StepUp`.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
    response::Response,
};

use tracing::Span;

use super::answer;
use crate::{
    clock::Timestamp,
    context::{Edge, SessionContext, Unavailable},
    engine::Engine,
    error::{Error, ErrorKind},
    guard::tell_miswired,
    session::{StoredSession, token::Verified},
    source::{Carried, Evidence, Head},
    standing::Standing,
    wire::Envelope,
};

/// What the router is built from.
#[derive(Clone)]
pub(crate) struct Site {
    engine: Arc<Engine>,
    edge: Arc<Edge>,
}

impl Site {
    pub(crate) const fn new(engine: Arc<Engine>, edge: Arc<Edge>) -> Self {
        Self { engine, edge }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// The site and the request's context.
#[derive(Clone)]
pub(crate) struct Scope {
    site: Site,
    pub(crate) context: SessionContext,
    pub(crate) headers: HeaderMap,
    /// The language that the application says for the request.
    pub(crate) language: Option<String>,
}

impl FromRequestParts<Site> for Scope {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Self::Rejection> {
        let help = match SessionContext::of(&parts.extensions) {
            Some(context) if context.belongs_to(&site.edge) => {
                let Some(help) = context.miswired() else {
                    let context = context.with_head(Head::from(&*parts));
                    let language = site.engine.language_of.as_ref().and_then(|chosen| chosen(Head::from(&*parts)));
                    return Ok(Self { site: site.clone(), context, headers: parts.headers.clone(), language });
                };
                help
            }
            _ => {
                "the router of a StepUp needs the layer of the same StepUp around it: write \
                 `.with_step_up(&step_up)` after all routes, or `.merge(step_up.router()).layer(step_up.layer())`"
            }
        };
        tell_miswired(help, &parts.uri, &parts.extensions);
        let envelope = Envelope::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            None,
            "not set up",
            "The application is not set up correctly. Please contact its operator.",
        );
        Err(answer::from_bytes(envelope.respond(&parts.headers)))
    }
}

impl Scope {
    /// The same, for a request that submits a form, and the span of that.
    pub(crate) fn submits(self, form: fn(Option<&str>) -> Span) -> (Self, Span) {
        let (context, span) = self.context.submits(form);
        (Self { context, ..self }, span)
    }

    /// The same request at this instant. Its session is looked up again.
    pub(crate) fn anew(&self) -> Self {
        Self { context: self.context.anew(), ..self.clone() }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.site.engine()
    }

    /// The session of the request, if there is a valid one.
    pub(crate) async fn evidence(&self) -> Result<Option<&Evidence>, Unavailable> {
        Ok(self.context.evidence().await?.map(AsRef::as_ref))
    }

    /// What the request's credential says, if it is a token of ours, even one whose session has ended. It proves nothing by itself.
    pub(crate) fn presented(&self) -> Option<Verified> {
        self.engine().presented(self.context.clue()?, self.now())
    }

    /// The cookie and token for a session, made by the source that will find it again.
    pub(crate) fn carry(&self, session: &StoredSession, standing: &Standing) -> Result<Carried, Error> {
        let carried = self.site.edge.source.carry(session, standing, self.engine().now());
        carried.map_err(|error| Error::with_source(ErrorKind::Cryptography, error))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.now()
    }
}

use std::fmt::Debug;

use http::{HeaderMap, Request, Response, StatusCode, header};
use tower_service::Service;

use super::mint;
use crate::{
    aal::{Aal, CredentialId, Method, Proof},
    config::{SignedIn, StepUp},
    error::{Error, ErrorKind},
    session::Subject,
    standing::CredentialSummary,
    store::{Completion, Credential, CredentialChange},
};

/// Walks these routes, `(method, path)`, with everything that is below the level, and panics if any lets it through: without a session,
/// and, if the level is [`Aal2`](Aal::Aal2), with the session of somebody who has a second factor and has not proven it.
///
/// Only an answer of this crate's guards counts as a refusal. A route that does not exist, or whose handler itself says 403, is named
/// too: the first is a misspelling in the test, the second was reached. Give all methods of each path; `HEAD` and one that
/// the route does not have belong to them.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_step_up::{Aal, Requirement, RouterExt, test_util::assert_denied_below};
/// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
///
/// // The application's own router, as it is in production.
/// fn app(step_up: &StepUp) -> Router {
///     let recent = Requirement::aal2().max_age(Duration::from_secs(300));
///     Router::new()
///         .route_requiring("/transfer", recent, get(async || "form").post(async || "sent"))
///         .route_requiring("/payments/{id}", Requirement::aal2(), get(async || "a payment"))
///         .merge(step_up.router())
///         .layer(step_up.layer())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let step_up = StepUp::builder("https://bank.example")
/// #     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
/// #     .store(MemoryStore::default())
/// #     .factor(Totp::new("Example Bank"))
/// #     .build()?;
/// let app = app(&step_up).into_service::<axum::body::Body>();
/// let routes = [("GET", "/transfer"), ("HEAD", "/transfer"), ("POST", "/transfer"), ("GET", "/payments/7")];
/// assert_denied_below(&step_up, Aal::Aal2, &app, &routes).await;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// A route is open, the service or store fails, or there are no routes.
#[allow(clippy::panic, clippy::expect_used, reason = "it is an assertion")]
pub async fn assert_denied_below<S, ReqBody, ResBody>(
    step_up: &StepUp,
    level: Aal,
    service: &S,
    routes: &[(&str, &str)],
) where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    S::Error: Debug,
    ReqBody: Default,
{
    assert!(!routes.is_empty(), "there are no routes to walk");
    let mut below = vec![("no session", None)];
    if level > Aal::Aal1 {
        below.push(("a session at aal1", Some(below_aal2(step_up).await.expect("a session could not be minted"))));
    }
    let mut open = Vec::new();
    for &(method, path) in routes {
        for (name, session) in &below {
            let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
            if let Some(session) = session {
                request = request.header("x-session-token", session.token().as_str());
            }
            let request = request.body(ReqBody::default()).expect("a method or path cannot be sent");
            let response = called(service.clone(), request).await.expect("the service failed");
            if !is_refusal(response.status(), response.headers()) {
                open.push(format!("{method} {path} with {name}: {}", response.status()));
            }
        }
    }
    assert!(open.is_empty(), "not closed below {level}:\n{}", open.join("\n"));
}

/// Somebody with a second factor that was never proven.
async fn below_aal2(step_up: &StepUp) -> Result<SignedIn, Error> {
    let inner = step_up.inner();
    let subject =
        Subject::new(format!("below-{}", CredentialId::random())).map_err(|_| Error::new(ErrorKind::Inactive))?;
    let summary = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
    let mut completion = Completion::new(subject.clone(), inner.now());
    completion.credentials.push(CredentialChange::Add(Credential {
        summary,
        data: Vec::new(),
        secrets: Vec::new(),
        last_step: 0,
        created_at: inner.now(),
    }));
    inner.complete(completion).await?;
    mint(step_up, subject, [Proof::new(Method::Password, Aal::Aal1, inner.now())]).await
}

async fn called<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// Whether a guard of this crate gave the answer, or the router of this crate did as one would.
fn is_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    let id = headers.get("ory-error-id").and_then(|id| id.to_str().ok());
    match status {
        StatusCode::UNAUTHORIZED => matches!(id, Some("session_inactive" | "session_aal1_required")),
        StatusCode::FORBIDDEN => matches!(id, Some("session_aal2_required" | "session_refresh_required")),
        _ => false,
    }
}

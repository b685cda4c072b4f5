//! A proof that is judged when the body is there.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;

use crate::guard::find_context;

/// A proof, and the body of the request: it reads the whole body, and then judges anew, by what holds at that instant.
///
/// A guard, and an extractor such as [`Aal2`](super::Aal2), decide when the head of a request arrives. Whoever sends the body decides how
/// long it takes. In the meantime the session may be revoked, its second factor removed, or its proof grow too old. Where that matters, take
/// this as the last argument:
///
/// ```
/// use std::time::Duration;
/// use axum::{Json, Router, routing::post};
/// use tower_step_up::{Aal2, Proven, Required, Requirement, extract::Fresh};
///
/// struct FiveMinutes;
///
/// impl Required for FiveMinutes {
///     const REQUIREMENT: Requirement = Requirement::aal2().max_age(Duration::from_secs(300));
/// }
///
/// // Two factors, whenever the body comes.
/// async fn set_limit(Fresh(user, Json(limit)): Fresh<Aal2, Json<u64>>) -> String {
///     format!("{} sets the limit to {limit}", user.subject())
/// }
///
/// // The second factor is at most five minutes old when the whole body is there.
/// async fn transfer(Fresh(user, Json(amount)): Fresh<Proven<FiveMinutes>, Json<u64>>) -> String {
///     format!("{} sends {amount}", user.subject())
/// }
///
/// # use axum::{body::Body, http::{Request, header}};
/// # use tower::ServiceExt;
/// # use tower_step_up::{RouterExt, SigningKey, StepUp, Subject, aal::{Aal, CredentialId, Method, Proof}};
/// # use tower_step_up::{factor::Totp, store::MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app: Router = Router::new().route("/limit", post(set_limit)).route("/transfer", post(transfer));
/// # let step_up = StepUp::builder("https://bank.example")
/// #     .signing_key(SigningKey::generate("2026-11")?)
/// #     .store(MemoryStore::default())
/// #     .factor(Totp::new("Example Bank"))
/// #     .build()?;
/// # let app = app.with_step_up(&step_up);
/// # let alice = Subject::new("alice")?;
/// # let password = step_up.sign_in(alice.clone(), Method::Password).await?;
/// # let send = |token: &str| {
/// #     let request = Request::post("/transfer").header("x-session-token", token.to_owned());
/// #     let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from("7")).unwrap();
/// #     app.clone().oneshot(request)
/// # };
/// # assert_eq!(send(password.token().as_str()).await?.status(), 403);
/// # #[cfg(feature = "test-util")]
/// # {
/// #     let now = tower_step_up::clock::Timestamp::from(std::time::SystemTime::now());
/// #     let proofs = [
/// #         Proof::new(Method::Password, Aal::Aal1, now),
/// #         Proof::new(Method::Totp, Aal::Aal2, now).with_credential(CredentialId::random()),
/// #     ];
/// #     let both = tower_step_up::test_util::mint(&step_up, alice, proofs).await?;
/// #     assert_eq!(send(both.token().as_str()).await?.status(), 200);
/// # }
/// # Ok(())
/// # }
/// ```
///
/// - `R` is what must hold: [`Aal2`](super::Aal2), [`CurrentSession`](super::CurrentSession), a [`Proven`](super::Proven) of yours, or an
///   extractor of yours that takes one of these. It decides twice: at the head, so that a request that is refused anyway is refused before
///   its body is read, and once the body is there. The handler gets the second decision.
/// - `E` is what reads the body: `Json`, `Form`, `Bytes`, `String`, `Multipart`. It gets the body from memory,
///   and only after the second decision.
/// - The body may have as many bytes as axum's [`DefaultBodyLimit`](axum::extract::DefaultBodyLimit) allows, two million unless you set
///   another. For how long it may take, your server needs a limit of its own.
/// - Where both decisions are made from the cache, it costs no read. A session that was revoked on another process still counts for
///   [`standing_max_age`](crate::StepUpBuilder::standing_max_age), as everywhere.
///
/// It decides once the body is there, not at the end of the handler. Without axum, or for a body that is too large for memory, use
/// [`SessionContext::anew`](crate::SessionContext::anew).
///
/// # Errors
///
/// The answer of `R`, as from a guard; 413 or 400 if the body is too large or breaks off; then the answer of `E`.
#[derive(Clone, Copy, Debug)]
pub struct Fresh<R, E>(pub R, pub E);

impl<S, R, E> FromRequest<S> for Fresh<R, E>
where
    S: Send + Sync,
    R: FromRequestParts<S> + Send,
    E: FromRequest<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let context = find_context(None, &parts.uri, &parts.extensions).map_err(IntoResponse::into_response)?.clone();
        R::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let bytes = read(body, &parts.extensions, state).await?;
        parts.extensions.insert(context.anew());
        let proof = R::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(parts, Body::from(bytes));
        let read = E::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self(proof, read))
    }
}

/// The whole body, within the limit of the route, which is among its extensions.
async fn read<S: Send + Sync>(body: Body, extensions: &http::Extensions, state: &S) -> Result<Bytes, Response> {
    let mut request = Request::new(body);
    request.extensions_mut().clone_from(extensions);
    // Unlike `Bytes`, this copies what comes: a piece of a body may keep a much larger buffer in memory.
    let whole = BytesMut::from_request(request, state).await.map_err(IntoResponse::into_response)?;
    Ok(whole.freeze())
}

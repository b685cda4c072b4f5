//! Asking in the middle of a method.

use http::{Extensions, HeaderValue, Method, Request, header::CONTENT_TYPE};
use tonic::Status;
use tower_step_up::{
    Requirement,
    context::SessionContext,
    source::{Evidence, Head},
};

use crate::refusal::code;

/// The session of a call, if it meets the requirement: for a method that asks only sometimes, or for more than the guard of its service.
///
/// # Errors
///
/// The status of the refusal, which is [the same](crate::status) as that of a guard if [`answer`](crate::answer) answers refusals. `INTERNAL` if
/// `step_up.layer()` is not around the service.
///
/// ```
/// use std::time::Duration;
///
/// use tonic::{Request, Response, Status};
/// use tower_step_up::Requirement;
/// use tower_step_up_tonic::require;
///
/// # struct Amount(u64);
/// async fn pay(request: Request<Amount>) -> Result<Response<String>, Status> {
///     let mut needed = Requirement::aal2();
///     if request.get_ref().0 > 1000 {
///         needed = needed.max_age(Duration::from_secs(300));
///     }
///     let payer = require(request.extensions(), needed).await?.session.subject().clone();
///     Ok(Response::new(format!("{payer} pays {}", request.get_ref().0)))
/// }
/// # drop(pay(Request::new(Amount(7))));
/// ```
pub async fn require(extensions: &Extensions, requirement: Requirement) -> Result<&Evidence, Status> {
    let Some(context) = SessionContext::of(extensions) else {
        return Err(Status::internal("the layer of tower-step-up is not around this service"));
    };
    match context.decide(&requirement).await {
        Ok(evidence) => Ok(evidence),
        Err(shortfall) => {
            let denied = context.with_head(Head::from(&call())).challenge(requirement);
            let answer = denied.into_full_response();
            // An application may have answers of its own.
            Err(Status::from_header_map(answer.headers())
                .unwrap_or_else(|| Status::new(code(shortfall), shortfall.to_string())))
        }
    }
}

/// tonic keeps what HTTP says of a call from its methods. This is what all calls have in common.
fn call() -> Request<()> {
    let mut call = Request::new(());
    *call.method_mut() = Method::POST;
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    call
}

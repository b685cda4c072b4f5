//! One port for gRPC and for the step-up flows.

use std::{
    error::Error,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status,
    service::{LayerExt as _, Routes},
};
use tower::ServiceBuilder;
use tower_step_up::{Method, RequireAal, Requirement, SigningKey, StepUp, Subject, factor::Totp, store::MemoryStore};
use tower_step_up_tonic::{answer, require};

use crate::{
    SECRET,
    payments::{
        BalanceReply, BalanceRequest, ListRequest, PayReply, PayRequest,
        payments_server::{Payments, PaymentsServer},
    },
};

/// Who may only look needs a session; [`RequireAal`] in front of the service says so for all of its methods.
struct Account(Mutex<Vec<PayRequest>>);

impl Account {
    fn balance(&self) -> i64 {
        let paid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paid.iter().fold(10_000, |balance: i64, payment| balance.saturating_sub(payment.amount))
    }
}

#[tonic::async_trait]
impl Payments for Account {
    type ListStream = Pin<Box<dyn Stream<Item = Result<PayRequest, Status>> + Send>>;

    async fn balance(&self, _: Request<BalanceRequest>) -> Result<Response<BalanceReply>, Status> {
        Ok(Response::new(BalanceReply { balance: self.balance() }))
    }

    async fn pay(&self, request: Request<PayRequest>) -> Result<Response<PayReply>, Status> {
        let mut needed = Requirement::aal2();
        if request.get_ref().amount > 1000 {
            needed = needed.max_age(Duration::from_secs(300));
        }
        require(request.extensions(), needed).await?;
        let payment = request.into_inner();
        if payment.amount <= 0 || payment.amount > self.balance() {
            return Err(Status::invalid_argument("the amount must be positive, and on the account"));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(payment);
        Ok(Response::new(PayReply { balance: self.balance() }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        require(request.extensions(), Requirement::aal2()).await?;
        let paid = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Response::new(Box::pin(tokio_stream::iter(paid.into_iter().map(Ok)))))
    }
}

/// Your login checks a password here.
async fn login(State(step_up): State<StepUp>, name: String) -> Result<String, StatusCode> {
    let subject = Subject::new(name).map_err(|_| StatusCode::BAD_REQUEST)?;
    let signed_in = step_up.sign_in(subject, Method::Password).await.map_err(|_| StatusCode::FORBIDDEN)?;
    Ok(signed_in.token().as_str().to_owned())
}

pub(crate) async fn app(url: &str) -> Result<Router, Box<dyn Error>> {
    let step_up = StepUp::builder(url)
        .insecure_http_on_loopback()
        .signing_key(SigningKey::generate("2026-11")?)
        .store(MemoryStore::default())
        .factor(Totp::new("Example Bank"))
        .on_refusal(answer)
        .build()?;
    // In your application, kim does that in the settings.
    step_up.import_totp(&Subject::new("kim")?, SECRET).await?;
    let payments = ServiceBuilder::new()
        .layer(RequireAal::new(Requirement::aal1()))
        .named_layer(PaymentsServer::new(Account(Mutex::default())));
    Ok(Routes::new(payments)
        .into_axum_router()
        .route("/login", post(login).with_state(step_up.clone()))
        .merge(step_up.router())
        .layer(step_up.layer()))
}

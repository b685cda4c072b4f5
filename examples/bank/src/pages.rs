//! The bank's pages. Askama escapes all values.

use std::{error::Error, sync::OnceLock};

use askama::Template;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, json};
use tower_step_up::{Aal2, CurrentSession, RequireAal, RequireAal2, Requirement};

use crate::{Bank, transfers::Transfer};

/// The pages and the API. `/payments`, `/limits` and `/api/payments` need more than a session: two by a layer, one by its signature.
pub(crate) fn routes() -> Router<Bank> {
    Router::new()
        .route("/", get(home))
        .route("/bank.css", get(style))
        .route("/account", get(account))
        .route("/payments", get(payments).layer(RequireAal2))
        .route("/limits", get(limits).layer(RequireAal::new(Requirement::highest_available())))
        .route("/api/payments", get(api_payments))
        .route("/api/transfers", get(api_transfers))
}

/// The path of the public URL, below which browsers see the pages; empty at the root.
static ROOT: OnceLock<String> = OnceLock::new();

/// Says once, before the first page, where browsers see the pages.
pub(crate) fn lie_below(public_url: &url::Url) {
    ROOT.get_or_init(|| public_url.path().trim_end_matches('/').to_owned());
}

/// What every link of a page begins with.
pub(crate) fn root() -> &'static str {
    ROOT.get().map_or("", String::as_str)
}

/// A template as a response.
pub(crate) fn page(template: &impl Template) -> Result<Html<String>, Failure> {
    Ok(Html(template.render()?))
}

/// A failure that is not the user's fault. The cause goes to the log, not to the user.
pub(crate) struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, cause = self.0.source().map(tracing::field::display), "a request failed");
        message(StatusCode::SERVICE_UNAVAILABLE, "Something went wrong", "Please try again in a moment.")
    }
}

/// The answer to a form that another site sent.
pub(crate) fn refused() -> Response {
    message(StatusCode::FORBIDDEN, "Not accepted", "This form did not come from our pages. Please open it again.")
}

/// The answer to an unknown address.
pub(crate) async fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "Not found", "This page does not exist.")
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    title: &'static str,
    text: &'static str,
}

fn message(status: StatusCode, title: &'static str, text: &'static str) -> Response {
    match (Message { title, text }).render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (status, text).into_response(),
    }
}

async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("bank.css"))
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    visitor: Option<Visitor>,
}

struct Visitor {
    username: String,
    level: &'static str,
    methods: String,
}

fn methods(session: &CurrentSession) -> String {
    session.counting_proofs().map(|proof| proof.method().to_string()).collect::<Vec<_>>().join(", ")
}

async fn home(session: Option<CurrentSession>) -> Result<Html<String>, Failure> {
    let visitor = session.map(|session| Visitor {
        username: session.subject().to_string(),
        level: session.aal().as_str(),
        methods: methods(&session),
    });
    page(&Home { visitor })
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    username: String,
    transfers: Vec<Transfer>,
}

async fn account(State(bank): State<Bank>, session: CurrentSession) -> Result<Html<String>, Failure> {
    let transfers = bank.transfers.of(session.subject()).await?;
    page(&Account { username: session.subject().to_string(), transfers })
}

#[derive(Serialize)]
struct Payment {
    from: &'static str,
    amount: &'static str,
}

/// Every user gets these. A real bank reads them from its books.
const PAYMENTS: [Payment; 3] = [
    Payment { from: "Example Widgets Ltd, salary", amount: "2,840.00" },
    Payment { from: "Tax office, refund", amount: "112.35" },
    Payment { from: "Flat share, deposit", amount: "450.00" },
];

#[derive(Template)]
#[template(path = "payments.html")]
struct Payments {
    username: String,
    payments: &'static [Payment],
}

/// Guarded by the layer on its route.
async fn payments(session: CurrentSession) -> Result<Html<String>, Failure> {
    page(&Payments { username: session.subject().to_string(), payments: &PAYMENTS })
}

/// Guarded by its own signature: without two factors there is no [`Aal2`], so the handler is not called.
async fn api_payments(user: Aal2) -> Json<Value> {
    Json(json!({ "subject": user.subject().as_str(), "payments": PAYMENTS }))
}

async fn api_transfers(State(bank): State<Bank>, session: CurrentSession) -> Result<Json<Vec<Transfer>>, Failure> {
    Ok(Json(bank.transfers.of(session.subject()).await?))
}

#[derive(Template)]
#[template(path = "limits.html")]
struct Limits {
    username: String,
}

async fn limits(session: CurrentSession) -> Result<Html<String>, Failure> {
    page(&Limits { username: session.subject().to_string() })
}

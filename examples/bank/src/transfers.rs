//! Sending money: the table, the checks and the two routes.

use std::time::{SystemTime, UNIX_EPOCH};

use askama::Template;
use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use tower_step_up::{CurrentSession, Requirement, RouterExt, Subject};
use uuid::Uuid;

use crate::{
    Bank,
    database::{Database, on},
    pages::{Failure, page},
};

/// Both methods have the same requirement: `route_requiring` takes the finished method router.
pub(crate) fn routes(requirement: Requirement) -> Router<Bank> {
    Router::new().route_requiring("/transfer", requirement, get(form).post(send))
}

/// The table of transfers.
#[derive(Clone)]
pub(crate) struct Transfers {
    database: Database,
}

/// A stored transfer.
#[derive(Serialize)]
pub(crate) struct Transfer {
    id: i64,
    pub(crate) to: String,
    pub(crate) amount: String,
}

/// A checked transfer.
struct Order {
    to: String,
    amount: Amount,
    /// Unique per sender.
    key: Uuid,
}

/// A positive amount with at most two decimals, as the user wrote it.
struct Amount(String);

/// The mistakes in the form.
#[derive(Default)]
struct Problems {
    to: Option<&'static str>,
    amount: Option<&'static str>,
}

impl Transfers {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// The subject's transfers, newest first.
    pub(crate) async fn of(&self, subject: &Subject) -> Result<Vec<Transfer>, sqlx::Error> {
        let read = "SELECT id, recipient, amount FROM bank_transfers WHERE subject = $1 ORDER BY id DESC LIMIT 100";
        let rows: Vec<(i64, String, String)> =
            on!(&self.database, pool => sqlx::query_as(read).bind(subject.as_str()).fetch_all(pool).await)?;
        Ok(rows.into_iter().map(|(id, to, amount)| Transfer { id, to, amount }).collect())
    }

    /// Stores the order, unless it is stored already.
    async fn send(&self, subject: &Subject, order: &Order) -> Result<(), Failure> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let insert = "INSERT INTO bank_transfers (subject, recipient, amount, key, sent_at) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT DO NOTHING";
        on!(&self.database, pool => sqlx::query(insert)
            .bind(subject.as_str())
            .bind(&order.to)
            .bind(&order.amount.0)
            .bind(order.key.to_string())
            .bind(now)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }
}

impl Order {
    fn parse(form: &TransferForm) -> Result<Self, Problems> {
        let to = form.to.trim();
        let printable = !to.is_empty() && to.len() <= 100 && !to.chars().any(char::is_control);
        match Amount::parse(form.amount.trim()) {
            Some(amount) if printable => {
                Ok(Self { to: to.to_owned(), amount, key: form.key.unwrap_or_else(Uuid::new_v4) })
            }
            amount => Err(Problems {
                to: (!printable).then_some("Please enter a recipient of up to 100 characters."),
                amount: amount.is_none().then_some("Please enter an amount such as 25 or 25.50."),
            }),
        }
    }
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "00"));
        let well_formed = matches!(whole.len(), 1..=9) && matches!(decimals.len(), 1..=2);
        let positive = text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        (well_formed && positive && digits(whole) && digits(decimals)).then(|| Self(text.to_owned()))
    }
}

#[derive(Deserialize)]
struct TransferForm {
    to: String,
    amount: String,
    /// Our own form has one. A client that sends none pays once per request.
    key: Option<Uuid>,
}

#[derive(Default, Template)]
#[template(path = "transfer.html")]
struct TransferPage {
    to: String,
    amount: String,
    key: Uuid,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "sent.html")]
struct SentPage {
    to: String,
    amount: String,
}

async fn form() -> Result<Html<String>, Failure> {
    page(&TransferPage { key: Uuid::new_v4(), ..TransferPage::default() })
}

async fn send(
    State(bank): State<Bank>,
    session: CurrentSession,
    Form(form): Form<TransferForm>,
) -> Result<Response, Failure> {
    let order = match Order::parse(&form) {
        Ok(order) => order,
        Err(problems) => {
            let key = form.key.unwrap_or_else(Uuid::new_v4);
            let page = page(&TransferPage { to: form.to, amount: form.amount, key, problems })?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    bank.transfers.send(session.subject(), &order).await?;
    Ok(page(&SentPage { to: order.to, amount: order.amount.0 })?.into_response())
}

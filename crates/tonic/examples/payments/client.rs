//! A client that is refused, steps up and goes on.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use tonic::{Request, Status, transport::Channel};
use tower_step_up::{
    Shortfall,
    wire::{LoginFlow, LoginSuccess},
};
use tower_step_up_tonic::StepUpRequired;

use crate::{
    SECRET,
    payments::{BalanceRequest, ListRequest, PayRequest, payments_client::PaymentsClient},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Client {
    http: reqwest::Client,
    url: String,
    payments: PaymentsClient<Channel>,
    token: String,
}

pub(crate) async fn run(url: &str) -> Outcome<()> {
    let payments = PaymentsClient::connect(url.to_owned()).await?;
    let mut client = Client { http: reqwest::Client::new(), url: url.to_owned(), payments, token: String::new() };

    let Err(refused) = client.balance().await else { return Err("nobody sees a balance".into()) };
    println!("balance: {:?}: {}", refused.code(), refused.message());
    client.token = client.http.post(format!("{url}/login")).body("kim").send().await?.text().await?;
    println!("signed in; balance: {}", client.balance().await?);

    let mut balance = client.pay(2000).await;
    if let Err(status) = &balance
        && let Some(required) = StepUpRequired::of(status)
    {
        println!("pay: {:?}: {}", status.code(), required.shortfall);
        println!("     in a browser, kim would open {}", required.page.as_deref().unwrap_or("no page"));
        client.step_up(&required).await?;
        balance = client.pay(2000).await;
    }
    println!("paid; balance: {}", balance?);

    let mut paid = client.payments.list(client.request(ListRequest {})?).await?.into_inner();
    while let Some(payment) = paid.message().await? {
        println!("list: {} to {}", payment.amount, payment.to);
    }
    Ok(())
}

impl Client {
    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if !self.token.is_empty() {
            let bearer = format!("Bearer {}", self.token).parse().map_err(|_| Status::internal("no token"))?;
            request.metadata_mut().insert("authorization", bearer);
        }
        Ok(request)
    }

    async fn balance(&mut self) -> Result<i64, Status> {
        let request = self.request(BalanceRequest {})?;
        Ok(self.payments.balance(request).await?.into_inner().balance)
    }

    async fn pay(&mut self, amount: i64) -> Result<i64, Status> {
        let request = self.request(PayRequest { to: "lee".to_owned(), amount })?;
        Ok(self.payments.pay(request).await?.into_inner().balance)
    }

    /// As a native client does it, without a browser. The new token replaces the old one, which has ended.
    async fn step_up(&mut self, required: &StepUpRequired) -> Outcome<()> {
        let refresh = if matches!(required.shortfall, Shortfall::TooOld { .. }) { "&refresh=true" } else { "" };
        // Only these are offered then. They imply a new proof.
        let methods = match required.methods.as_slice() {
            [] => String::new(),
            methods => format!("&methods={}", methods.join(",")),
        };
        let address = format!("{}/self-service/login/api?aal=aal2{refresh}{methods}", self.url);
        let begun = self.http.get(address).header("x-session-token", &self.token).send().await?.error_for_status()?;
        let flow: LoginFlow = serde_json::from_slice(&begun.bytes().await?)?;
        let code = serde_json::json!({ "method": "totp", "totp_code": code_of_the_app()? }).to_string();
        let submit = self
            .http
            .post(format!("{}/self-service/login?flow={}", self.url, flow.id))
            .header("x-session-token", &self.token)
            .header("content-type", "application/json")
            .body(code);
        let success: LoginSuccess = serde_json::from_slice(&submit.send().await?.error_for_status()?.bytes().await?)?;
        println!("stepped up to {}", success.session.authenticator_assurance_level);
        self.token = success.session_token.ok_or("a native client gets a token")?;
        Ok(())
    }
}

/// kim would read it from a telephone.
fn code_of_the_app() -> Outcome<String> {
    let now: Duration = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let secret = totp_rs::Secret::try_from_base32(SECRET).map_err(|_| "no secret")?;
    let app = totp_rs::Builder::new().with_secret(secret).build().map_err(|error| error.to_string())?;
    Ok(app.generate(now.as_secs()).to_string())
}

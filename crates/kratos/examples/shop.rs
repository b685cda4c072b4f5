//! A shop whose customers sign in at an Ory Kratos. Every page has a guard of its own.
//!
//! ```text
//! cargo run -p tower-step-up-kratos --example shop
//! ```
//!
//! That starts a stand-in beside it, which speaks Kratos' wire and has one customer. With a Kratos of your own:
//!
//! ```text
//! KRATOS_PUBLIC_URL=http://127.0.0.1:4433 cargo run -p tower-step-up-kratos --example shop
//! ```

use std::{env, error::Error, time::Duration};

use axum::{Router, response::Html, routing::get};
use tokio::net::TcpListener;
use tower_step_up::{Aal2, CurrentSession, RequireAal2, Requirement, RouterExt, StepUp};
use tower_step_up_kratos::Kratos;

const SHOP: &str = "http://127.0.0.1:3000";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let kratos = match env::var("KRATOS_PUBLIC_URL") {
        Ok(url) => url,
        Err(_) => stand_in::start().await?,
    };
    let guard = StepUp::guard(SHOP)
        .insecure_http_on_loopback()
        .source(Kratos::new(&kratos).insecure_http_on_loopback())
        .build()?;

    let five_minutes = Requirement::aal2().max_age(Duration::from_secs(300));
    let app = Router::new()
        .route("/", get(home))
        .route("/orders", get(orders))
        .route("/addresses", get(async || "your addresses: two factors").layer(RequireAal2))
        .route("/cards", get(cards))
        .route_requiring(
            "/pay",
            five_minutes,
            get(async || "paid: two factors, the second one five minutes ago at most"),
        )
        .layer(guard.layer());

    println!("Open {SHOP}/ (its Kratos is {kratos})");
    axum::serve(TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    Ok(())
}

/// Open to everybody.
async fn home(customer: Option<CurrentSession>) -> Html<String> {
    let who = customer.map_or("You are not signed in.".to_owned(), |customer| {
        format!("You are {}, {}.", customer.subject(), customer.aal())
    });
    let links = ["orders", "addresses", "cards", "pay"].map(|page| format!("<li><a href=/{page}>{page}</a>"));
    Html(format!("<p>{who}<ul>{}</ul>", links.concat()))
}

async fn orders(customer: CurrentSession) -> String {
    format!("the orders of {}: one factor", customer.subject())
}

async fn cards(customer: Aal2) -> String {
    format!("the cards of {}: two factors", customer.subject())
}

/// In place of a Kratos: the companion router of `tower-step-up`, with a customer whose password it checks.
mod stand_in {
    use std::error::Error;

    use axum::Router;
    use tokio::net::TcpListener;
    use tower_step_up::{
        RouterExt, SigningKey, StepUp, Subject,
        directory::{Directory, DirectoryFuture, Identity},
        factor::{Password, Totp},
        store::MemoryStore,
    };

    const URL: &str = "http://127.0.0.1:4433";
    const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

    pub(super) async fn start() -> Result<String, Box<dyn Error>> {
        let step_up = StepUp::builder(URL)
            .insecure_http_on_loopback()
            .signing_key(SigningKey::generate("demo")?)
            .store(MemoryStore::default())
            .directory(Customers)
            .factor(Password::default())
            .factor(Totp::new("Shop"))
            .cookie_name("ory_kratos_session")
            .default_return_url(super::SHOP)
            .allowed_return_url(super::SHOP)
            .build()?;
        step_up.import_totp(&Subject::new("alice")?, SECRET).await?;
        let listener = TcpListener::bind("127.0.0.1:4433").await?;
        let router = Router::new().with_step_up(&step_up);
        tokio::spawn(async { axum::serve(listener, router).await });
        println!("Sign in as alice with alice-password, and confirm with: oathtool --totp -b {SECRET}");
        Ok(URL.to_owned())
    }

    struct Customers;

    impl Directory for Customers {
        fn identity<'a>(&'a self, subject: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
            let identity = Identity::new(serde_json::json!({ "username": subject.as_str() }));
            Box::pin(async { Ok(Some(identity)) })
        }

        fn checks_passwords(&self) -> bool {
            true
        }

        fn check_password<'a>(&'a self, name: &'a str, password: &'a str) -> DirectoryFuture<'a, Option<Subject>> {
            // A real directory compares with a slow hash.
            let alice = (name, password) == ("alice", "alice-password");
            Box::pin(async move { if alice { Ok(Some(Subject::new(name)?)) } else { Ok(None) } })
        }
    }
}

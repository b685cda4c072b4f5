//! How a part of the application answers refusals.

/// How refusals of a part of the application are answered. It is a layer:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, routing::get};
/// use tower_step_up::{Refusals, Requirement, RouterExt};
///
/// # async fn balance() {}
/// # async fn page() {}
/// # let step_up = tower_step_up::StepUp::builder("https://bank.example")
/// #     .signing_key(tower_step_up::SigningKey::generate("2026-11")?)
/// #     .store(tower_step_up::store::MemoryStore::default())
/// #     .factor(tower_step_up::factor::Totp::new("Example Bank"))
/// #     .build()?;
/// let api = Router::new()
///     .route_requiring("/balance", Requirement::aal2(), get(balance))
///     .layer(Refusals::Json); // after the routes
/// let app: Router = Router::new()
///     .nest("/api", api)
///     .route_requiring("/payments", Requirement::aal2(), get(page))
///     .layer(step_up.layer());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It holds for the guards, extractors and handlers inside it. A second one inside replaces it there.
/// [`on_refusal`](crate::StepUpBuilder::on_refusal) comes first, wherever it gives an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusals {
    /// A browser that navigates is redirected, and everybody else gets JSON. The default.
    #[default]
    ByClient,
    /// Everybody gets JSON, a browser that navigates too.
    Json,
}

//! Cross-origin resource sharing, for front ends on another host of the same site.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::CorsLayer;

use super::StepUp;

/// How long browsers remember what they may send.
const MAX_AGE: Duration = Duration::from_secs(600);

impl StepUp {
    /// A layer with which scripts on the pages of other hosts can read the answers (CORS). Put it around everything, outside
    /// [`layer`](Self::layer), so that refusals have its headers too. It needs the feature `cors`.
    ///
    /// The origins are exactly those of `login_ui_url`, `settings_ui_url` and `error_ui_url` that are not the public URL's, and each
    /// `allowed_origin` of the builder. Scripts there act for their users, with their cookies. The layer allows the headers
    /// that clients of Ory send. Change it like any `CorsLayer` of tower-http, but never to any origin.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// use axum::Router;
    /// use tower_step_up::{RouterExt, SigningKey, StepUp, factor::Totp, store::MemoryStore};
    ///
    /// let step_up = StepUp::builder("https://id.bank.example")
    ///     .allowed_origin("https://app.bank.example")
    /// #   .signing_key(SigningKey::generate("2026-11")?)
    /// #   .store(MemoryStore::default())
    /// #   .factor(Totp::new("Example Bank"))
    ///     .build()?;
    /// let app: Router = Router::new().with_step_up(&step_up).layer(step_up.cors_layer());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cors_layer(&self) -> CorsLayer {
        let origins = self.edge().urls.foreign_origins();
        let named = HeaderName::from_static;
        CorsLayer::new()
            .allow_credentials(true)
            .allow_origin(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect::<Vec<_>>())
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                named("max-age"),
                named("x-session-token"),
                named("x-xsrf-token"),
                named("x-csrf-token"),
            ])
            .expose_headers([
                header::LINK,
                header::RETRY_AFTER,
                header::WWW_AUTHENTICATE,
                named("ory-error-id"),
                named("x-total-count"),
            ])
            .max_age(MAX_AGE)
    }
}

use std::sync::Arc;

use bytes::Bytes;
use tower_layer::Layer;

use super::{BodyWith, FromBytes, StepUpService};
use crate::context::Edge;

/// The outer layer: puts a [`SessionContext`](crate::SessionContext) into each request, and renders what guards refuse.
///
/// [`StepUp::layer`](crate::StepUp::layer) makes it. Put it around all guards and around the companion router. Guards without it answer
/// 500.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct StepUpLayer<M = FromBytes> {
    edge: Arc<Edge>,
    body: M,
}

impl StepUpLayer {
    pub(crate) const fn new(edge: Arc<Edge>) -> Self {
        Self { edge, body: FromBytes }
    }

    /// The same layer for a service whose body has no `From<Bytes>`: the function makes the body of a challenge.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use http_body_util::{BodyExt, Full};
    ///
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::generate("2026-11")?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// let boxed = step_up.layer().body_with(|bytes| Full::new(bytes).boxed());
    /// # drop(boxed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn body_with<B, F>(self, make: F) -> StepUpLayer<BodyWith<F>>
    where
        F: Fn(Bytes) -> B + Clone,
    {
        StepUpLayer { edge: self.edge, body: BodyWith(make) }
    }
}

impl<S, M: Clone> Layer<S> for StepUpLayer<M> {
    type Service = StepUpService<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        StepUpService::new(inner, Arc::clone(&self.edge), self.body.clone())
    }
}

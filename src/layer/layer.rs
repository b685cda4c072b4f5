use tower_layer::Layer;

use super::StepUpService;
use crate::step_up::StepUp;

/// The outer layer: finds the session of each request, and renders what guards refuse.
///
/// It goes around everything that has a guard, and around the companion router; [`StepUp::layer`] makes it. Guards that it is not
/// around answer 500.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct StepUpLayer {
    step_up: StepUp,
}

impl StepUp {
    /// The layer that finds the session of each request and renders every refusal.
    ///
    /// ```
    /// # use tower_step_up::{SigningKey, StepUp, factor::Totp, store::MemoryStore};
    /// use tower_layer::Layer;
    ///
    /// # let step_up = StepUp::builder("https://bank.example")
    /// #     .signing_key(SigningKey::hs256("2026-11", [7; 32])?)
    /// #     .store(MemoryStore::default())
    /// #     .factor(Totp::new("Example Bank"))
    /// #     .build()?;
    /// # let my_service = ();
    /// let service = step_up.layer().layer(my_service);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layer(&self) -> StepUpLayer {
        StepUpLayer { step_up: self.clone() }
    }
}

impl<S> Layer<S> for StepUpLayer {
    type Service = StepUpService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StepUpService::new(inner, self.step_up.clone())
    }
}

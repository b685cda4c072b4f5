//! Configuration: the builder, its checks, and the configuration file.

mod acr;
mod build;
mod builder;
mod cookies;
#[cfg(feature = "config")]
mod file;
mod guard;

#[cfg(feature = "config")]
pub use self::file::Config;
pub use self::{builder::StepUpBuilder, guard::GuardBuilder};

use crate::step_up::StepUp;

impl StepUp {
    /// Starts to configure a step-up for the application that browsers reach at `public_url`.
    ///
    /// Cookies, redirects and CSRF protection depend only on this URL; `Host` and `Forwarded` headers are never trusted. If the router is
    /// nested under a path, the URL must include that path.
    pub fn builder(public_url: impl Into<String>) -> StepUpBuilder {
        StepUpBuilder::new(public_url.into())
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

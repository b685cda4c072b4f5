//! The outer layer: it puts a [`SessionContext`](crate::SessionContext) into every request, and renders what guards refuse.

mod body;
mod future;
#[allow(clippy::module_inception, reason = "as tower-http has it")]
mod layer;
mod service;

pub use self::{body::ResponseBody, future::ResponseFuture, layer::StepUpLayer, service::StepUpService};

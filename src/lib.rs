mod aal;
mod challenge;
mod clock;
mod config;
mod context;
mod directory;
mod error;
pub mod factor;
mod flow;
mod requirement;
#[cfg(feature = "axum")]
mod routes;
mod seal;
mod session;
mod standing;
pub mod store;
pub mod ui;

pub use self::{
    aal::{Aal, CredentialId, Method, Proof, UnknownMethod},
    clock::{Clock, SystemClock, Timestamp},
    config::{RequiredAal, SignedIn, StepUp, StepUpBuilder, UnknownRequiredAal},
    context::SessionContext,
    directory::{Directory, DirectoryError, DirectoryFuture, Identity},
    error::{BuildError, BuildErrorKind, Error, ErrorKind},
    requirement::{Requirement, Shortfall},
    seal::{EncryptionKey, SealError, Sealer},
    session::{BindingKey, InvalidKey, InvalidSubject, Session, SessionId, SigningKey, Subject, token::SessionToken},
    standing::{CredentialSummary, Standing},
};

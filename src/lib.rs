mod aal;
mod challenge;
mod clock;
mod config;
pub mod context;
mod directory;
mod error;
#[cfg(feature = "axum")]
mod extract;
pub mod factor;
mod flow;
pub mod guard;
mod requirement;
#[cfg(feature = "axum")]
mod router_ext;
#[cfg(feature = "axum")]
mod routes;
mod seal;
mod session;
mod standing;
pub mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
pub mod ui;

#[cfg(feature = "config")]
pub use self::config::Config;
pub use self::{
    aal::{Aal, CredentialId, Method, Proof, UnknownMethod},
    clock::{Clock, SystemClock, Timestamp},
    config::{RequiredAal, SignedIn, StepUp, StepUpBuilder, UnknownRequiredAal},
    context::{SessionContext, StepUpLayer},
    directory::{Directory, DirectoryError, DirectoryFuture, Identity},
    error::{BuildError, BuildErrorKind, Error, ErrorKind},
    guard::{RequireAal, RequireAal2},
    requirement::{Requirement, Shortfall},
    seal::{EncryptionKey, SealError, Sealer},
    session::{BindingKey, InvalidKey, InvalidSubject, Session, SessionId, SigningKey, Subject, token::SessionToken},
    standing::{CredentialSummary, Standing},
};
#[cfg(feature = "axum")]
pub use self::{
    extract::{Aal2, AccessDenied, CurrentSession, MaybeSession},
    router_ext::RouterExt,
};

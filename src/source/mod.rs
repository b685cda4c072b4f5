//! Where a request's session comes from.

pub(crate) mod own;

use crate::{session::Session, standing::Standing};

/// What a source says of a request's session: what it is, and what counts of it now.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The session.
    pub session: Session,
    /// What counts of it.
    pub standing: Standing,
}

use std::sync::OnceLock;

use crate::source::{Clue, HostSession, HostState, SourceError};

/// What a request brings: the application's session, and perhaps a token of ours.
pub(super) struct Brought {
    pub(super) session: Box<dyn HostSession>,
    pub(super) token: Option<Clue>,
    /// The application's session as it was when the request came, once it is known.
    came: OnceLock<HostState>,
    id: Option<String>,
}

impl Brought {
    pub(super) fn new(session: Box<dyn HostSession>, token: Option<Clue>) -> Self {
        let came = session.recall().map_or_else(OnceLock::new, OnceLock::from);
        let id = if came.get().is_some() { None } else { session.id() };
        Self { session, token, came, id }
    }

    /// Whether the application finds it by another id than when the request came. Not known where [`came`](Self::came) is.
    pub(super) fn has_new_id(&self) -> bool {
        self.id.is_some() && self.session.id() != self.id
    }

    /// How it was when the request came, as far as anybody asked before the application changed it.
    pub(super) fn came(&self) -> Option<&HostState> {
        self.came.get()
    }

    /// How it is now, if that needs no waiting.
    pub(super) fn known(&self) -> Option<&HostState> {
        self.came().filter(|_| !self.session.is_modified())
    }

    /// How it is now.
    pub(super) async fn state(&self) -> Result<HostState, SourceError> {
        if let Some(known) = self.known() {
            return Ok(known.clone());
        }
        let untouched = !self.session.is_modified();
        let state = self.session.state().await?;
        if untouched {
            // Another part of the request may have been quicker: it read the same.
            let _ = self.came.set(state.clone());
        }
        Ok(state)
    }
}

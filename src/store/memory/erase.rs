//! What ends everything of one subject, or all sessions of everybody.

use super::State;
use crate::{clock::Timestamp, session::Subject};

impl State {
    pub(super) fn delete_subject(&mut self, subject: &Subject) {
        if let Some(account) = self.accounts.remove(subject) {
            for id in account.sessions {
                self.sessions.remove(&id);
            }
            for credential in account.credentials {
                self.credential_ids.remove(&credential.summary.id);
            }
        }
        self.forget_subject(subject);
    }

    pub(super) fn forget_subject(&mut self, subject: &Subject) {
        self.remove_flows(subject, None);
        self.attempts.retain(|key, _| key.subject != *subject);
    }

    pub(super) fn revoke_everyone(&mut self, not_before: Timestamp) -> u64 {
        self.everyone_not_before = self.everyone_not_before.max(Some(not_before));
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.issued_at() >= not_before);
        for account in self.accounts.values_mut() {
            account.sessions.retain(|id| self.sessions.contains_key(id));
        }
        self.accounts.retain(|_, account| !account.is_empty());
        u64::try_from(before.saturating_sub(self.sessions.len())).unwrap_or(u64::MAX)
    }
}

//! What ends everything of one subject, or all sessions of everybody.

use super::State;
use crate::session::Subject;

impl State {
    pub(super) fn delete_subject(&mut self, subject: &Subject) {
        if let Some(account) = self.accounts.remove(subject) {
            for id in account.sessions {
                self.sessions.remove(&id);
            }
            for credential in account.credentials {
                self.forget_credential(&credential);
            }
        }
        self.forget_subject(subject);
        self.tell(subject);
    }

    pub(super) fn forget_subject(&mut self, subject: &Subject) {
        self.remove_flows(subject, None);
        self.attempts.retain(|key, _| key.subject != *subject);
    }

    pub(super) fn revoke_everyone(&mut self) -> u64 {
        self.revocations = self.revocations.saturating_add(1);
        self.everyone_revoked = self.revocations;
        let ended = self.sessions.len();
        self.sessions.clear();
        for account in self.accounts.values_mut() {
            account.sessions.clear();
        }
        self.accounts.retain(|_, account| !account.is_empty());
        self.tell_everybody();
        u64::try_from(ended).unwrap_or(u64::MAX)
    }
}

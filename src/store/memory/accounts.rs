//! Sessions and credentials, by subject.

use std::{cmp::Reverse, collections::HashSet};

use super::{State, full};
use crate::{
    aal::CredentialId,
    clock::Timestamp,
    session::{BindingKey, SessionId, StoredSession, Subject},
    store::{
        Completed, Completion, Consumption, Credential, Revocation, Rotation, StoreError, StoreErrorKind,
        StoredStanding, Written,
    },
};

/// An account that has more live sessions than this gives way when the store is full.
const MANY_SESSIONS: usize = 50;

#[derive(Default)]
pub(super) struct Account {
    /// In the order in which they were created.
    pub(super) sessions: Vec<SessionId>,
    pub(super) credentials: Vec<Credential>,
    /// The number of the revocation that last ended all its sessions; 0 if none did.
    revoked: u64,
}

impl Account {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.credentials.is_empty() && self.revoked == 0
    }
}

impl State {
    /// Whether a session of the subject may live: all of them were not ended since it began.
    fn lets_live(&self, session: &StoredSession) -> bool {
        let own = self.accounts.get(session.subject()).map_or(0, |account| account.revoked);
        session.revocations().is_none_or(|known| known >= own.max(self.everyone_revoked))
    }

    pub(super) fn sweep_accounts(&mut self, now: Timestamp) {
        self.sessions.retain(|_, session| session.expires_at() > now);
        for account in self.accounts.values_mut() {
            account.sessions.retain(|id| self.sessions.contains_key(id));
        }
        self.accounts.retain(|_, account| !account.is_empty());
    }

    pub(super) fn create_session(&mut self, session: &StoredSession, capacity: usize) -> Result<(), StoreError> {
        if self.sessions.contains_key(&session.id()) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        let now = session.authenticated_at();
        self.make_room(now, capacity)?;
        self.insert_session(session, now);
        Ok(())
    }

    /// Makes room for one more session. If none has expired, the oldest gives way of whoever has most, if those are very many: one account alone
    /// keeps nobody out.
    fn make_room(&mut self, now: Timestamp, capacity: usize) -> Result<(), StoreError> {
        self.sweep(now, self.sessions.len() >= capacity);
        if self.sessions.len() < capacity {
            return Ok(());
        }
        let most = self.accounts.iter_mut().max_by_key(|(_, account)| account.sessions.len());
        let Some((subject, most)) = most.filter(|(_, account)| account.sessions.len() > MANY_SESSIONS) else {
            return Err(full());
        };
        let oldest = most.sessions.remove(0);
        self.sessions.remove(&oldest);
        let subject = subject.clone();
        self.tell(&subject);
        Ok(())
    }

    /// Adds the session, and removes expired ones of the subject.
    fn insert_session(&mut self, session: &StoredSession, now: Timestamp) {
        let account = self.accounts.entry(session.subject().clone()).or_default();
        account.sessions.retain(|id| {
            let alive = self.sessions.get(id).is_some_and(|session| session.expires_at() > now);
            if !alive {
                self.sessions.remove(id);
            }
            alive
        });
        account.sessions.push(session.id());
        let revocations = session.revocations().unwrap_or(self.revocations);
        self.sessions.insert(session.id(), session.clone().with_revocations(revocations));
    }

    pub(super) fn session_of(&self, subject: &Subject, binding: BindingKey, now: Timestamp) -> Option<StoredStanding> {
        let newest = self.sessions(subject, now).into_iter().find(|session| session.binding() == binding)?;
        self.standing(subject, newest.id())
    }

    pub(super) fn standing(&self, subject: &Subject, id: SessionId) -> Option<StoredStanding> {
        let session =
            self.sessions.get(&id).filter(|session| session.subject() == subject && self.lets_live(session))?;
        let account = self.accounts.get(subject)?;
        Some(StoredStanding {
            session: session.as_read(),
            credentials: account.credentials.iter().map(|credential| credential.summary).collect(),
        })
    }

    pub(super) fn sessions(&self, subject: &Subject, now: Timestamp) -> Vec<StoredSession> {
        let Some(account) = self.accounts.get(subject) else { return Vec::new() };
        let sessions = account.sessions.iter().rev().filter_map(|id| self.sessions.get(id));
        let alive = sessions.filter(|session| session.expires_at() > now && self.lets_live(session));
        let mut sessions: Vec<_> = alive.map(StoredSession::as_read).collect();
        sessions.sort_by_key(|session| Reverse(session.issued_at()));
        sessions
    }

    pub(super) fn revoke(&mut self, subject: &Subject, which: Revocation, capacity: usize) -> u64 {
        let ends = |session: &StoredSession| match which {
            Revocation::One(one) => session.id() == one,
            Revocation::Others(kept) => session.binding() != kept,
            Revocation::All(_) => true,
        };
        let mut ended = 0_u64;
        if let Some(account) = self.accounts.get_mut(subject) {
            account.sessions.retain(|&id| {
                let ends = self.sessions.get(&id).is_none_or(ends);
                if ends && self.sessions.remove(&id).is_some() {
                    ended = ended.saturating_add(1);
                }
                !ends
            });
        }
        if let Revocation::All(_) = which {
            self.bound_revocations(capacity);
            self.revocations = self.revocations.saturating_add(1);
            self.accounts.entry(subject.clone()).or_default().revoked = self.revocations;
        }
        self.tell(subject);
        ended
    }

    pub(super) fn note_use(&mut self, subject: &Subject, id: SessionId, at: Timestamp) -> Written {
        let session = self.sessions.get_mut(&id).filter(|session| session.subject() == subject);
        Written::from(session.map(|session| session.see(at)).is_some())
    }

    /// A revocation is never refused for lack of room. What is known of the earliest gives way instead: the sessions that it ended are
    /// gone anyway, and it matters only while a session is being created.
    fn bound_revocations(&mut self, capacity: usize) {
        if self.accounts.len() < capacity.saturating_mul(2) {
            return;
        }
        let revoked = self.accounts.iter().map(|(subject, account)| (account.revoked, subject));
        if let Some(subject) = revoked.filter(|(number, _)| *number > 0).min().map(|(_, subject)| subject.clone())
            && let Some(account) = self.accounts.get_mut(&subject)
        {
            account.revoked = 0;
            if account.is_empty() {
                self.accounts.remove(&subject);
            }
        }
    }

    pub(super) fn credentials(&self, subject: &Subject) -> Vec<Credential> {
        let mut credentials = self.accounts.get(subject).map(|account| account.credentials.clone()).unwrap_or_default();
        credentials.sort_by_key(|credential| credential.created_at);
        credentials
    }

    /// Checks everything first, on a copy of the credentials. Then writes everything.
    pub(super) fn carry_out(&mut self, completion: &Completion, capacity: usize) -> Result<Completed, StoreError> {
        let Completion { subject, now, .. } = completion;
        if let Some(flow) = &completion.flow
            && !self.is_open(flow.id, *now)
        {
            return Ok(Completed::FlowGone);
        }
        if let Some(rotation) = &completion.rotate
            && !self.can_rotate(subject, rotation, *now)
        {
            return Ok(Completed::SessionGone);
        }
        if let Some(new) = &completion.begin
            && !self.can_begin(subject, new)
        {
            return Ok(Completed::SessionGone);
        }
        let before = self.accounts.get(subject).map(|account| account.credentials.clone()).unwrap_or_default();
        if let Some(expected) = &completion.expect_credentials {
            let expected: HashSet<_> = expected.iter().copied().collect();
            if expected != before.iter().map(|credential| credential.summary.id).collect() {
                return Ok(Completed::CredentialsChanged);
            }
        }
        let mut after = before.clone();
        if let Some(consumption) = &completion.consume {
            match consume(&mut after, consumption, *now) {
                Completed::Done => {}
                refused => return Ok(refused),
            }
        }
        for &(id, step) in &completion.raise_steps {
            if let Some(credential) = find(&mut after, id) {
                credential.last_step = credential.last_step.max(step);
            }
        }
        if !completion.credentials.iter().all(|change| change.apply(&mut after)) {
            return Ok(Completed::CredentialsChanged);
        }
        self.check_ids(&before, &after, capacity)?;
        self.check_new_sessions(completion)?;
        if completion.begin.is_some() {
            self.make_room(*now, capacity)?;
        }

        for credential in &before {
            self.forget_credential(credential);
        }
        self.credential_ids.extend(after.iter().map(|credential| credential.summary.id));
        self.fingerprints.extend(after.iter().filter_map(|credential| credential.fingerprint));
        let account = self.accounts.entry(subject.clone()).or_default();
        account.credentials = after;
        if let Some(Rotation { old, new }) = &completion.rotate {
            account.sessions.retain(|id| id != old);
            account.sessions.push(new.id());
            let began = self.sessions.remove(old).and_then(|old| old.revocations());
            let new = new.as_read().with_revocations(began.unwrap_or(self.revocations));
            self.sessions.insert(new.id(), new);
        }
        if account.is_empty() {
            self.accounts.remove(subject);
        }
        if let Some(new) = &completion.begin {
            self.insert_session(new, *now);
        }
        if let Some(flow) = &completion.flow {
            self.complete_flow(flow, *now);
        }
        for key in &completion.reset {
            self.attempts.remove(key);
        }
        if completion.rotate.is_some() || !completion.credentials.is_empty() {
            self.tell(subject);
        }
        self.sweep(*now, false);
        Ok(Completed::Done)
    }

    pub(super) fn forget_credential(&mut self, credential: &Credential) {
        self.credential_ids.remove(&credential.summary.id);
        if let Some(fingerprint) = credential.fingerprint {
            self.fingerprints.remove(&fingerprint);
        }
    }

    fn can_rotate(&self, subject: &Subject, rotation: &Rotation, now: Timestamp) -> bool {
        let old = self.sessions.get(&rotation.old);
        rotation.new.subject() == subject
            && old.is_some_and(|old| old.subject() == subject && old.expires_at() > now && self.lets_live(old))
    }

    fn can_begin(&self, subject: &Subject, new: &StoredSession) -> bool {
        new.subject() == subject && self.lets_live(new)
    }

    /// Whether the ids of the new sessions are free.
    fn check_new_sessions(&self, completion: &Completion) -> Result<(), StoreError> {
        let rotate = completion.rotate.as_ref();
        let replaced = rotate.map(|rotation| rotation.old);
        let successor = rotate.map(|rotation| rotation.new.id());
        let begun = completion.begin.as_ref().map(StoredSession::id);
        let taken = |id: SessionId| self.sessions.contains_key(&id) && Some(id) != replaced;
        if successor.is_some_and(taken) || begun.is_some_and(|id| taken(id) || successor == begun) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        Ok(())
    }

    /// Whether the ids of other subjects and the capacity allow this change of a subject's credentials.
    fn check_ids(&self, before: &[Credential], after: &[Credential], capacity: usize) -> Result<(), StoreError> {
        let own: HashSet<CredentialId> = before.iter().map(|credential| credential.summary.id).collect();
        let mut seen = HashSet::with_capacity(after.len());
        let own_prints: HashSet<_> = before.iter().filter_map(|credential| credential.fingerprint).collect();
        let mut seen_prints = HashSet::new();
        for Credential { summary, fingerprint, .. } in after {
            let foreign = self.credential_ids.contains(&summary.id) && !own.contains(&summary.id);
            let taken = fingerprint.is_some_and(|print| {
                self.fingerprints.contains(&print) && !own_prints.contains(&print) || !seen_prints.insert(print)
            });
            if foreign || taken || !seen.insert(summary.id) {
                return Err(StoreError::new(StoreErrorKind::Conflict));
            }
        }
        let total = self.credential_ids.len().saturating_sub(own.len()).saturating_add(seen.len());
        if seen.len() > own.len() && total > capacity { Err(full()) } else { Ok(()) }
    }
}

fn find(credentials: &mut [Credential], id: CredentialId) -> Option<&mut Credential> {
    credentials.iter_mut().find(|credential| credential.summary.id == id)
}

fn consume(credentials: &mut [Credential], consumption: &Consumption, now: Timestamp) -> Completed {
    let Some(credential) = find(credentials, consumption.credential()) else { return Completed::Unknown };
    let completed = match consumption {
        Consumption::Step { step, .. } if *step <= credential.last_step => Completed::Used,
        Consumption::Step { step, .. } => {
            credential.last_step = *step;
            Completed::Done
        }
        Consumption::Secret { hash, .. } => match credential.secrets.iter_mut().find(|secret| secret.hash == *hash) {
            None => Completed::Unknown,
            Some(secret) if secret.used_at.is_some() => Completed::Used,
            Some(secret) => {
                secret.used_at = Some(now);
                Completed::Done
            }
        },
        Consumption::Data { expected, .. } if *expected != credential.data => Completed::Used,
        Consumption::Data { data, .. } => {
            credential.data.clone_from(data);
            Completed::Done
        }
        Consumption::Present { .. } => Completed::Done,
    };
    if completed == Completed::Done {
        credential.last_used_at = Some(now);
    }
    completed
}

//! Devices on which their users do not want to be asked: how they are kept, recognised and ended.
//!
//! A device is a credential of a reserved method and of no level, so that it goes with everything that the subject has. Nothing is proven with it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use constant_time_eq::constant_time_eq;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Engine;
use crate::{
    aal::{Aal, BoundFactors, CredentialId, DeviceNote, Method},
    audit::{AuditEventKind, Origin},
    clock::Timestamp,
    error::StoreError,
    session::{BindingKey, SessionId, StoredSession, Subject},
    standing::{CredentialSummary, Enrolled, Standing},
    store::{Completed, Completion, Consumption, Credential, CredentialChange, CredentialName},
};

/// How long the replaced secret of a device is still taken: two tabs may send it at once, and an answer may be lost.
const TAKEN_FOR: Duration = Duration::from_secs(60);

/// How many devices a subject has at most. The oldest give way.
const MOST: usize = 20;

/// The event of a device that is trusted no more.
pub(crate) const FORGOTTEN: fn(CredentialId) -> AuditEventKind = |device| AuditEventKind::DeviceForgotten { device };

/// What a browser has of a device: its id, and a secret that changes with each use.
pub(crate) struct DeviceCookie {
    id: CredentialId,
    secret: Zeroizing<[u8; 32]>,
}

impl DeviceCookie {
    /// A new secret; `None` if the operating system gives none.
    pub(crate) fn random(id: CredentialId) -> Option<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).ok()?;
        Some(Self { id, secret })
    }

    /// Reads what [`value`](Self::value) writes.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (id, secret) = std::str::from_utf8(value).ok()?.split_once('.')?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
        let secret = Zeroizing::new(secret.as_slice().try_into().ok()?);
        Some(Self { id: Uuid::try_parse(id).ok()?.into(), secret })
    }

    /// The cookie's value.
    pub(crate) fn value(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        Zeroizing::new(format!("{}.{}", self.id, secret.as_str()))
    }

    pub(crate) const fn id(&self) -> CredentialId {
        self.id
    }

    /// What is stored of the secret. A row that is copied to another user or device fits no cookie.
    fn hash(&self, subject: &Subject) -> Hash {
        let mut digest = Sha256::new_with_prefix("tower-step-up trusted device v1");
        digest.update(Uuid::from(self.id).as_bytes());
        digest.update(self.secret.as_slice());
        digest.update(subject.as_str());
        Hash(URL_SAFE_NO_PAD.encode(digest.finalize()))
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Hash(String);

impl Hash {
    fn is(&self, other: &Self) -> bool {
        constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

/// The data of the credential.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    secret: Hash,
    /// The secret before that, and when it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<(Hash, Timestamp)>,
    /// The second factors that the subject had.
    factors: BoundFactors,
    until: Timestamp,
    /// After how many revocations it was trusted: it ends with all sessions of the subject, as a session does.
    revocations: u64,
}

/// A stored device.
pub(crate) struct Device {
    id: CredentialId,
    created_at: Timestamp,
    data: Vec<u8>,
    record: Record,
}

/// The cookie, compared with its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// It has the present secret.
    Current,
    /// It has the secret that was replaced at this time, a moment ago.
    Replaced(Timestamp),
    /// It has none of them. Only who had the cookie knows the id: it is a copy.
    Replayed,
}

impl Device {
    /// The subject's device of this id.
    pub(crate) fn find(credentials: &[Credential], id: CredentialId) -> Option<Self> {
        let is_it = |one: &&Credential| one.summary.id == id && one.summary.method.is_trusted_device();
        credentials.iter().find(is_it).and_then(Self::of)
    }

    fn of(credential: &Credential) -> Option<Self> {
        let record = serde_json::from_slice(&credential.data).ok()?;
        let (id, created_at) = (credential.summary.id, credential.created_at);
        Some(Self { id, created_at, data: credential.data.clone(), record })
    }

    pub(crate) const fn id(&self) -> CredentialId {
        self.id
    }

    /// Compares the secret.
    pub(crate) fn presented(&self, cookie: &DeviceCookie, subject: &Subject, now: Timestamp) -> Presented {
        let hash = cookie.hash(subject);
        match &self.record.replaced {
            _ if self.record.secret.is(&hash) => Presented::Current,
            Some((replaced, at)) if replaced.is(&hash) && now.since(*at) < TAKEN_FOR => Presented::Replaced(*at),
            _ => Presented::Replayed,
        }
    }

    /// What using it changes. With a new secret, only it is good from then on.
    pub(crate) fn used(&self, subject: &Subject, new: Option<&DeviceCookie>, now: Timestamp) -> Option<Consumption> {
        let mut record = self.record.clone();
        if let Some(new) = new {
            let replaced = std::mem::replace(&mut record.secret, new.hash(subject));
            record.replaced = Some((replaced, now));
        }
        let data = serde_json::to_vec(&record).ok()?;
        Some(Consumption::Data { credential: self.id, expected: self.data.clone(), data })
    }

    /// A session that begins only if not all sessions of the subject were ended since the device was trusted. It has no proof and is over
    /// already, so it is worth nothing.
    pub(crate) fn witness(&self, subject: &Subject, now: Timestamp) -> StoredSession {
        let (id, binding) = (SessionId::random(), BindingKey::random());
        let witness = StoredSession::from_parts(id, subject.clone(), binding, Vec::new(), now, now);
        witness.with_revocations(self.record.revocations)
    }
}

/// The ids of the devices among these credentials, trusted or not.
fn ids(credentials: &[Credential]) -> impl Iterator<Item = CredentialId> + '_ {
    credentials.iter().map(|one| one.summary).filter(|one| one.method.is_trusted_device()).map(|one| one.id)
}

/// A device as its user sees it.
pub(crate) struct ShownDevice {
    pub(crate) id: CredentialId,
    pub(crate) name: String,
    pub(crate) since: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) until: Timestamp,
}

impl Engine {
    /// A new device of a subject with this standing, what its browser keeps of it, and until when. `None` if no device is trusted, or the store
    /// cannot say when all sessions are ended.
    pub(crate) fn new_device(
        &self,
        subject: &Subject,
        standing: &Standing,
        name: Option<&str>,
        revocations: Option<u64>,
        now: Timestamp,
    ) -> Option<(Credential, DeviceCookie, Timestamp)> {
        let (until, revocations) = (now + self.limits.trusted_devices?, revocations?);
        let id = CredentialId::random();
        let cookie = DeviceCookie::random(id)?;
        let record = Record {
            secret: cookie.hash(subject),
            replaced: None,
            factors: standing.bound_factors(),
            until,
            revocations,
        };
        let summary = CredentialSummary { id, method: Method::TRUSTED_DEVICE, aal: Aal::Aal0 };
        let mut credential = Credential::new(summary, now).with_data(serde_json::to_vec(&record).ok()?);
        credential.name = name.and_then(|name| CredentialName::new(shortened(name)).ok());
        Some((credential, cookie, until))
    }

    /// Until when the device is trusted: not longer than what is configured by now.
    fn trusted_until(&self, device: &Device) -> Option<Timestamp> {
        let lifespan = self.limits.trusted_devices?;
        Some(device.record.until.min(device.created_at + lifespan))
    }

    /// What a session on this device notes; `None` if it is not trusted any more.
    pub(crate) fn note_of(&self, device: &Device, standing: &Standing, now: Timestamp) -> Option<DeviceNote> {
        let until = self.trusted_until(device)?;
        let factors = device.record.factors.clone();
        let counts = now < until && standing.enrolled() == Enrolled::Yes && factors == standing.bound_factors();
        counts.then_some(DeviceNote { device: device.id, until, factors })
    }

    /// The devices that are trusted now, as their user sees them, newest first.
    pub(crate) fn trusted_devices(
        &self,
        credentials: &[Credential],
        standing: &Standing,
        now: Timestamp,
    ) -> Vec<ShownDevice> {
        let shown = |credential: &Credential| {
            let note =
                self.note_of(&Device::find(std::slice::from_ref(credential), credential.summary.id)?, standing, now)?;
            Some(ShownDevice {
                id: note.device,
                name: credential.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
                since: credential.created_at,
                last_used_at: credential.last_used_at,
                until: note.until,
            })
        };
        credentials.iter().rev().filter_map(shown).collect()
    }

    /// Ends what gives way to a new device: devices that are trusted no more, the one that this browser had, and the oldest of too many. If it
    /// fails, they stay until their time is over.
    pub(crate) async fn make_room(
        &self,
        subject: &Subject,
        credentials: &[Credential],
        standing: &Standing,
        replaced: Option<CredentialId>,
        origin: &Origin,
        now: Timestamp,
    ) {
        let alive = self.trusted_devices(credentials, standing, now);
        let kept: Vec<_> = alive.iter().map(|device| device.id).filter(|id| Some(*id) != replaced).collect();
        let kept = kept.get(..MOST.saturating_sub(1)).unwrap_or(&kept);
        let gone = ids(credentials).filter(|id| !kept.contains(id)).collect();
        if let Err(error) = self.end_devices(subject, gone, FORGOTTEN, origin).await {
            tracing::warn!(target: "tower_step_up::sessions", %error, "a trusted device could not be removed");
        }
    }

    /// Ends these devices.
    pub(crate) async fn end_devices(
        &self,
        subject: &Subject,
        devices: Vec<CredentialId>,
        event: fn(CredentialId) -> AuditEventKind,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        if devices.is_empty() {
            return Ok(());
        }
        let mut completion = Completion::new(subject.clone(), self.now());
        completion.credentials = devices.iter().copied().map(CredentialChange::Remove).collect();
        let at = completion.now;
        // Nothing is expected, so nothing is refused.
        if self.write(completion).await? == Completed::Done {
            for device in devices {
                self.audit.record_for_subject(at, origin, subject, event(device));
            }
        }
        Ok(())
    }

    /// Ends this device of the subject, or all, and returns which.
    pub(crate) async fn forget_devices(
        &self,
        subject: &Subject,
        only: Option<CredentialId>,
        origin: &Origin,
    ) -> Result<Vec<CredentialId>, StoreError> {
        let known = self.stores.credentials(subject).await?;
        let gone: Vec<_> = ids(&known).filter(|id| only.is_none_or(|only| only == *id)).collect();
        self.end_devices(subject, gone.clone(), FORGOTTEN, origin).await?;
        Ok(gone)
    }

    /// The same after what has ended their trust already, so that nobody sees them any more.
    pub(super) async fn sweep_devices(&self, subject: &Subject, origin: &Origin) {
        if self.limits.trusted_devices.is_some()
            && let Err(error) = self.forget_devices(subject, None, origin).await
        {
            tracing::warn!(target: "tower_step_up::sessions", %error, "devices that are not trusted any more could not be removed");
        }
    }
}

/// As much of it as fits into a name.
fn shortened(name: &str) -> &str {
    let fits = |end: &usize| *end <= CredentialName::MAX_BYTES;
    let ends = name.char_indices().map(|(at, character)| at.saturating_add(character.len_utf8()));
    name.get(..ends.take_while(fits).last().unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn stored(cookie: &DeviceCookie, subject: &Subject) -> Credential {
        let summary = CredentialSummary { id: cookie.id(), method: Method::TRUSTED_DEVICE, aal: Aal::Aal0 };
        let record = Record {
            secret: cookie.hash(subject),
            replaced: None,
            factors: BoundFactors::of([CredentialId::random()].into_iter()),
            until: at(5000),
            revocations: 3,
        };
        Credential::new(summary, at(1000)).with_data(serde_json::to_vec(&record).unwrap())
    }

    #[test]
    fn a_cookie_is_read_as_it_was_written() {
        let cookie = DeviceCookie::random(CredentialId::random()).unwrap();
        let read = DeviceCookie::read(cookie.value().as_bytes()).unwrap();
        assert_eq!((read.id(), read.value()), (cookie.id(), cookie.value()));
        let id = cookie.id();
        for bad in
            ["", ".", "x", &id.to_string(), &format!("{id}."), &format!("{id}.AAAA"), &format!("{}x", *cookie.value())]
        {
            assert!(DeviceCookie::read(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(DeviceCookie::read(b"\xff.\xff").is_none());
    }

    #[test]
    fn a_replaced_secret_is_taken_for_a_minute_and_no_other() {
        let kim = Subject::new("kim").unwrap();
        let id = CredentialId::random();
        let [first, second, third] = [(); 3].map(|()| DeviceCookie::random(id).unwrap());
        let mut credential = stored(&first, &kim);
        let read = |credential: &Credential| Device::find(std::slice::from_ref(credential), id).unwrap();
        assert_eq!(read(&credential).presented(&first, &kim, at(1100)), Presented::Current);
        assert_eq!(read(&credential).presented(&second, &kim, at(1100)), Presented::Replayed);
        let rotate = |credential: &mut Credential, new, now| {
            let Some(Consumption::Data { expected, data, .. }) = read(credential).used(&kim, new, now) else {
                panic!("no data");
            };
            assert_eq!(expected, credential.data);
            credential.data = data;
        };
        rotate(&mut credential, Some(&second), at(1200));
        let device = read(&credential);
        assert_eq!(device.presented(&second, &kim, at(1200)), Presented::Current);
        assert_eq!(device.presented(&first, &kim, at(1259)), Presented::Replaced(at(1200)));
        assert_eq!(device.presented(&first, &kim, at(1260)), Presented::Replayed);
        rotate(&mut credential, None, at(1259));
        let device = read(&credential);
        assert_eq!(device.presented(&first, &kim, at(1260)), Presented::Replayed, "its time is not prolonged");
        rotate(&mut credential, Some(&third), at(1261));
        assert_eq!(read(&credential).presented(&first, &kim, at(1261)), Presented::Replayed);
    }

    #[test]
    fn a_copied_record_fits_no_cookie() {
        let (kim, eve) = (Subject::new("kim").unwrap(), Subject::new("eve").unwrap());
        let cookie = DeviceCookie::random(CredentialId::random()).unwrap();
        let device = Device::of(&stored(&cookie, &kim)).unwrap();
        assert_eq!(device.presented(&cookie, &kim, at(1100)), Presented::Current);
        assert_eq!(device.presented(&cookie, &eve, at(1100)), Presented::Replayed, "of another user");
        let other = DeviceCookie { id: CredentialId::random(), secret: cookie.secret.clone() };
        assert_eq!(device.presented(&other, &kim, at(1100)), Presented::Replayed, "of another device");
        let mut totp = stored(&cookie, &kim);
        totp.summary.method = Method::Totp;
        assert!(Device::find(&[totp], cookie.id()).is_none(), "a factor is no device");
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(shortened("Firefox"), "Firefox");
        assert_eq!(shortened(&"\u{fc}".repeat(200)), "\u{fc}".repeat(127));
    }
}

//! What an application has before it takes up this crate: a store of its sessions, and users.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use axum_login::{AuthUser, AuthnBackend};
use tokio::task::yield_now;
use tower_sessions_0_14::{
    MemoryStore, SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

/// A store of sessions in memory that counts, and fails on command.
#[derive(Clone, Debug, Default)]
pub struct HostStore {
    inner: MemoryStore,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    loads: AtomicUsize,
    saves: AtomicUsize,
    reads_fail: AtomicBool,
    writes_fail: AtomicBool,
    saves_wait: AtomicBool,
}

impl HostStore {
    pub fn reads_fail(&self, fail: bool) {
        self.state.reads_fail.store(fail, Ordering::SeqCst);
    }

    pub fn writes_fail(&self, fail: bool) {
        self.state.writes_fail.store(fail, Ordering::SeqCst);
    }

    /// Each save lets others go first.
    pub fn saves_wait(&self) {
        self.state.saves_wait.store(true, Ordering::SeqCst);
    }

    /// How many records were read since this was last asked.
    pub fn take_loads(&self) -> usize {
        self.state.loads.swap(0, Ordering::SeqCst)
    }

    /// How many records were written since this was last asked.
    pub fn take_saves(&self) -> usize {
        self.state.saves.swap(0, Ordering::SeqCst)
    }

    /// The record that this cookie leads to.
    pub async fn record(&self, cookie: &str) -> Option<Record> {
        self.inner.load(&cookie.parse().unwrap()).await.unwrap()
    }

    /// Writes a record as a request does that has read it long ago.
    pub async fn bring_back(&self, record: &Record) {
        self.inner.save(record).await.unwrap();
    }

    fn written(&self) -> Result<()> {
        self.state.saves.fetch_add(1, Ordering::SeqCst);
        if self.state.writes_fail.load(Ordering::SeqCst) { Err(Error::Backend("down".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl SessionStore for HostStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.written()?;
        self.inner.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        if self.state.saves_wait.load(Ordering::SeqCst) {
            yield_now().await;
        }
        self.written()?;
        self.inner.save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.state.loads.fetch_add(1, Ordering::SeqCst);
        if self.state.reads_fail.load(Ordering::SeqCst) {
            return Err(Error::Backend("down".to_owned()));
        }
        self.inner.load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        if self.state.writes_fail.load(Ordering::SeqCst) {
            return Err(Error::Backend("down".to_owned()));
        }
        self.inner.delete(id).await
    }
}

/// The same for the newer version. The records are alike.
mod newer {
    use tower_sessions_0_15::{
        SessionStore,
        session::{Id, Record},
        session_store::{Error, Result},
    };

    use super::{HostStore, async_trait};

    fn older(record: &Record) -> super::Record {
        super::Record { id: super::Id(record.id.0), data: record.data.clone(), expiry_date: record.expiry_date }
    }

    fn newer(record: super::Record) -> Record {
        Record { id: Id(record.id.0), data: record.data, expiry_date: record.expiry_date }
    }

    fn failed(error: &super::Error) -> Error {
        Error::Backend(error.to_string())
    }

    #[async_trait]
    impl SessionStore for HostStore {
        async fn create(&self, record: &mut Record) -> Result<()> {
            let mut created = older(record);
            super::SessionStore::create(self, &mut created).await.map_err(|error| failed(&error))?;
            *record = newer(created);
            Ok(())
        }

        async fn save(&self, record: &Record) -> Result<()> {
            super::SessionStore::save(self, &older(record)).await.map_err(|error| failed(&error))
        }

        async fn load(&self, id: &Id) -> Result<Option<Record>> {
            let loaded = super::SessionStore::load(self, &super::Id(id.0)).await.map_err(|error| failed(&error))?;
            Ok(loaded.map(newer))
        }

        async fn delete(&self, id: &Id) -> Result<()> {
            super::SessionStore::delete(self, &super::Id(id.0)).await.map_err(|error| failed(&error))
        }
    }
}

/// A user of the application, whose password is the name and `-password` until it is changed.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub password: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

/// The users of the application. Everybody is one, until deleted.
#[derive(Clone, Debug, Default)]
pub struct Backend(Arc<Mutex<HashMap<String, Option<String>>>>);

impl Backend {
    pub fn user(&self, name: &str) -> Option<User> {
        let changed = self.0.lock().unwrap().get(name).cloned();
        let password = changed.unwrap_or_else(|| Some(format!("{name}-password")))?;
        Some(User { name: name.to_owned(), password })
    }

    pub fn set_password(&self, name: &str, password: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), Some(password.to_owned()));
    }

    pub fn delete(&self, name: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), None);
    }
}

#[derive(Debug)]
pub struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = (String, String);
    type Error = Never;

    async fn authenticate(&self, (name, password): (String, String)) -> std::result::Result<Option<User>, Never> {
        Ok(self.user(&name).filter(|user| user.password == password))
    }

    async fn get_user(&self, name: &String) -> std::result::Result<Option<User>, Never> {
        Ok(self.user(name))
    }
}

//! The application's sessions: rows by a random id in a cookie, loaded when a request comes and saved when its answer goes out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_step_up::{
    Subject,
    source::{Head, HostLook, HostSession, HostSessions, HostState, HostUser, SourceFuture},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub user: Option<String>,
    pub password: String,
    pub note: Option<String>,
    pub values: BTreeMap<String, u32>,
}

/// Where the application keeps them.
#[derive(Clone, Default)]
pub struct Records(Arc<Kept>);

#[derive(Default)]
struct Kept {
    rows: Mutex<HashMap<String, Record>>,
    next: AtomicUsize,
    writes: AtomicUsize,
    down: AtomicBool,
}

impl Records {
    pub fn get(&self, id: &str) -> Option<Record> {
        self.0.rows.lock().unwrap().get(id).cloned()
    }

    pub fn put(&self, id: &str, record: Record) {
        self.0.rows.lock().unwrap().insert(id.to_owned(), record);
    }

    pub fn take_writes(&self) -> usize {
        self.0.writes.swap(0, Ordering::SeqCst)
    }

    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    fn write(&self, change: impl FnOnce(&mut HashMap<String, Record>)) -> Result<(), &'static str> {
        if self.0.down.load(Ordering::SeqCst) {
            return Err("the application's sessions are away");
        }
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        change(&mut self.0.rows.lock().unwrap());
        Ok(())
    }

    fn new_id(&self) -> String {
        format!("id-{}", self.0.next.fetch_add(1, Ordering::SeqCst))
    }
}

/// A session in one request.
#[derive(Clone)]
pub struct Session {
    records: Records,
    now: Arc<Mutex<Now>>,
    came: Option<Record>,
    unreadable: bool,
}

struct Now {
    id: Option<String>,
    record: Record,
    modified: bool,
}

impl Session {
    pub fn user(&self) -> Option<String> {
        self.now.lock().unwrap().record.user.clone()
    }

    pub fn edit(&self, change: impl FnOnce(&mut Record)) {
        let mut now = self.now.lock().unwrap();
        change(&mut now.record);
        now.modified = true;
    }

    /// As a login should, so that nobody can plant an id.
    pub fn cycle_id(&self) -> Result<(), &'static str> {
        let mut now = self.now.lock().unwrap();
        now.modified = true;
        match now.id.take() {
            Some(old) => self.records.write(|rows| drop(rows.remove(&old))),
            None => Ok(()),
        }
    }

    pub fn flush(&self) -> Result<(), &'static str> {
        self.edit(|record| *record = Record::default());
        match self.now.lock().unwrap().id.take() {
            Some(old) => self.records.write(|rows| drop(rows.remove(&old))),
            None => Ok(()),
        }
    }
}

fn state(record: &Record, exists: bool) -> HostState {
    if !exists {
        return HostState::none();
    }
    let user = record
        .user
        .as_deref()
        .map(|user| HostUser::new(Subject::new(user).unwrap()).with_stamp(record.password.as_bytes()));
    HostState::new(user, record.note.clone())
}

impl HostSession for Session {
    fn recall(&self) -> Option<HostState> {
        let came = self.came.as_ref()?;
        Some(state(came, *came != Record::default()))
    }

    fn state(&self) -> SourceFuture<'_, HostState> {
        Box::pin(async {
            if self.unreadable {
                return Err("the application's session cannot be read".into());
            }
            let now = self.now.lock().unwrap();
            Ok(state(&now.record, now.id.is_some() || now.record != Record::default()))
        })
    }

    fn id(&self) -> Option<String> {
        self.now.lock().unwrap().id.clone()
    }

    fn is_modified(&self) -> bool {
        self.now.lock().unwrap().modified
    }

    fn keep_note(&self, note: String) -> SourceFuture<'_, ()> {
        Box::pin(async move {
            self.edit(|record| record.note = Some(note));
            Ok(())
        })
    }

    fn end(&self) -> SourceFuture<'_, ()> {
        Box::pin(async { Ok(self.flush()?) })
    }
}

/// What this crate sees of them.
pub struct Hosts;

impl HostSessions for Hosts {
    fn look(&self, head: Head<'_>) -> HostLook {
        match head.extensions.get::<Session>() {
            Some(session) => HostLook::session(session.clone()),
            None => HostLook::Miswired("put `.layer(sessions)` after `.layer(step_up.layer())`"),
        }
    }
}

/// The application's layer.
#[derive(Clone)]
pub struct Layer {
    pub records: Records,
    /// Whether it tells at once who is signed in, as axum-login does, or only when it is asked.
    pub tells: bool,
}

pub const COOKIE: &str = "sid";

pub async fn layer(State(Layer { records, tells }): State<Layer>, mut request: Request, next: Next) -> Response {
    let id = cookie(request.headers()).filter(|id| records.get(id).is_some());
    let record = id.as_deref().and_then(|id| records.get(id)).unwrap_or_default();
    let came = (tells || id.is_none()).then(|| record.clone());
    let unreadable = request.headers().contains_key("x-unreadable");
    let now = Arc::new(Mutex::new(Now { id: id.clone(), record, modified: false }));
    let session = Session { records: records.clone(), now, came: came.filter(|_| !unreadable), unreadable };
    request.extensions_mut().insert(session.clone());
    let mut response = next.run(request).await;
    let now = session.now.lock().unwrap();
    let removal = format!("{COOKIE}=; Max-Age=0");
    if now.id.is_none() && now.record == Record::default() {
        if id.is_some() {
            response.headers_mut().append(header::SET_COOKIE, removal.parse().unwrap());
        }
    } else if now.modified && !response.status().is_server_error() {
        let id = now.id.clone().unwrap_or_else(|| records.new_id());
        let saved = records.write(|rows| drop(rows.insert(id.clone(), now.record.clone())));
        if saved.is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        response.headers_mut().append(header::SET_COOKIE, format!("{COOKIE}={id}").parse().unwrap());
    }
    response
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|value| value.to_str().unwrap().split("; "));
    pairs.filter_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('=')).map(str::to_owned).next()
}

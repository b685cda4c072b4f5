//! Flows and counters of attempts in Redis.
//!
//! Each operation that could race is one script, which Redis runs atomically. The scripts are beside this file. Times come from
//! the caller; the clock of Redis only decides when a key expires.

use std::{fmt, time::Duration};

use redis::{
    Client, FromRedisValue, RedisError, Script, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use uuid::Uuid;

use super::{
    Attempt, AttemptKey, AttemptPolicy, Counted, EXPIRED_FLOWS_KEPT, FlowId, FlowStore, StoreError, StoreErrorKind,
    StoreFuture, StoredFlow, Written,
};
use crate::{
    aal::Method,
    clock::Timestamp,
    session::{BindingKey, Subject},
};

/// How long to wait for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest time for which Redis is asked to keep a key.
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// Keeps flows and counters of attempts in Redis or Valkey (feature `redis`), beside a [`SubjectStore`](super::SubjectStore) that keeps
/// the rest: [`StepUpBuilder::flow_store`](crate::StepUpBuilder::flow_store).
///
/// Sessions, credentials and used codes are not here, so nothing opens if Redis forgets something: users start an open flow
/// again, and locked users may try again.
///
/// Every key expires: a flow's a day after its own end, a counter's 30 days after the last attempt. The exception is a counter
/// that has reached the hard stop: it stays until the application or another factor unlocks it.
///
/// # Redis
///
/// Use a Redis that evicts nothing (`maxmemory-policy noeviction`): evicted counters forget failures. The store logs a warning if
/// it finds another policy. Set `appendonly yes` if counters must survive a restart of Redis. Use one server with any number of
/// replicas. Redis Cluster is not supported, because a flow and the list of its owner's flows would be on different nodes. A
/// failover may lose the last moments.
///
/// `rediss://…` encrypts the connection and needs the feature `tls`.
///
/// ```no_run
/// use tower_step_up::{SigningKey, StepUp, factor::Totp, store::{MemoryStore, RedisStore}};
///
/// # async fn build() -> Result<(), Box<dyn std::error::Error>> {
/// let step_up = StepUp::builder("https://bank.example")
///     .signing_key(SigningKey::generate("2026-11")?)
///     .store(MemoryStore::default()) // a durable one
///     .flow_store(RedisStore::connect("redis://127.0.0.1/").await?.key_prefix("bank:"))
///     .factor(Totp::new("Example Bank"))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    prefix: String,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects to the server at this URL: `redis://…`, or `rediss://…` with TLS.
    ///
    /// All calls share one connection, which reconnects by itself. Calls fail while it is lost.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the URL is not a Redis URL, or the server cannot be reached or does not answer within two seconds.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        #[cfg(feature = "tls")]
        choose_cryptography();
        // The error may repeat parts of the address.
        let client = Client::open(url).map_err(|_| unavailable("the URL is not one of Redis"))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_max_delay(Duration::from_secs(1))
            .set_number_of_retries(3);
        let connection = ConnectionManager::new_with_config(client, config).await.map_err(failed)?;
        let store = Self::from_connection_manager(connection);
        store.warn_of_eviction().await;
        Ok(store)
    }

    /// Uses a connection that the application has made and configured.
    pub fn from_connection_manager(connection: ConnectionManager) -> Self {
        Self { connection, prefix: "step_up:".to_owned() }
    }

    /// The prefix of all keys: `step_up:` by default. Applications that share a server need one each.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The list of the subject's flows. The subject comes last in the key, so that no text in it can make two keys equal.
    fn flows_of(&self, subject: &Subject) -> String {
        format!("{}flows:of:{subject}", self.prefix)
    }

    /// The list that the flows of one session are counted by.
    fn flows_in(&self, binding: Option<BindingKey>) -> String {
        match binding {
            Some(binding) => format!("{}{}", self.session_prefix(), Uuid::from(binding)),
            None => format!("{}flows:nobody", self.prefix),
        }
    }

    fn session_prefix(&self) -> String {
        format!("{}flows:in:", self.prefix)
    }

    fn flow_prefix(&self) -> String {
        format!("{}flow:", self.prefix)
    }

    fn flow_key(&self, id: FlowId) -> String {
        format!("{}flow:{id}", self.prefix)
    }

    fn counter(&self, key: &AttemptKey) -> String {
        format!("{}attempts:{}:{}", self.prefix, key.method, key.subject)
    }

    async fn run<T: FromRedisValue>(&self, script: &mut ScriptInvocation<'_>) -> Result<T, StoreError> {
        script.invoke_async(&mut self.connection.clone()).await.map_err(failed)
    }

    /// Managed servers may not tell. Then nothing is logged.
    async fn warn_of_eviction(&self) {
        let memory: Result<String, _> =
            redis::cmd("INFO").arg("memory").query_async(&mut self.connection.clone()).await;
        let policy = memory.ok().and_then(|memory| {
            memory
                .lines()
                .find_map(|line| line.strip_prefix("maxmemory_policy:").map(|policy| policy.trim().to_owned()))
        });
        if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
            tracing::warn!(policy, "this Redis may evict counters of attempts: set maxmemory-policy to noeviction");
        }
    }

    #[allow(clippy::arithmetic_side_effects, reason = "a Timestamp saturates")]
    async fn created(&self, flow: &StoredFlow, keep: u32, now: Timestamp) -> Result<(), StoreError> {
        let script = Script::new(include_str!("create_flow.lua"));
        let mut call = script.prepare_invoke();
        call.key(self.flow_key(flow.id))
            .key(self.flows_in(flow.binding))
            .arg(self.flow_prefix())
            .arg(flow.id.to_string())
            .arg(flow.expires_at.unix_milliseconds())
            .arg(flow.version)
            .arg(u8::from(flow.completed))
            .arg(&flow.body)
            .arg(milliseconds((flow.expires_at + EXPIRED_FLOWS_KEPT).since(now)))
            .arg(keep)
            .arg(flow.binding.map(|binding| Uuid::from(binding).to_string()).unwrap_or_default());
        if let Some(subject) = &flow.subject {
            call.key(self.flows_of(subject)).arg(subject.as_str());
        }
        if self.run(&mut call).await? { Ok(()) } else { Err(StoreError::new(StoreErrorKind::Conflict)) }
    }

    async fn read(&self, id: FlowId) -> Result<Option<StoredFlow>, StoreError> {
        let fields = redis::cmd("HMGET")
            .arg(self.flow_key(id))
            .arg(&["subject", "binding", "expires_at", "version", "completed", "in_use", "body"])
            .query_async(&mut self.connection.clone())
            .await
            .map_err(failed)?;
        stored(id, fields)
    }

    /// The delays are those of [`AttemptPolicy::delay_after`] and are computed only there. The script gets the locks that could
    /// follow, one for each failure from the last free one until they no longer change, and picks the right one.
    async fn counted(&self, key: &AttemptKey, policy: &AttemptPolicy, now: Timestamp) -> Result<Attempt, StoreError> {
        const DOUBLINGS: u32 = 31;
        let script = Script::new(include_str!("begin_attempt.lua"));
        let mut call = script.prepare_invoke();
        call.key(self.counter(key))
            .arg(now.unix_milliseconds())
            .arg(policy.free)
            .arg(policy.hard_stop)
            .arg(milliseconds(AttemptPolicy::REMEMBERED_FOR))
            .arg(Uuid::new_v4().to_string());
        for beyond in 0..=DOUBLINGS {
            let lock = policy.locked_until(policy.free.saturating_add(beyond), now);
            call.arg(lock.map(|until| until.unix_milliseconds().to_string()).unwrap_or_default());
        }
        let answer: Vec<String> = self.run(&mut call).await?;
        match &answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["counted", generation, lock] => {
                let generation = generation.parse().map_err(corrupt)?;
                let lock = (!lock.is_empty()).then(|| instant(lock)).transpose()?;
                Ok(Attempt::Counted(Counted::new(generation, lock)))
            }
            ["locked", until] => Ok(Attempt::LockedUntil(instant(until)?)),
            // An unknown answer permits nothing.
            _ => Ok(Attempt::Stopped),
        }
    }

    async fn given_back(
        &self,
        key: &AttemptKey,
        attempt: &Counted,
        policy: &AttemptPolicy,
    ) -> Result<bool, StoreError> {
        let script = Script::new(include_str!("give_back_attempt.lua"));
        let lock = attempt.locked_until.map(|until| until.unix_milliseconds().to_string());
        let mut call = script.key(self.counter(key));
        call.arg(attempt.generation.to_string())
            .arg(lock.unwrap_or_default())
            .arg(policy.hard_stop)
            .arg(milliseconds(AttemptPolicy::REMEMBERED_FOR));
        self.run(&mut call).await
    }
}

/// `subject, binding, expires_at, version, completed, in_use, body` of a flow, as far as they exist.
type Fields = (Option<String>, Option<String>, Option<i64>, Option<u64>, Option<u8>, Option<u8>, Option<String>);

fn stored(id: FlowId, fields: Fields) -> Result<Option<StoredFlow>, StoreError> {
    let (subject, binding, expires_at, version, completed, in_use, body) = fields;
    let Some(body) = body else { return Ok(None) };
    let corrupt = || corrupt("a flow's fields");
    Ok(Some(StoredFlow {
        id,
        subject: subject.map(Subject::new).transpose().map_err(|_| corrupt())?,
        binding: binding.map(|text| text.parse()).transpose().map_err(|_| corrupt())?.map(|id: Uuid| id.into()),
        expires_at: Timestamp::from_unix_milliseconds(expires_at.ok_or_else(corrupt)?),
        version: version.ok_or_else(corrupt)?,
        completed: completed.ok_or_else(corrupt)? != 0,
        in_use: in_use.is_some(),
        body,
    }))
}

/// Reads a flow from the bytes that Redis returns.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_answer(id: FlowId, answer: &[u8]) -> Result<Option<StoredFlow>, StoreError> {
    let fields = redis::parse_redis_value(answer).map_err(failed)?;
    stored(id, Fields::from_redis_value(fields).map_err(|error| failed(error.into()))?)
}

impl FlowStore for RedisStore {
    fn create_flow<'a>(&'a self, flow: &'a StoredFlow, keep: u32, now: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(self.created(flow, keep, now))
    }

    fn flow(&self, id: FlowId) -> StoreFuture<'_, Option<StoredFlow>> {
        Box::pin(self.read(id))
    }

    fn touch_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        Box::pin(async move {
            if flow.binding.is_none() {
                return Ok(Written::Superseded);
            }
            let script = Script::new(include_str!("touch_flow.lua"));
            let mut call = script.key(self.flow_key(flow.id));
            call.key(self.flows_in(flow.binding)).arg(self.flow_prefix());
            let there: bool = self.run(&mut call).await?;
            Ok(there.into())
        })
    }

    fn update_flow<'a>(&'a self, flow: &'a StoredFlow) -> StoreFuture<'a, Written> {
        Box::pin(async move {
            let script = Script::new(include_str!("update_flow.lua"));
            let written: bool = self.run(script.key(self.flow_key(flow.id)).arg(flow.version).arg(&flow.body)).await?;
            Ok(written.into())
        })
    }

    fn complete_flow<'a>(&'a self, flow: &'a StoredFlow, now: Timestamp) -> StoreFuture<'a, Written> {
        Box::pin(async move {
            let script = Script::new(include_str!("complete_flow.lua"));
            let mut call = script.key(self.flow_key(flow.id));
            call.key(self.flows_in(None)).arg(now.unix_milliseconds()).arg(&flow.body).arg(flow.id.to_string());
            let open: bool = self.run(&mut call).await?;
            Ok(open.into())
        })
    }

    fn remove_flows<'a>(&'a self, subject: &'a Subject, except: Option<FlowId>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let script = Script::new(include_str!("remove_flows.lua"));
            let mut call = script.key(self.flows_of(subject));
            call.arg(self.flow_prefix()).arg(self.session_prefix());
            if let Some(except) = except {
                call.arg(except.to_string());
            }
            let _done: bool = self.run(&mut call).await?;
            Ok(())
        })
    }

    fn begin_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        policy: &'a AttemptPolicy,
        now: Timestamp,
    ) -> StoreFuture<'a, Attempt> {
        Box::pin(self.counted(key, policy, now))
    }

    fn give_back_attempt<'a>(
        &'a self,
        key: &'a AttemptKey,
        attempt: &'a Counted,
        policy: &'a AttemptPolicy,
        _: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(self.given_back(key, attempt, policy))
    }

    fn reset_attempts<'a>(&'a self, key: &'a AttemptKey) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut connection = self.connection.clone();
            redis::cmd("DEL").arg(self.counter(key)).query_async(&mut connection).await.map_err(failed)
        })
    }

    fn forget_subject<'a>(&'a self, subject: &'a Subject, methods: &'a [Method]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.remove_flows(subject, None).await?;
            let counters = methods.iter().map(|&method| self.counter(&AttemptKey { subject: subject.clone(), method }));
            let counters: Vec<_> = counters.collect();
            if counters.is_empty() {
                return Ok(());
            }
            redis::cmd("DEL").arg(counters).query_async(&mut self.connection.clone()).await.map_err(failed)
        })
    }
}

/// rustls panics if it cannot tell which cryptography to use. That depends on the features of other crates.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If other code chooses at this moment, its choice will do.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
}

/// A time to live that Redis accepts: neither zero nor for ever.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.clamp(Duration::from_millis(1), LONGEST).as_millis()).unwrap_or(u64::MAX)
}

/// A time as the scripts return it.
fn instant(text: &str) -> Result<Timestamp, StoreError> {
    text.parse().map(Timestamp::from_unix_milliseconds).map_err(corrupt)
}

fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, cause)
}

fn unavailable(cause: &'static str) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, cause)
}

/// Errors of Redis may repeat arguments, which are flows. So only their kind is kept.
fn failed(error: RedisError) -> StoreError {
    let kind = if error.kind() == redis::ErrorKind::UnexpectedReturnType {
        StoreErrorKind::Corrupt
    } else {
        StoreErrorKind::Unavailable
    };
    if error.is_io_error() || error.is_timeout() {
        StoreError::with_source(kind, error)
    } else {
        StoreError::with_source(kind, format!("{}{}", error.category(), code(&error)))
    }
}

fn code(error: &RedisError) -> String {
    error.code().map(|code| format!(" ({code})")).unwrap_or_default()
}

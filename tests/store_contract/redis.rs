//! `RedisStore`: the kit, and what only a server can show.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tower_step_up::{
    Method, Subject,
    clock::Timestamp,
    session::BindingKey,
    store::{
        Attempt, AttemptKey, AttemptPolicy, FlowId, FlowStore, RedisStore, StoreErrorKind, StoredFlow, Written,
        contract,
    },
};

use crate::{
    servers::{free_port, redis::Redis},
    turns::Turns,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// A store with keys of its own.
async fn turns(server: &Redis, stores: usize) -> Turns<RedisStore> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let prefix = format!("test-{}:", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut opened = Vec::new();
    for _ in 0..stores {
        opened.push(RedisStore::connect(&server.url()).await.unwrap().key_prefix(prefix.clone()));
    }
    Turns::new(opened)
}

fn flow(subject: Option<&str>) -> StoredFlow {
    let mut flow = StoredFlow::new(FlowId::random(), NOW + HOUR, "{}");
    flow.subject = subject.map(|text| Subject::new(text).unwrap());
    flow.binding = subject.map(|_| BindingKey::random());
    flow
}

fn key(subject: &str) -> AttemptKey {
    AttemptKey { subject: Subject::new(subject).unwrap(), method: Method::Totp }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_keeps_the_contract() {
    let Some(server) = Redis::shared() else { return };
    contract::run_flows(|| turns(server, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_on_one_server_keep_the_contract() {
    let Some(server) = Redis::shared() else { return };
    contract::run_flows(|| turns(server, 2)).await;
}

/// Nothing stays for ever but a counter that is stopped.
#[tokio::test]
async fn every_key_has_an_expiry_but_a_stopped_counter() {
    let Some(server) = Redis::start(free_port()) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap().key_prefix("bank:");
    let policy = AttemptPolicy { free: 1, hard_stop: 2, ..AttemptPolicy::default() };
    let (kims, nobodys) = (flow(Some("kim")), flow(None));
    store.create_flow(&kims, 5, NOW).await.unwrap();
    store.create_flow(&nobodys, 5, NOW).await.unwrap();
    assert_eq!(store.update_flow(&kims).await.unwrap(), Written::Done);
    assert_eq!(store.complete_flow(&kims, NOW).await.unwrap(), Written::Done);
    assert!(store.begin_attempt(&key("kim"), &policy, NOW).await.unwrap().is_allowed());
    for now in [NOW, NOW + HOUR] {
        assert!(store.begin_attempt(&key("lee"), &policy, now).await.unwrap().is_allowed());
    }
    let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    keys.sort();
    let mut expected = [
        "bank:attempts:totp:kim".to_owned(),
        "bank:attempts:totp:lee".to_owned(),
        format!("bank:flow:{}", kims.id),
        format!("bank:flow:{}", nobodys.id),
        format!("bank:flows:in:{}", uuid::Uuid::from(kims.binding.unwrap())),
        "bank:flows:nobody".to_owned(),
        "bank:flows:of:kim".to_owned(),
    ];
    expected.sort();
    assert_eq!(keys, expected);
    for key in keys {
        let left: i64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.unwrap();
        let expected = match key.as_str() {
            "bank:attempts:totp:lee" => -1..=-1,
            key if key.starts_with("bank:attempts") => 29 * 86_400..=30 * 86_400,
            _ => 86_400..=90_000,
        };
        assert!(expected.contains(&left), "{key}: {left}");
    }
    // Given back, it is no longer stopped, and expires like any other.
    store.reset_attempts(&key("lee")).await.unwrap();
    let mut last = None;
    for now in [NOW, NOW + HOUR] {
        last = Some(store.begin_attempt(&key("lee"), &policy, now).await.unwrap());
    }
    let Some(Attempt::Counted(last)) = last else { panic!("{last:?}") };
    assert!(store.give_back_attempt(&key("lee"), &last, &policy, NOW).await.unwrap());
    let left: i64 = redis::cmd("TTL").arg("bank:attempts:totp:lee").query_async(&mut connection).await.unwrap();
    assert!((29 * 86_400..=30 * 86_400).contains(&left), "{left}");
    store.reset_attempts(&key("lee")).await.unwrap();
    assert!(store.begin_attempt(&key("lee"), &policy, NOW).await.unwrap().is_allowed());
}

/// A flow that was begun by a version that kept no field for its session, and counted by subject, is read, used and removed as before.
#[tokio::test]
async fn flows_of_the_version_before_stay() {
    let Some(server) = Redis::start(free_port()) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap().key_prefix("bank:");
    let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let (mut old, new) = (flow(Some("kim")), flow(Some("kim")));
    old.binding = None;
    let mut fields = redis::cmd("HSET");
    fields.arg(format!("bank:flow:{}", old.id)).arg("expires_at").arg(old.expires_at.unix_milliseconds());
    for (field, value) in [("version", "0"), ("completed", "0"), ("body", "{}"), ("subject", "kim")] {
        fields.arg(field).arg(value);
    }
    let _: i64 = fields.query_async(&mut connection).await.unwrap();
    let mut list = redis::cmd("RPUSH");
    list.arg("bank:flows:of:kim").arg(FlowId::random().to_string()).arg(old.id.to_string());
    let _: i64 = list.query_async(&mut connection).await.unwrap();

    store.create_flow(&new, 1, NOW).await.unwrap();
    let listed: Vec<String> =
        redis::cmd("LRANGE").arg("bank:flows:of:kim").arg(0).arg(-1).query_async(&mut connection).await.unwrap();
    assert_eq!(listed, [old.id.to_string(), new.id.to_string()], "what is forgotten leaves the list");
    assert_eq!(store.flow(old.id).await.unwrap().as_ref(), Some(&old));
    assert_eq!(store.update_flow(&old).await.unwrap(), Written::Done);
    assert_eq!(store.complete_flow(&old, NOW).await.unwrap(), Written::Done);
    store.remove_flows(&Subject::new("kim").unwrap(), Some(new.id)).await.unwrap();
    assert_eq!((store.flow(old.id).await.unwrap(), store.flow(new.id).await.unwrap()), (None, Some(new)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_an_error_until_it_is_back() {
    let port = free_port();
    let Some(server) = Redis::start(port) else { return };
    let url = server.url();
    let store = RedisStore::connect(&url).await.unwrap();
    store.create_flow(&flow(None), 5, NOW).await.unwrap();
    drop(server);
    for _ in 0..2 {
        let error = store.begin_attempt(&key("kim"), &AttemptPolicy::default(), NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    let error = RedisStore::connect(&url.replace("127.0.0.1", "user:hunter2@127.0.0.1")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    let error = RedisStore::connect("http://user:hunter2@127.0.0.1").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");

    let _server = Redis::start(port).unwrap();
    let begun = std::time::Instant::now();
    while let Err(error) = store.create_flow(&flow(None), 5, NOW).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

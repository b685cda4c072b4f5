//! `SqlStore` behind a `PgBouncer` in transaction mode: nothing that the store does may need the same server process twice.

use std::{collections::HashSet, time::Duration};

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgPoolOptions};
use tower_step_up::{
    Aal, Method, Subject,
    aal::Proof,
    session::StoredSession,
    store::{Changes, LogPlace, Revocation, SqlStore, StoreErrorKind, SubjectStore as _, contract},
};

use crate::{
    servers::{pgbouncer::PgBouncer, postgres::Postgres},
    sql::{HOUR, NOW},
    turns::Turns,
};

/// Enough for all statements of the store.
const REMEMBERED: u32 = 200;

fn both() -> Option<(Postgres, PgBouncer)> {
    let server = Postgres::start()?;
    let bouncer = PgBouncer::before(&server, REMEMBERED)?;
    Some((server, bouncer))
}

/// Stores with a pool of their own each, opened as an application would behind `PgBouncer`.
async fn turns(server: &Postgres, bouncer: &PgBouncer, stores: usize) -> Turns<SqlStore> {
    let url = bouncer.url_of(&server.database());
    let mut opened = Vec::new();
    for number in 0..stores {
        let pool = PgPoolOptions::new().max_connections(5).acquire_timeout(Duration::from_secs(30));
        let store = match number {
            0 => SqlStore::connect(&url).await.unwrap(),
            _ => SqlStore::from_pool(pool.connect(&url).await.unwrap()).await.unwrap(),
        };
        opened.push(store);
    }
    Turns::new(opened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PgBouncer 1.21 or later: scripts/pgbouncer"]
async fn two_stores_behind_it_keep_the_contract() {
    let Some((server, bouncer)) = both() else { return };
    contract::run(|| turns(&server, &bouncer, 2)).await;
}

async fn log_out(store: &SqlStore, name: &str) {
    let subject = Subject::new(name).unwrap();
    let session = StoredSession::new(subject.clone(), Proof::new(Method::Password, Aal::Aal1, NOW), NOW, 24 * HOUR);
    store.create_session(&session).await.unwrap();
    assert_eq!(store.revoke(&subject, Revocation::One(session.id())).await.unwrap(), 1);
}

async fn process(connection: &mut PgConnection) -> i32 {
    sqlx::query("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap().get(0)
}

async fn told(store: &SqlStore, place: &mut LogPlace) -> Vec<String> {
    match store.changes(Some(place)).await.unwrap() {
        Changes::Of(subjects, next) => {
            *place = next;
            subjects.iter().map(|subject| subject.as_str().to_owned()).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A reader goes on where it was, whichever server process answers. If the one that answered last is gone, it begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PgBouncer 1.21 or later: scripts/pgbouncer"]
async fn a_reader_goes_on_over_another_server_process() {
    let Some((server, bouncer)) = both() else { return };
    let database = server.database();
    let pool = PgPool::connect(&bouncer.url_of(&database)).await.unwrap();
    let store = SqlStore::from_pool(pool.clone()).await.unwrap();
    let Changes::Cut(mut place) = store.changes(None).await.unwrap() else { panic!("no place was named") };
    let mut processes = HashSet::new();
    for number in 0..30 {
        let name = format!("user {number}");
        log_out(&store, &name).await;
        assert_eq!(told(&store, &mut place).await, [name]);
        processes.insert(process(&mut pool.acquire().await.unwrap()).await);
    }
    assert!(processes.len() > 1, "always the same server process, so this shows nothing");

    // Also after a transaction that was open all the time.
    let mut late = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO step_up_subjects VALUES ('late', 5)").execute(&mut *late).await.unwrap();
    log_out(&store, "early").await;
    assert_eq!(told(&store, &mut place).await, ["early"]);
    late.commit().await.unwrap();
    assert_eq!(told(&store, &mut place).await, ["late"]);

    let directly =
        PgPool::connect(&format!("postgres://step_up@127.0.0.1:{}/{database}", server.port())).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(&directly).await.unwrap();
    // What meets a process that is gone fails; the next ones do not.
    for _ in 0..10 {
        match store.changes(Some(&place)).await {
            Ok(Changes::Cut(next)) => {
                place = next;
                log_out(&store, "kim").await;
                assert_eq!(told(&store, &mut place).await, ["kim"]);
                return;
            }
            Ok(other) => panic!("{other:?} from a process that did not make the place"),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
    }
    panic!("the log cannot be read again");
}

/// Statements have numbers, and without a memory of who prepared what, a number means whatever another client has prepared on that server
/// process. So the store does not open at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PgBouncer 1.21 or later: scripts/pgbouncer"]
async fn a_pooler_that_mixes_up_statements_is_refused() {
    let Some(server) = Postgres::start() else { return };
    let Some(forgetful) = PgBouncer::before(&server, 0) else { return };
    let database = server.database();
    let directly =
        SqlStore::connect(&format!("postgres://step_up@127.0.0.1:{}/{database}", server.port())).await.unwrap();
    drop(directly);
    let url = forgetful.url_of(&database);
    for attempt in 0..10 {
        let refused = match attempt % 2 {
            0 => SqlStore::connect(&url).await,
            _ => SqlStore::from_pool(PgPool::connect(&url).await.unwrap()).await,
        };
        let error = refused.expect_err("the store opened");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains("max_prepared_statements"), "{why}");
    }
}

//! What the log of changes costs: a write with its triggers and without them, a reading, and the room that a change takes.

use std::time::{Duration, Instant};

use sqlx::{Executor as _, PgPool, SqlitePool};
use tower_step_up::{
    Aal, Method, Subject,
    aal::Proof,
    session::StoredSession,
    store::{Changes, LogPlace, Revocation, SqlStore, SubjectStore as _},
};

use crate::{servers::postgres::Postgres, world::now};

const WRITES: usize = 3000;

const TRIGGERS: [(&str, &str); 7] = [
    ("step_up_sessions_deleted", "step_up_sessions"),
    ("step_up_sessions_updated", "step_up_sessions"),
    ("step_up_credentials_changed", "step_up_credentials"),
    ("step_up_credentials_inserted", "step_up_credentials"),
    ("step_up_credentials_deleted", "step_up_credentials"),
    ("step_up_subjects_inserted", "step_up_subjects"),
    ("step_up_subjects_updated", "step_up_subjects"),
];

/// A write with triggers and without, in turns, and a reading.
pub async fn table(postgres: &str, sqlite: &str) {
    println!("\n| store | a logout, us | without the triggers | a reading, us | of 1000 changes | bytes a change |");
    println!("|---|---|---|---|---|---|");
    for (name, url) in [("PostgreSQL", postgres), ("SQLite", sqlite)] {
        let with = SqlStore::connect(url).await.unwrap();
        let bare_url = if name == "SQLite" { url.replace("costs", "bare") } else { Postgres::shared().unwrap().url() };
        let bare = SqlStore::connect(&bare_url).await.unwrap();
        for (trigger, table) in TRIGGERS {
            if name == "SQLite" {
                let pool = SqlitePool::connect(&bare_url).await.unwrap();
                pool.execute(sqlx::AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {trigger}"))).await.unwrap();
            } else {
                let pool = PgPool::connect(&bare_url).await.unwrap();
                let drop = format!("DROP TRIGGER IF EXISTS {trigger} ON {table}");
                pool.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
            }
        }
        let mut took = [Vec::new(), Vec::new()];
        for number in 0..WRITES {
            for (store, took) in [&with, &bare].into_iter().zip(&mut took) {
                took.push(log_out(store, number).await);
            }
        }
        let [with_log, without] = took.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1e6
        });
        let Changes::Cut(place) = with.changes(None).await.unwrap() else { panic!("a place") };
        let nothing = reading(&with, &place).await;
        for number in 0..1000 {
            log_out(&with, number).await;
        }
        let thousand = reading(&with, &place).await;
        let bytes: f64 = if name == "SQLite" {
            let size = "SELECT CAST((SELECT sum(pgsize) FROM dbstat WHERE name = 'step_up_changes') AS REAL) / count(*) FROM step_up_changes";
            sqlx::query_scalar(size).fetch_one(&SqlitePool::connect(url).await.unwrap()).await.unwrap()
        } else {
            let size =
                "SELECT pg_total_relation_size('step_up_changes')::float8 / count(*)::float8 FROM step_up_changes";
            sqlx::query_scalar(size).fetch_one(&PgPool::connect(url).await.unwrap()).await.unwrap()
        };
        println!("| {name} | {with_log:.0} | {without:.0} | {nothing:.0} | {thousand:.0} | {bytes:.0} |");
    }
}

async fn log_out(store: &SqlStore, number: usize) -> Duration {
    let password = Proof::new(Method::Password, Aal::Aal1, now());
    let subject = Subject::new(format!("user-{number}")).unwrap();
    let session = StoredSession::new(subject.clone(), password, now(), Duration::from_secs(3600));
    store.create_session(&session).await.unwrap();
    let begun = Instant::now();
    assert_eq!(store.revoke(&subject, Revocation::One(session.id())).await.unwrap(), 1);
    begun.elapsed()
}

async fn reading(store: &SqlStore, place: &LogPlace) -> f64 {
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        let _changes = store.changes(Some(place)).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

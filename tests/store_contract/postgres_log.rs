//! The log of changes on `PostgreSQL`: the order of commits, long transactions, a log that was cut down, servers that begin anew.

use std::{collections::HashSet, time::Duration};

use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, postgres::PgPoolOptions};
use tower_step_up::{
    Aal, Method, Subject,
    aal::Proof,
    session::{SessionId, StoredSession},
    store::{Changes, LogPlace, Revocation, SqlStore, SubjectStore as _},
};
use uuid::Uuid;

use crate::{
    servers::postgres::Postgres,
    sql::{HOUR, NOW},
};

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

async fn signed_in(store: &SqlStore, name: &str) -> SessionId {
    let session = StoredSession::new(subject(name), Proof::new(Method::Password, Aal::Aal1, NOW), NOW, 24 * HOUR);
    store.create_session(&session).await.unwrap();
    session.id()
}

async fn log_out(store: &SqlStore, name: &str) {
    let id = signed_in(store, name).await;
    assert_eq!(store.revoke(&subject(name), Revocation::One(id)).await.unwrap(), 1);
}

async fn here(store: &SqlStore) -> LogPlace {
    let Changes::Cut(place) = store.changes(None).await.unwrap() else { panic!("no place was named") };
    place
}

/// The names of those who have changed, in order, and the next place.
async fn since(store: &SqlStore, place: &LogPlace) -> (Vec<String>, LogPlace) {
    match store.changes(Some(place)).await.unwrap() {
        Changes::Of(subjects, next) => {
            let mut names: Vec<_> = subjects.iter().map(|subject| subject.as_str().to_owned()).collect();
            names.sort();
            (names, next)
        }
        other => panic!("{other:?}"),
    }
}

async fn is_cut(store: &SqlStore, place: &LogPlace) -> bool {
    matches!(store.changes(Some(place)).await.unwrap(), Changes::Cut(_))
}

/// One connection that stays, so that the log goes on.
async fn opened(server: &Postgres) -> (SqlStore, PgPool, String) {
    let url = server.url();
    let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    (SqlStore::from_pool(pool.clone()).await.unwrap(), PgPool::connect(&url).await.unwrap(), url)
}

/// Whoever begins first and commits last is told when it commits, also after others that began later: nothing waits for it, and it is not
/// lost.
#[tokio::test]
async fn a_transaction_that_commits_late_is_told_late_and_holds_nobody_up() {
    let Some(server) = Postgres::shared() else { return };
    let (store, other, _) = opened(server).await;
    let mut place = here(&store).await;
    let mut late = Vec::new();
    for name in ["late", "later", "never"] {
        let id = signed_in(&store, name).await;
        let mut transaction = other.begin().await.unwrap();
        let delete = sqlx::query("DELETE FROM step_up_sessions WHERE id = $1").bind(Uuid::from(id));
        assert_eq!(delete.execute(&mut *transaction).await.unwrap().rows_affected(), 1);
        late.push(transaction);
    }
    let (names, next) = since(&store, &place).await;
    assert_eq!(names, [""; 0]);
    place = next;
    for name in ["ann", "bob"] {
        log_out(&store, name).await;
        let (names, next) = since(&store, &place).await;
        assert_eq!(names, [name], "told once, though a transaction before is open");
        place = next;
    }
    let never = late.pop().unwrap();
    let later = late.pop().unwrap();
    late.pop().unwrap().commit().await.unwrap();
    let (names, next) = since(&store, &place).await;
    assert_eq!(names, ["late"]);
    never.rollback().await.unwrap();
    log_out(&store, "eve").await;
    later.commit().await.unwrap();
    let (names, next) = since(&store, &next).await;
    assert_eq!(names, ["eve", "later"]);
    assert_eq!(since(&store, &next).await.0, [""; 0]);
    assert_eq!(since(&store, &place).await.0, ["eve", "late", "later"], "from the place before, all of them");
}

/// Rows that are changed by hand, under any `search_path`, and by versions before.
#[tokio::test]
async fn changes_by_hand_are_told() {
    let Some(server) = Postgres::shared() else { return };
    let (store, other, _) = opened(server).await;
    let schema: String = sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&other).await.unwrap();
    for name in ["ann", "bob", "eve"] {
        signed_in(&store, name).await;
    }
    let mut place = here(&store).await;
    for (statement, told) in [
        (format!("SET search_path TO pg_catalog; DELETE FROM {schema}.step_up_sessions WHERE subject = 'ann'"), "ann"),
        (format!("UPDATE {schema}.step_up_sessions SET expires_at = 0 WHERE subject = 'bob'"), "bob"),
        (format!("INSERT INTO {schema}.step_up_subjects VALUES ('eve', 5)"), "eve"),
        (format!("UPDATE {schema}.step_up_subjects SET not_before = 6 WHERE subject = 'eve'"), "eve"),
        (format!("UPDATE {schema}.step_up_subjects SET revoked = 7 WHERE subject = 'eve'"), "eve"),
        (
            format!(
                "INSERT INTO {schema}.step_up_credentials (id, subject, method, aal, data, last_step, created_at) \
                 VALUES (gen_random_uuid(), 'bob', 'totp', 'aal2', '', 0, 0)"
            ),
            "bob",
        ),
        (format!("UPDATE {schema}.step_up_credentials SET aal = 'aal1'"), "bob"),
        (format!("DELETE FROM {schema}.step_up_credentials"), "bob"),
    ] {
        other.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        let (names, next) = since(&store, &place).await;
        assert_eq!(names, [told]);
        place = next;
    }
    for quiet in ["UPDATE {}.step_up_sessions SET seen_at = 7", "INSERT INTO {}.step_up_subjects VALUES ('new', NULL)"]
    {
        other.execute(sqlx::AssertSqlSafe(quiet.replace("{}", &schema))).await.unwrap();
        let (names, next) = since(&store, &place).await;
        assert_eq!(names, [""; 0], "{quiet}");
        place = next;
    }
    for table in ["step_up_sessions", "step_up_credentials"] {
        other.execute(sqlx::AssertSqlSafe(format!("TRUNCATE {schema}.{table} CASCADE"))).await.unwrap();
        let Changes::OfEverybody(next) = store.changes(Some(&place)).await.unwrap() else { panic!("{table}") };
        place = next;
    }
}

/// An answer that would leave somebody out names everybody.
#[tokio::test]
async fn very_many_changes_are_told_as_everybody() {
    let Some(server) = Postgres::shared() else { return };
    let (store, other, _) = opened(server).await;
    let place = here(&store).await;
    let many =
        "INSERT INTO step_up_changes (subject) SELECT 'user ' || number FROM generate_series(1, 10001) AS number";
    other.execute(many).await.unwrap();
    assert!(matches!(store.changes(Some(&place)).await.unwrap(), Changes::OfEverybody(_)));
}

/// Old changes go, those of open transactions do not. Whoever has not read what went is told so, and nobody else.
#[tokio::test]
async fn the_log_is_cut_down_and_says_so() {
    let Some(server) = Postgres::start() else { return };
    let (store, other, _) = opened(&server).await;
    let asleep = here(&store).await;
    for number in 0..50 {
        log_out(&store, &format!("old {number}")).await;
    }
    let awake = here(&store).await;
    other.execute("UPDATE step_up_changes SET at = at - interval '301 seconds'").await.unwrap();
    let count = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM step_up_changes WHERE subject LIKE 'old %'")
            .fetch_one(&other)
            .await
            .unwrap()
    };
    let mut open = other.begin().await.unwrap();
    open.execute("SELECT pg_current_xact_id()").await.unwrap();
    assert!(!is_cut(&store, &asleep).await);
    // Enough writes that old changes are removed.
    for number in 0..40 {
        log_out(&store, &format!("new {number}")).await;
    }
    assert_eq!(count().await, 0);
    assert!(is_cut(&store, &asleep).await);
    let names: HashSet<_> = since(&store, &awake).await.0.into_iter().collect();
    assert_eq!(names, (0..40).map(|number| format!("new {number}")).collect());
    // What is as old, but of transactions after one that is open, stays.
    other.execute("UPDATE step_up_changes SET at = at - interval '301 seconds'").await.unwrap();
    for number in 0..40 {
        log_out(&store, &format!("newer {number}")).await;
    }
    assert_eq!(since(&store, &awake).await.0.len(), 80);
    open.rollback().await.unwrap();
    for number in 0..40 {
        log_out(&store, &format!("newest {number}")).await;
    }
    assert!(is_cut(&store, &awake).await);
}

/// Numbers of transactions that another server gave, restored from its backup, mean nothing here.
#[tokio::test]
async fn a_log_from_a_backup_means_nothing() {
    let Some(server) = Postgres::start() else { return };
    let (store, other, _) = opened(&server).await;
    let place = here(&store).await;
    other
        .execute(
            "INSERT INTO step_up_changes (xid, subject) VALUES ('999999999999', 'of another server'); \
             INSERT INTO step_up_changes_removed (xid) VALUES ('999999999999')",
        )
        .await
        .unwrap();
    assert_eq!(since(&store, &place).await.0, [""; 0]);
    for number in 0..40 {
        log_out(&store, &format!("{number}")).await;
    }
    assert_eq!(since(&store, &place).await.0.len(), 40);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM step_up_changes WHERE xid > '99999999999'")
        .fetch_one(&other)
        .await
        .unwrap();
    assert_eq!(left, 0);
    other.execute("UPDATE step_up_changes SET at = at - interval '301 seconds'").await.unwrap();
    for number in 0..40 {
        log_out(&store, &format!("{number}")).await;
    }
    assert!(is_cut(&store, &place).await, "what was removed since is known again");
}

/// After a crash, a server may give numbers again that were seen already. Whoever has a place from before begins anew.
#[tokio::test]
async fn a_server_that_crashed_continues_no_log() {
    let Some(server) = Postgres::start() else { return };
    let (store, other, url) = opened(&server).await;
    log_out(&store, "kim").await;
    let place = here(&store).await;
    assert!(!is_cut(&store, &place).await);
    // Another process of the server does as well, while the first lives.
    let second = SqlStore::connect(&url).await.unwrap();
    assert!(!is_cut(&second, &place).await);
    let victim: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&other).await.unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &victim.to_string()]).status().unwrap();
    assert!(killed.success());
    let mut waited = Duration::ZERO;
    let fresh = loop {
        if let Ok(mut connection) = PgConnection::connect(&url).await
            && connection.ping().await.is_ok()
            && let Ok(store) = SqlStore::connect(&url).await
        {
            break store;
        }
        assert!(waited < Duration::from_secs(30), "the server does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited += Duration::from_millis(50);
    };
    assert!(is_cut(&fresh, &place).await);
}

/// A role that was granted the tables before the log was there reads and writes it too.
#[tokio::test]
async fn whoever_may_use_the_sessions_may_use_the_log() {
    let Some(server) = Postgres::shared() else { return };
    let (store, owner, url) = opened(server).await;
    drop(store);
    let schema: String = sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&owner).await.unwrap();
    // As it was before the migration.
    let back = format!(
        "DROP TABLE step_up_changes, step_up_changes_removed; DROP FUNCTION step_up_tell_change CASCADE; \
         DROP FUNCTION step_up_tell_end CASCADE; DELETE FROM step_up_migrations WHERE version = 12; \
         CREATE ROLE \"Clerk {schema}\" LOGIN; GRANT USAGE ON SCHEMA {schema} TO \"Clerk {schema}\"; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO \"Clerk {schema}\""
    );
    owner.execute(sqlx::AssertSqlSafe(back)).await.unwrap();
    drop(SqlStore::from_pool(owner.clone()).await.unwrap());
    let store = SqlStore::connect(&url.replace("step_up@", &format!("Clerk%20{schema}@"))).await.unwrap();
    let place = here(&store).await;
    for number in 0..40 {
        log_out(&store, &format!("{number}")).await;
    }
    assert_eq!(since(&store, &place).await.0.len(), 40);
}

//! The log of changes on `SQLite`: changes by hand, and a log that was cut down.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;
use tower_step_up::{
    Aal, Method, Subject,
    aal::Proof,
    session::StoredSession,
    store::{Changes, LogPlace, Revocation, SqlStore, SubjectStore as _},
};

use crate::{
    sql::{HOUR, NOW},
    sqlite::Directory,
};

async fn signed_in(store: &SqlStore, name: &str) -> StoredSession {
    let subject = Subject::new(name).unwrap();
    let session = StoredSession::new(subject, Proof::new(Method::Password, Aal::Aal1, NOW), NOW, 24 * HOUR);
    store.create_session(&session).await.unwrap();
    session
}

async fn log_out(store: &SqlStore, name: &str) {
    let session = signed_in(store, name).await;
    assert_eq!(store.revoke(session.subject(), Revocation::One(session.id())).await.unwrap(), 1);
}

async fn here(store: &SqlStore) -> LogPlace {
    let Changes::Cut(place) = store.changes(None).await.unwrap() else { panic!("no place was named") };
    place
}

/// The names of those who have changed, and the next place.
async fn since(store: &SqlStore, place: &LogPlace) -> (HashSet<String>, LogPlace) {
    match store.changes(Some(place)).await.unwrap() {
        Changes::Of(subjects, next) => (subjects.iter().map(|subject| subject.as_str().to_owned()).collect(), next),
        other => panic!("{other:?}"),
    }
}

async fn is_cut(store: &SqlStore, place: &LogPlace) -> bool {
    matches!(store.changes(Some(place)).await.unwrap(), Changes::Cut(_))
}

fn names(prefix: &str, count: usize) -> HashSet<String> {
    (0..count).map(|number| format!("{prefix} {number}")).collect()
}

/// Rows that are changed by hand, and by versions before.
#[tokio::test]
async fn changes_by_hand_are_told() {
    let directory = Directory::new();
    let (store, other) = (directory.store().await, directory.pool().await);
    for name in ["ann", "bob", "eve"] {
        signed_in(&store, name).await;
    }
    let mut place = here(&store).await;
    for (statement, told) in [
        ("DELETE FROM step_up_sessions WHERE subject = 'ann'", "ann"),
        ("UPDATE step_up_sessions SET expires_at = 0 WHERE subject = 'bob'", "bob"),
        ("INSERT INTO step_up_subjects (subject, not_before) VALUES ('eve', 5)", "eve"),
        ("UPDATE step_up_subjects SET not_before = 6 WHERE subject = 'eve'", "eve"),
        ("UPDATE step_up_subjects SET revoked = 7 WHERE subject = 'eve'", "eve"),
        (
            "INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at) \
             VALUES (randomblob(16), 'bob', 'totp', 'aal2', x'', 0, 0)",
            "bob",
        ),
        ("UPDATE step_up_credentials SET aal = 'aal1'", "bob"),
        ("DELETE FROM step_up_credentials", "bob"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&other).await.unwrap();
        let (names, next) = since(&store, &place).await;
        assert_eq!(names, HashSet::from([told.to_owned()]), "{statement}");
        place = next;
    }
    let quiet = "UPDATE step_up_sessions SET seen_at = 7";
    sqlx::query(quiet).execute(&other).await.unwrap();
    assert!(since(&store, &place).await.0.is_empty());
}

/// An answer that would leave somebody out names everybody.
#[tokio::test]
async fn very_many_changes_are_told_as_everybody() {
    let directory = Directory::new();
    let (store, other) = (directory.store().await, directory.pool().await);
    let place = here(&store).await;
    let many = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 10001) \
                INSERT INTO step_up_changes (subject) SELECT 'user ' || number FROM numbers";
    sqlx::query(many).execute(&other).await.unwrap();
    assert!(matches!(store.changes(Some(&place)).await.unwrap(), Changes::OfEverybody(_)));
}

/// Old changes go. Whoever has not read what went is told so, and nobody else; and no number is given twice.
#[tokio::test]
async fn the_log_is_cut_down_and_says_so() {
    let directory = Directory::new();
    let (store, other) = (directory.store().await, directory.pool().await);
    let asleep = here(&store).await;
    for number in 0..50 {
        log_out(&store, &format!("old {number}")).await;
    }
    let awake = here(&store).await;
    assert_eq!(since(&store, &asleep).await.0, names("old", 50));
    let age = "UPDATE step_up_changes SET at = at - 301";
    sqlx::query(age).execute(&other).await.unwrap();
    // Enough writes that old changes are removed, and more than there were.
    for number in 0..80 {
        log_out(&store, &format!("new {number}")).await;
    }
    let left = "SELECT count(*) FROM step_up_changes WHERE subject LIKE 'old %'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&other).await.unwrap();
    assert!(left <= 1, "{left} are left");
    assert!(is_cut(&store, &asleep).await);
    assert_eq!(since(&store, &awake).await.0, names("new", 80));
    // Even if all are old, the last one stays, so that numbers go on.
    for number in 0..40 {
        sqlx::query(age).execute(&other).await.unwrap();
        let place = here(&store).await;
        log_out(&store, &format!("late {number}")).await;
        assert_eq!(since(&store, &place).await.0, HashSet::from([format!("late {number}")]));
    }
}

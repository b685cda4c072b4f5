//! The stores that the attacks run on.
//!
//! `STEP_UP_ATTACK_STORE` names one for all of them: `memory`, `sqlite`, `postgres`, `redis` (flows and counters there, the rest in
//! `SQLite`), or `naive`, on which the rows of [`crate::naive_is_caught`] must fail. Unset, all run in memory, and most on `SQLite` too.

use std::env;

use crate::{common::store::TestStore, naive::Naive};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(all(unix, feature = "postgres"))]
    Postgres,
    #[cfg(all(unix, feature = "redis", feature = "sqlite"))]
    Redis,
    Naive,
}

pub const VARIABLE: &str = "STEP_UP_ATTACK_STORE";

/// The store that is asked for, if one is.
pub fn asked() -> Option<Choice> {
    let name = env::var_os(VARIABLE)?;
    Some(match name.to_str() {
        Some("memory") => Choice::Memory,
        #[cfg(feature = "sqlite")]
        Some("sqlite") => Choice::Sqlite,
        #[cfg(all(unix, feature = "postgres"))]
        Some("postgres") => Choice::Postgres,
        #[cfg(all(unix, feature = "redis", feature = "sqlite"))]
        Some("redis") => Choice::Redis,
        Some("naive") => Choice::Naive,
        _ => panic!("{VARIABLE} is {}: none of the stores, or not with these features", name.display()),
    })
}

/// A new, empty store, for what runs on one.
pub fn one() -> TestStore {
    new(asked().unwrap_or(Choice::Memory))
}

/// A new, empty store of each kind that needs nothing installed, or the one that is asked for.
pub fn every() -> Vec<TestStore> {
    if let Some(asked) = asked() {
        return vec![new(asked)];
    }
    vec![
        new(Choice::Memory),
        #[cfg(feature = "sqlite")]
        new(Choice::Sqlite),
    ]
}

fn new(choice: Choice) -> TestStore {
    match choice {
        Choice::Memory => TestStore::default(),
        Choice::Naive => TestStore::over(Naive::default()),
        #[cfg(feature = "sqlite")]
        Choice::Sqlite => {
            let file = File::new();
            TestStore::opening(connect(file.url()), file)
        }
        // The server is the process's, the schema the store's.
        #[cfg(all(unix, feature = "postgres"))]
        Choice::Postgres => {
            let server = crate::servers::postgres::Postgres::shared().expect("PostgreSQL");
            TestStore::opening(connect(server.url()), ())
        }
        #[cfg(all(unix, feature = "redis", feature = "sqlite"))]
        Choice::Redis => {
            let url = crate::servers::redis::Redis::shared().expect("Redis").url();
            let file = File::new();
            let subjects = connect(file.url());
            let prefix = format!("{}:", uuid::Uuid::new_v4());
            let open = async move {
                let flows = tower_step_up::store::RedisStore::connect(&url).await.unwrap().key_prefix(prefix);
                crate::common::store::Inner::two(subjects.await, flows)
            };
            TestStore::opening_two(open, file)
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn connect(url: String) -> tower_step_up::store::SqlStore {
    tower_step_up::store::SqlStore::connect(&url).await.unwrap()
}

/// A database file of its own, removed at the end.
#[cfg(feature = "sqlite")]
struct File(std::path::PathBuf);

#[cfg(feature = "sqlite")]
impl File {
    fn new() -> Self {
        let name = format!("attacks-{}", uuid::Uuid::new_v4());
        let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.0.join("bank.db").display())
    }
}

#[cfg(feature = "sqlite")]
impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

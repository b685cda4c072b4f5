//! The database behind the store: filling it with copies, measuring it, and picking rows.

use sqlx::{
    AssertSqlSafe, Executor as _, PgPool, Row as _, SqlitePool, pool::PoolConnection, postgres::PgPoolOptions,
    sqlite::SqlitePoolOptions,
};
use uuid::Uuid;

/// How many rows a call removes on average, in either store.
pub const SWEPT_EACH: usize = 8;

const TABLES: [&str; 3] = ["step_up_sessions", "step_up_credentials", "step_up_flows"];

pub enum Base {
    Postgres {
        pool: PgPool,
        open: Option<PoolConnection<sqlx::Postgres>>,
    },
    /// With the pages that each step of the filling took.
    Sqlite {
        pool: SqlitePool,
        pages: Vec<(String, i64)>,
    },
}

/// A name whose order is not that of creation.
fn user(number: u64) -> String {
    format!("user-{number:08}")
}

/// The number that stands at this place, with numbers that follow one another far from each other.
fn scattered(number: &str, of: u64) -> String {
    format!("({number} * 7919 % {of})")
}

impl Base {
    pub async fn open(url: &str) -> Self {
        if url.starts_with("postgres") {
            let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
            Self::Postgres { pool, open: None }
        } else {
            let pool = SqlitePoolOptions::new().max_connections(1).connect(url).await.unwrap();
            Self::Sqlite { pool, pages: Vec::new() }
        }
    }

    /// All sessions last for two days more, all flows have expired within the last day.
    pub async fn fill(&mut self, sessions: u64, flows: u64, now: i64) {
        match self {
            Self::Postgres { pool, .. } => fill_postgres(pool, sessions, flows, now).await,
            Self::Sqlite { pool, pages } => fill_sqlite(pool, pages, sessions, flows, now).await,
        }
    }

    /// What the tables take, and their indexes.
    pub async fn sizes(&self, sessions: u64, flows: u64) -> Vec<String> {
        let rows = |table: &str| if table.contains("flows") { flows } else { sessions } as f64;
        match self {
            Self::Postgres { pool, .. } => {
                let mut lines = Vec::new();
                for table in TABLES.into_iter().chain(["step_up_subjects"]) {
                    let sizes = format!("SELECT pg_table_size('{table}'), pg_indexes_size('{table}')");
                    let (own, indexes): (i64, i64) =
                        sqlx::query_as(AssertSqlSafe(sizes)).fetch_one(pool).await.unwrap();
                    let each = |bytes: i64| bytes as f64 / rows(table);
                    lines.push(format!("{table} {:.0} bytes a row, its indexes {:.0}", each(own), each(indexes)));
                }
                lines
            }
            Self::Sqlite { pages, .. } => pages
                .iter()
                .map(|(step, pages)| format!("{step}: {:.0} bytes a row", (*pages * 4096) as f64 / rows(step)))
                .collect(),
        }
    }

    pub fn some_subjects(&self, count: usize, sessions: u64) -> Vec<String> {
        random_numbers(count, sessions).into_iter().map(user).collect()
    }

    /// Subject, id and binding of sessions at random.
    pub async fn some_sessions(&self, count: usize, sessions: u64) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for subject in self.some_subjects(count, sessions) {
            let text = format!("SELECT id, binding FROM step_up_sessions WHERE subject = '{subject}'");
            let text = AssertSqlSafe(text);
            let (id, binding): (Uuid, Uuid) = match self {
                Self::Postgres { pool, .. } => sqlx::query_as(text).fetch_one(pool).await.unwrap(),
                Self::Sqlite { pool, .. } => sqlx::query_as(text).fetch_one(pool).await.unwrap(),
            };
            found.push((subject, id.to_string(), binding.to_string()));
        }
        found
    }

    /// Lets a transaction stay open that may read whatever is removed from now on, where that keeps it on disk.
    pub async fn hold_snapshot(&mut self) -> bool {
        let Self::Postgres { pool, open } = self else { return false };
        let mut connection = pool.acquire().await.unwrap();
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
        connection.execute("SELECT 1 FROM step_up_revocations").await.unwrap();
        *open = Some(connection);
        true
    }

    pub async fn close(self) {
        match self {
            Self::Postgres { pool, open } => {
                drop(open.map(PoolConnection::detach));
                pool.close().await;
            }
            Self::Sqlite { pool, .. } => pool.close().await,
        }
    }
}

fn random_numbers(count: usize, below: u64) -> Vec<u64> {
    // Each once, since a code counts once.
    let mut found = std::collections::BTreeSet::new();
    while found.len() < count {
        found.insert(getrandom::u64().unwrap() % below);
    }
    let mut found: Vec<_> = found.into_iter().collect();
    // Not in the order of the index.
    found.sort_unstable_by_key(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    found
}

/// Without indexes and triggers, which are there again at the end. One transaction, so that nothing is logged.
async fn fill_postgres(pool: &PgPool, sessions: u64, flows: u64, now: i64) {
    let mut connection = pool.acquire().await.unwrap();
    let here = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
    let constraints = format!(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::regclass, conname), \
         format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
         FROM pg_constraint WHERE connamespace = {here} AND contype IN ('p', 'u', 'f') \
         AND conrelid::regclass::text IN ('step_up_sessions', 'step_up_credentials', 'step_up_flows', 'step_up_secrets') \
         AND (contype = 'f' OR conrelid::regclass::text <> 'step_up_secrets') \
         ORDER BY contype = 'f'"
    );
    let indexes = format!(
        "SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid) FROM pg_index i \
         WHERE indrelid::regclass::text IN ('step_up_sessions', 'step_up_credentials', 'step_up_flows') \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)"
    );
    let mut back = Vec::new();
    let mut run = vec!["BEGIN".to_owned(), "SET LOCAL maintenance_work_mem = '2GB'".to_owned()];
    run.push("SET LOCAL session_replication_role = replica".to_owned());
    for question in [constraints, indexes] {
        for row in connection.fetch_all(AssertSqlSafe(question)).await.unwrap() {
            run.push(row.get(0));
            back.push(row.get::<String, _>(1));
        }
    }
    for table in TABLES {
        run.push(format!("CREATE TEMP TABLE one_of_{table} ON COMMIT DROP AS SELECT * FROM {table} LIMIT 1"));
    }
    run.push("TRUNCATE step_up_sessions, step_up_credentials, step_up_flows, step_up_secrets".to_owned());
    let subject = |number: &str| format!("'user-' || lpad({}::text, 8, '0')", scattered(number, sessions));
    let binding = |number: &str| format!("md5('line ' || {})::uuid", scattered(number, sessions));
    run.extend([
        format!(
            "INSERT INTO step_up_subjects (subject) SELECT 'user-' || lpad(n::text, 8, '0') FROM generate_series(0, {sessions} - 1) n"
        ),
        format!(
            "INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at, name, last_used_at) \
             SELECT gen_random_uuid(), {}, method, aal, data, last_step, created_at, name, last_used_at \
             FROM one_of_step_up_credentials, generate_series(1, {sessions}::bigint) n",
            subject("n")
        ),
        format!(
            "INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at, answered_digest, answered_at, device, \
                 seen_at, revocations) \
             SELECT gen_random_uuid(), {}, {}, proofs, {now} - 86400000 + n * 86400000 / {sessions}, \
                 {now} + 172800000 + n * 86400000 / {sessions}, answered_digest, answered_at, device, seen_at, revocations \
             FROM one_of_step_up_sessions, generate_series(1, {sessions}::bigint) n",
            subject("n"),
            binding("n")
        ),
        format!(
            "INSERT INTO step_up_flows (id, subject, binding, expires_at, version, completed, in_use, body) \
             SELECT gen_random_uuid(), {}, {}, {now} - 86400000 + n * 86400000 / {flows}, version, completed, in_use, body \
             FROM one_of_step_up_flows, generate_series(1, {flows}::bigint) n",
            subject("n"),
            binding("n")
        ),
    ]);
    run.extend(back);
    run.extend(["COMMIT".to_owned(), "VACUUM ANALYZE".to_owned(), "CHECKPOINT".to_owned()]);
    for statement in run {
        connection
            .execute(AssertSqlSafe(statement.clone()))
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// The same. A table whose ids are unique has an index that cannot be dropped, so each is made anew.
async fn fill_sqlite(pool: &SqlitePool, pages: &mut Vec<(String, i64)>, sessions: u64, flows: u64, now: i64) {
    let mut run: Vec<String> =
        ["synchronous = OFF", "journal_mode = OFF", "cache_size = -1000000", "foreign_keys = OFF"]
            .into_iter()
            .map(|setting| format!("PRAGMA {setting}"))
            .collect();
    let (mut indexes, mut triggers, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    let schema = "SELECT type, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name IN \
                  ('step_up_sessions', 'step_up_credentials', 'step_up_flows')";
    for row in pool.fetch_all(schema).await.unwrap() {
        let (kind, table, sql): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        match kind.as_str() {
            "table" => {
                assert!(sql.contains("NOT NULL UNIQUE"), "{sql}");
                tables.push(sql.replace("NOT NULL UNIQUE", "NOT NULL"));
                indexes.push(format!("CREATE UNIQUE INDEX {table}_id ON {table} (id)"));
            }
            "index" => indexes.push(sql),
            _ => triggers.push(sql),
        }
    }
    for table in TABLES {
        run.push(format!("CREATE TEMP TABLE one_of_{table} AS SELECT * FROM {table} LIMIT 1"));
        run.push(format!("DROP TABLE {table}"));
    }
    run.extend(tables);
    run.push("VACUUM".to_owned());
    let numbers = |until: u64| {
        format!("WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {until})")
    };
    let subject = |number: &str| format!("printf('user-%08d', {})", scattered(number, sessions));
    // Different for each line of sessions, and far from those before and after it.
    let binding = |number: &str| {
        let part = |factor: u64| format!("{} * {factor} % 4294967296", scattered(number, sessions));
        let parts = [part(2_654_435_761), part(2_246_822_519), part(3_266_489_917), part(668_265_263)];
        format!("unhex(printf('%08x%08x%08x%08x', {}))", parts.join(", "))
    };
    run.extend([
        format!(
            "{} INSERT INTO step_up_credentials (id, subject, method, aal, data, last_step, created_at, name, last_used_at) \
             SELECT randomblob(16), {}, method, aal, data, last_step, created_at, name, last_used_at \
             FROM numbers, one_of_step_up_credentials",
            numbers(sessions),
            subject("n")
        ),
        format!(
            "{} INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at, answered_digest, answered_at, device, \
                 seen_at, revocations) \
             SELECT randomblob(16), {}, {}, proofs, {now} - 86400000 + n * 86400000 / {sessions}, \
                 {now} + 172800000 + n * 86400000 / {sessions}, answered_digest, answered_at, device, seen_at, revocations \
             FROM numbers, one_of_step_up_sessions",
            numbers(sessions),
            subject("n"),
            binding("n")
        ),
        format!(
            "{} INSERT INTO step_up_flows (id, subject, binding, expires_at, version, completed, in_use, body) \
             SELECT randomblob(16), {}, {}, {now} - 86400000 + n * 86400000 / {flows}, version, completed, in_use, body \
             FROM numbers, one_of_step_up_flows",
            numbers(flows),
            subject("n"),
            binding("n")
        ),
    ]);
    run.extend(indexes);
    run.extend(triggers);
    run.push("PRAGMA journal_mode = WAL".to_owned());
    for statement in run {
        let before: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(pool).await.unwrap();
        pool.execute(AssertSqlSafe(statement.clone())).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let after: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(pool).await.unwrap();
        let step = match statement.split_once("INSERT INTO ") {
            Some((_, rest)) => rest.split(' ').next().unwrap().to_owned(),
            None => statement,
        };
        if after > before && (step.starts_with("step_up_") || step.starts_with("CREATE ") && step.contains("INDEX")) {
            pages.push((step, after - before));
        }
    }
}

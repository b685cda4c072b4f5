//! Each statement of the stores finds its rows by an index, so that it costs the same with ten rows and with ten million.
//!
//! The statements are read from the source, so that a new one is planned too.

use std::{collections::BTreeSet, fs, path::Path};

/// Two tables of one row, and the log of changes of `SQLite`: what trims it reads from its oldest row on, as far as it trims.
const READ_ON_PURPOSE: [&str; 3] = ["step_up_revocations", "step_up_changes_removed", "SCAN step_up_changes"];

const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

/// The statements in the source of the store on this database.
fn statements(database: &str) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql").join(database);
    let sources: String = fs::read_dir(directory).unwrap().map(|file| read(&file.unwrap().path())).collect();
    // Parts that several statements have are macros with one text.
    let mut whole = sources.clone();
    for definition in sources.split("macro_rules! ").skip(1) {
        let name = definition.split_whitespace().next().unwrap();
        let text = definition.split('"').nth(1).unwrap();
        whole = whole.replace(&format!("{name}!()"), &format!("\"{text}\""));
    }
    // Texts beside each other are parts of one, unless a statement begins.
    let whole = VERBS.iter().fold(whole, |whole, verb| whole.replace(&format!("\", \"{verb}"), &format!("\"\"{verb}")));
    let whole = whole.replace("\", \"", "");
    let mut found = BTreeSet::new();
    for text in whole.match_indices('"').map(|(at, _)| &whole[at + 1..]) {
        if VERBS.iter().any(|verb| text.starts_with(verb)) {
            found.extend(text.split('"').next().unwrap().split("; ").map(str::to_owned));
        }
    }
    found.retain(|text| text.contains("step_up_"));
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The statements in the functions of the migrations, each with the number and the types of its parameters: the function's variables.
#[cfg(all(unix, feature = "postgres"))]
fn in_functions() -> Vec<(String, usize, String)> {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let files = ["0013_one_statement.sql", "0014_removal_apart.sql", "0015_less_planning.sql"];
    let source: String = files.map(|file| fs::read_to_string(migrations.join(file)).unwrap()).concat();
    let lines = source.lines().map(|line| line.split("--").next().unwrap());
    let source = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for function in source.replace("CREATE OR REPLACE", "CREATE").split("CREATE FUNCTION ").skip(1) {
        let parts: Vec<_> = function.splitn(3, "$body$").collect();
        let (declared, body) = (parts[0], parts[1]);
        let (variables, body) = body.split_once("BEGIN ").unwrap();
        let mut types: Vec<(&str, &str)> = Vec::new();
        for variable in declared.split_once('(').unwrap().1.split([',', ')']).chain(variables.split(';')) {
            let mut words = variable.split_whitespace().skip_while(|word| !word.starts_with('_'));
            types.extend(words.next().zip(words.next()));
        }
        types.extend(
            body.split("FOR ").filter_map(|rest| rest.split_once(" IN 1..")).map(|(place, _)| (place, "integer")),
        );
        for text in body.split(';').flat_map(expressions).filter(|text| text.contains("step_up_")) {
            let mut own: Vec<&str> = Vec::new();
            let mut planned = String::new();
            for word in text.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
                let name = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
                if let Some((_, kind)) = types.iter().find(|(variable, _)| *variable == name) {
                    own.push(kind);
                    planned.extend(["$", &own.len().to_string(), &word[name.len()..]]);
                } else {
                    planned += word;
                }
            }
            let kinds = if own.is_empty() { String::new() } else { format!("({})", own.join(", ")) };
            found.push((planned, own.len(), kinds));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// What a line of a function asks the database, without what the function does with the answer.
#[cfg(all(unix, feature = "postgres"))]
fn expressions(line: &str) -> Vec<String> {
    let mut asked = Vec::new();
    let mut rest = line.trim();
    loop {
        if let Some((condition, then)) =
            rest.strip_prefix("IF ").or(rest.strip_prefix("ELSIF ")).and_then(|rest| rest.split_once(" THEN "))
        {
            asked.push(format!("SELECT {condition}"));
            rest = then;
        } else if let Some((_, each)) = rest.strip_prefix("FOR ").and_then(|rest| rest.split_once(" LOOP ")) {
            rest = each;
        } else if let Some(after) = rest.strip_prefix("LOOP ").or(rest.strip_prefix("ELSE ")) {
            rest = after;
        } else {
            break;
        }
    }
    if let Some((_, value)) = rest.split_once(" := ") {
        asked.push(format!("SELECT {value}"));
    } else if let Some(after) = rest.strip_prefix("PERFORM ") {
        asked.push(format!("SELECT {after}"));
    } else if ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| rest.starts_with(verb)) {
        asked.push(rest.replace(" INTO _number", "").replace(" INTO _seq", ""));
    }
    asked
}

/// The source, with one blank between its words.
fn read(file: &Path) -> String {
    let source = fs::read_to_string(file).unwrap().replace("\\\n", " ");
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a step of a plan reads a table from one end to the other.
fn is_scan(step: &str, way: &str) -> bool {
    step.contains(&format!("{way} step_up_")) && !READ_ON_PURPOSE.iter().any(|read| step.contains(read))
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn no_statement_reads_a_whole_table_of_sqlite() {
    use sqlx::{AssertSqlSafe, Row as _, SqlitePool, sqlite::SqlitePoolOptions};
    use tower_step_up::store::SqlStore;

    let pool: SqlitePool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let _migrated = SqlStore::from_pool(pool.clone()).await.unwrap();
    let mut scans = Vec::new();
    for text in statements("sqlite") {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&pool).await;
        let plan = plan.unwrap_or_else(|error| panic!("{text}: {error}"));
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        if steps.iter().any(|step| is_scan(step, "SCAN")) {
            scans.push((text, steps));
        }
    }
    assert!(scans.is_empty(), "{scans:#?}");
}

#[cfg(all(unix, feature = "postgres"))]
#[tokio::test]
async fn no_statement_reads_a_whole_table_of_postgres() {
    use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
    use tower_step_up::store::SqlStore;

    use crate::servers::postgres::Postgres;

    let Some(server) = Postgres::shared() else { return };
    let url = server.url();
    let _migrated = SqlStore::connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // Small tables are read whole, unless there is another way. That there is one is what counts.
    for setting in ["enable_seqscan = off", "plan_cache_mode = force_generic_plan"] {
        sqlx::raw_sql(AssertSqlSafe(format!("SET {setting}"))).execute(&mut connection).await.unwrap();
    }
    let mut scans = Vec::new();
    let typeless = |text: String| {
        let parameters = (1..40).take_while(|number| text.contains(&format!("${number}"))).count();
        (text, parameters, String::new())
    };
    for (text, parameters, types) in statements("postgres").into_iter().map(typeless).chain(in_functions()) {
        let nulls = vec!["NULL"; parameters].join(", ");
        let arguments = if nulls.is_empty() { String::new() } else { format!("({nulls})") };
        let run = format!("DEALLOCATE ALL; PREPARE planned{types} AS {text}");
        sqlx::raw_sql(AssertSqlSafe(run))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE planned{arguments}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).persistent(false).fetch_all(&mut connection).await.unwrap();
        if plan.iter().any(|step| is_scan(step, "Seq Scan on")) {
            scans.push((text, plan));
        }
    }
    assert!(scans.is_empty(), "{scans:#?}");
}

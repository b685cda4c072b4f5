//! PostgreSQL. What a test writes need not survive a power cut, so nothing waits for the disk.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Server, directory, free_port, newest_below, program, run_as, unprivileged};

pub struct Postgres {
    _server: Server,
    psql: PathBuf,
    port: u16,
}

impl Postgres {
    /// One for all tests of this process; `None` if it is not installed.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Option<Postgres>> = LazyLock::new(Postgres::start);
        SHARED.as_ref()
    }

    /// One that the test may stop.
    pub fn start() -> Option<Self> {
        Self::start_with(&["shared_buffers=64MB"])
    }

    /// One with these settings beside those that all have.
    pub fn start_with(settings: &[&str]) -> Option<Self> {
        // The programs proper are not in Debian's PATH.
        let versions = newest_below(std::path::Path::new("/usr/lib/postgresql"));
        let elsewhere: Vec<_> = versions.into_iter().map(|version| version.join("bin")).collect();
        let (initdb, postgres) = (program("initdb", &elsewhere)?, program("postgres", &elsewhere)?);
        let (is_ready, psql) = (program("pg_isready", &elsewhere)?, program("psql", &elsewhere)?);
        let account = unprivileged();
        let data = directory("postgres", account);
        let mut init = Command::new(initdb);
        init.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username=step_up", "-D", "data"]);
        init.current_dir(&data).stdin(Stdio::null()).stdout(Stdio::null());
        run_as(&mut init, account);
        assert!(init.status().unwrap().success(), "initdb failed");
        let port = free_port();
        let mut command = Command::new(postgres);
        command.args(["-D", "data", "-p", &port.to_string(), "-k", ""]);
        let always = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=400"];
        for setting in always.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let server = Server::start(data, account, "QUIT", &mut command);
        server.wait_until(|| {
            let mut ask = Command::new(&is_ready);
            ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "step_up", "-d", "postgres"]);
            ask.status().unwrap().success()
        });
        Some(Self { _server: server, psql, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of an empty schema of its own, for a store or a bank.
    pub fn url(&self) -> String {
        let schema = unused("test");
        self.run(&format!("CREATE SCHEMA {schema}"));
        self.url_of(&schema)
    }

    /// The name of an empty database of its own, for a store that cannot ask for a schema.
    pub fn database(&self) -> String {
        let database = unused("database");
        self.run(&format!("CREATE DATABASE {database}"));
        database
    }

    fn run(&self, statement: &str) {
        let mut psql = Command::new(&self.psql);
        psql.args(["-qX", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "step_up", "-d", "postgres"]);
        assert!(psql.args(["-c", statement]).status().unwrap().success(), "{statement}");
    }

    pub fn url_of(&self, schema: &str) -> String {
        format!("postgres://step_up@127.0.0.1:{}/postgres?options=-c%20search_path%3D{schema}", self.port)
    }
}

/// A name that this process has not given yet.
fn unused(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

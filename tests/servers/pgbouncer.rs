//! `PgBouncer` in front of PostgreSQL, in transaction mode: each transaction of a client gets whichever server process is free.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{Server, all_tests_must_run, directory, free_port, postgres::Postgres, program, unprivileged};

pub struct PgBouncer {
    server: Server,
    port: u16,
}

impl PgBouncer {
    /// In front of all databases of this server; `None` if it is not installed. It remembers so many prepared statements of each client.
    pub fn before(server: &Postgres, prepared_statements: u32) -> Option<Self> {
        let pgbouncer = recent()?;
        let account = unprivileged();
        let directory = directory("pgbouncer", account);
        let port = free_port();
        // In turns, so that a client's next transaction is hardly ever where its last one was.
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = users\n\
             pool_mode = transaction\nmax_prepared_statements = {prepared_statements}\n\
             default_pool_size = 3\nmin_pool_size = 3\nserver_round_robin = 1\nmax_client_conn = 1000\n\
             ignore_startup_parameters = extra_float_digits, options\n",
            server.port()
        );
        fs::write(directory.join("pgbouncer.ini"), configuration).unwrap();
        fs::write(directory.join("users"), "\"step_up\" \"\"\n").unwrap();
        let server = Server::start(directory, account, "QUIT", Command::new(pgbouncer).arg("pgbouncer.ini"));
        server.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { server, port })
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://step_up@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// The program, if it knows prepared statements in transaction mode. Debian 12 has one that does not; `scripts/pgbouncer` builds one.
fn recent() -> Option<PathBuf> {
    const SINCE: (u32, u32) = (1, 21);
    let path = program("pgbouncer", &[PathBuf::from("/usr/sbin")])?;
    let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().nth(1).unwrap_or_default().split('.').map(|number| number.parse().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    if version >= Some(SINCE) {
        return Some(path);
    }
    let version = text.lines().next().unwrap_or_default();
    assert!(
        !all_tests_must_run(),
        "STEP_UP_TEST_ALL=1 asks for all tests, but this is {version}: 1.21 or later is needed"
    );
    eprintln!("not run, since this is {version}: 1.21 or later is needed");
    None
}

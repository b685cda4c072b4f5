//! Real servers for tests: PostgreSQL, `PgBouncer`, Redis and nginx, each started by the test that needs it, on a free port of the loopback
//! interface, with a directory of its own that goes with it.
//!
//! A server ends with the test's process, however that ends: a shell holds the other end of a pipe, and ends the server when the pipe
//! is closed.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod nginx;
pub mod pgbouncer;
pub mod postgres;
pub mod redis;

use std::{
    env, fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A program and its directory. It ends when this is dropped, and when this process ends.
pub struct Server {
    guard: Child,
    directory: PathBuf,
}

/// The account that servers run under which refuse to run as root.
#[derive(Clone, Copy)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// Ends the program when standard input does, then removes its directory.
const GUARD: &str = r#"
directory=$1 signal=$2; shift 2
"$@" </dev/null >"$directory/log" 2>&1 &
server=$!
read -r _
# Twice, since a program that has only just been started may not listen to the first.
for _ in 1 2; do kill -s "$signal" "$server" && sleep 0.1; done 2>/dev/null
wait "$server"
rm -rf "$directory"
"#;

impl Server {
    /// Starts the program in the directory, under the account if there is one.
    pub fn start(directory: PathBuf, account: Option<Account>, end: &str, program: &mut Command) -> Self {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&directory).arg(end);
        guard.arg(program.get_program()).args(program.get_args()).current_dir(&directory);
        run_as(&mut guard, account);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { guard, directory }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Waits until the server is ready.
    pub fn wait_until(&self, ready: impl Fn() -> bool) {
        let begun = Instant::now();
        while !ready() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _status = self.guard.wait();
    }
}

/// A new directory that the account may write to.
pub fn directory(name: &str, account: Option<Account>) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("step-up-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = env::temp_dir().join(name);
    fs::create_dir_all(&path).unwrap();
    if let Some(Account { uid, gid }) = account {
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
    }
    path
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn run_as(command: &mut Command, account: Option<Account>) {
    use std::os::unix::process::CommandExt as _;
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
}

/// An account without rights, if this process is root's.
pub fn unprivileged() -> Option<Account> {
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let of = |name: &str| Some(Account { uid: id(&["-u", name])?, gid: id(&["-g", name])? });
    Some(of("postgres").or_else(|| of("nobody")).expect("an account without rights"))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The program, from `PATH` or one of these directories. Without it the test is left out, unless all tests must run.
pub fn program(name: &str, elsewhere: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain(elsewhere.iter().cloned())
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    assert!(found.is_some() || !all_tests_must_run(), "STEP_UP_TEST_ALL=1 asks for all tests, but there is no {name}");
    if found.is_none() {
        eprintln!("not run, since there is no {name}");
    }
    found
}

/// Whether a missing program is a failure.
pub fn all_tests_must_run() -> bool {
    env::var_os("STEP_UP_TEST_ALL").is_some_and(|value| value == "1")
}

/// The directories below `parent`, the last first.
pub fn newest_below(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.reverse();
    found
}

/// Reads what there is of a file, for a message.
pub fn tail(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = fs::File::open(path) {
        let _whole = file.read_to_string(&mut text);
    }
    text
}

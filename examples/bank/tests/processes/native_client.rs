//! The example of a native client against a running bank, as its documentation says.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    bank::ALICE,
    program::{Program, code},
};

/// Cargo has no variable for an example's path. It lies beside the folder of this test's own executable.
fn native_client() -> PathBuf {
    let own = env::current_exe().unwrap();
    let profile = own.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("native_client{}", env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing: run `cargo build -p bank --all-features --examples` first", path.display());
    path
}

/// Runs the client with these lines of input; what it says, and whether it ended well.
fn run(url: &str, username: &str, typed: &str) -> (bool, String) {
    let mut client = Command::new(native_client())
        .args([url, username, &format!("{username}-password")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn a_native_client_reads_every_answer() {
    let mut bank = Program::bank(&[("BANK_STORE", "memory")]);
    let url = bank.url();
    let (well, said) = run(&url, "alice", &format!("12\n{}\n", code(ALICE)));
    assert!(well && said.contains("the session is aal2 now") && said.contains(r#""subject":"alice""#), "{said}");
    let (well, said) = run(&url, "bob", "");
    assert!(!well && said.contains("no second factor is enrolled"), "{said}");
}

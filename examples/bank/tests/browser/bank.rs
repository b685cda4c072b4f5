//! The bank as a running program, and the codes of its users' authenticator apps.

use std::{
    fs,
    io::{BufRead, BufReader},
    ops::RangeInclusive,
    path::Path,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use totp_rs::{Builder, Secret};

/// The secret in the app of alice.
pub(crate) const ALICE_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const STEP_SECONDS: u64 = 30;

/// A bank of its own for one test, with its own database. It ends when this is dropped.
pub(crate) struct Bank {
    process: Child,
    url: String,
}

impl Bank {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bank"))
            .env("BANK_ADDR", "127.0.0.1:0")
            .env("BANK_STORE", format!("sqlite://{}", directory.join("bank.db").display()))
            .env_remove("BANK_PUBLIC_URL")
            .env_remove("BANK_FLOWS")
            .env_remove("BANK_SECRET")
            .env_remove("BANK_MODEL")
            .env_remove("BANK_TRANSFER_MAX_AGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(directory.join("bank.log")).unwrap())
            .spawn()
            .unwrap();
        let line = BufReader::new(process.stdout.take().unwrap()).lines().next();
        let Some(url) = line.and_then(|line| Some(line.ok()?.strip_prefix("bank listening on ")?.to_owned())) else {
            let _already_ended = process.kill();
            let log = fs::read_to_string(directory.join("bank.log")).unwrap_or_default();
            panic!("the bank did not say where it listens:\n{log}");
        };
        Self { process, url }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        let _already_ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// What an authenticator app with this secret shows now.
pub(crate) fn code(secret: &str) -> String {
    codes(secret, 0..=0).remove(0)
}

/// Six digits that the app shows neither now nor soon before or after.
pub(crate) fn wrong_code(secret: &str) -> String {
    let near = codes(secret, -4..=4);
    (0..1_000_000).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
}

fn codes(secret: &str, steps: RangeInclusive<i64>) -> Vec<String> {
    let secret = Secret::try_from_base32(secret.replace(' ', "")).unwrap();
    let totp = Builder::new().with_secret(secret.as_bytes().to_vec()).build().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / STEP_SECONDS;
    steps.map(|step| totp.generate(now.saturating_add_signed(step) * STEP_SECONDS).to_string()).collect()
}

//! The bank as a running program, and the codes of its users' authenticator apps.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
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
    #[allow(dead_code, reason = "it ends when it is dropped")]
    process: Running,
    url: String,
}

struct Running(Child);

impl Bank {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, "127.0.0.1:0", &[])
    }

    /// A bank that also takes security keys. Browsers use them for domains alone.
    pub(crate) fn with_keys(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let public_url = format!("http://localhost:{port}");
        let settings = [("BANK_PUBLIC_URL", public_url.as_str()), ("BANK_FACTORS", "totp,lookup_secret,webauthn")];
        let bank = Self::start_with(directory, &format!("127.0.0.1:{port}"), &settings);
        Self { url: public_url, ..bank }
    }

    fn start_with(directory: &Path, address: &str, settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bank"))
            .env("BANK_ADDR", address)
            .env("BANK_STORE", format!("sqlite://{}", directory.join("bank.db").display()))
            .env_remove("BANK_PUBLIC_URL")
            .env_remove("BANK_FLOWS")
            .env_remove("BANK_SECRET")
            .env_remove("BANK_MODEL")
            .env_remove("BANK_TRANSFER_MAX_AGE")
            .env_remove("BANK_FACTORS")
            .env_remove("BANK_TRUSTED_DEVICE_DAYS")
            .envs(settings.iter().copied())
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
        Self { process: Running(process), url }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _reaped = self.0.wait();
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

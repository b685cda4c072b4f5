//! A program under test, and the codes of its users' authenticator apps.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use totp_rs::{Builder, Secret};

pub(crate) const ALICE: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
pub(crate) const CAROL: &str = "KRSXG5CTMVRXEZLUKN2HE2LOM4QHG33N";

/// It ends when this is dropped.
pub(crate) struct Program {
    process: Child,
    url: Option<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { process: command.spawn().unwrap(), url: None }
    }

    /// The `bank` with these settings and no others.
    pub(crate) fn bank(settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(example("bank"));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BANK_")) {
            command.env_remove(name);
        }
        command.env("BANK_ADDR", "127.0.0.1:0").envs(settings.iter().copied());
        Self::start(&mut command)
    }

    /// Waits until it says where it listens.
    pub(crate) fn url(&mut self) -> String {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let output = BufReader::new(self.process.stdout.take().unwrap());
        let url = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening on ").map(|(_, url)| url.to_owned()));
        self.url.insert(url.expect("the program ended before it listened")).clone()
    }

    pub(crate) fn id(&self) -> i32 {
        self.process.id().try_into().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Cargo has no variable for an example's path. It lies beside the folder of this test's own executable.
pub(crate) fn example(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap();
    let profile = own.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing: run `cargo build --all-features --examples` first", path.display());
    path
}

/// What an authenticator app with this secret shows now. It is good for half a minute at least, since a step's delay is allowed.
pub(crate) fn code(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(secret.as_bytes().to_vec()).build().unwrap();
    totp.generate(now).to_string()
}

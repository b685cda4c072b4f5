//! A program under test, and the codes of its users' authenticator apps. The tests of the bank have it too.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use totp_rs::{Builder, Secret};

/// It ends when this is dropped.
pub(crate) struct Program {
    process: Child,
    url: Option<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// What it writes to standard error goes there.
    pub(crate) fn start_with(command: &mut Command, errors: impl Into<Stdio>) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        Self { process: command.spawn().unwrap(), url: None }
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

/// What an authenticator app with this secret shows now. It is good for half a minute at least, since a step's delay is allowed.
pub(crate) fn code(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(secret.as_bytes().to_vec()).build().unwrap();
    totp.generate(now).to_string()
}

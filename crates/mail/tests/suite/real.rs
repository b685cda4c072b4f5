//! A mail server that others wrote: aiosmtpd, which `tests/aiosmtpd/install` installs. `STEP_UP_TEST_ALL=1` says that these tests must run, as
//! `scripts/test` does. Otherwise they do nothing.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;
use tower_step_up_mail::Smtp;

use crate::{
    bank::{Bank, FROM, told},
    mail::{assert_says, code_of},
};

struct Aiosmtpd {
    process: Child,
    /// It ends with its input.
    _input: ChildStdin,
    lines: Receiver<Value>,
    port: u64,
    authority: String,
}

impl Aiosmtpd {
    fn start(mode: &str) -> Option<Self> {
        if env::var_os("STEP_UP_TEST_ALL").is_none_or(|value| value != "1") {
            return None;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiosmtpd");
        let installed = Command::new(folder.join("install")).stderr(Stdio::inherit()).output().unwrap();
        assert!(installed.status.success(), "STEP_UP_TEST_ALL=1 asks for all tests, but aiosmtpd is not installed");
        let python = String::from_utf8(installed.stdout).unwrap();
        let mut process = Command::new(python.trim())
            .arg(folder.join("server.py"))
            .arg(mode)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It tells at length of clients that do not trust it.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let first = next(&lines);
        let (port, authority) = (first["port"].as_u64().unwrap(), first["authority"].as_str().unwrap().to_owned());
        Some(Self { process, _input: input, lines, port, authority })
    }

    fn line(&self) -> Value {
        next(&self.lines)
    }
}

fn next(lines: &Receiver<Value>) -> Value {
    lines.recv_timeout(Duration::from_secs(20)).expect("the mail server says nothing")
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One process of Python installs, so the tests take turns.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_real_server_takes_the_mail() {
    let _one = ONE.lock().await;
    let Some(server) = Aiosmtpd::start("plain") else { return };
    for (locale, in_english) in [(None, true), (Some("de-CH"), false)] {
        let smtp = Smtp::new(&format!("smtp://127.0.0.1:{}", server.port), FROM).unwrap();
        let bank = Bank::of(smtp, vec!["kim@app.example"], locale, "Example Bank").await;
        let flow = bank.begin().await;
        assert_eq!(told(&flow), [1_010_025]);
        let mail = server.line();
        assert_eq!((&mail["from"], &mail["to"][0]), (&"no-reply@bank.example".into(), &"kim@app.example".into()));
        let data = mail["data"].as_str().unwrap();
        assert_says(data, in_english);
        bank.enters(&flow, &code_of(data)).await;
    }
}

#[tokio::test]
async fn a_real_server_gets_the_mail_encrypted_with_a_password() {
    let _one = ONE.lock().await;
    for (mode, scheme) in [("starttls", "smtp"), ("smtps", "smtps")] {
        let Some(server) = Aiosmtpd::start(mode) else { return };
        let smtp = |password: &str| {
            let url = format!("{scheme}://bank:{password}@localhost:{}", server.port);
            let smtp = Smtp::new(&url, FROM).unwrap().trust(server.authority.as_bytes()).unwrap();
            if scheme == "smtp" { smtp.starttls() } else { smtp }
        };
        let bank = Bank::with(smtp("p%3Ass%20w%C3%B6rd")).await;
        let flow = bank.begin().await;
        assert_eq!(told(&flow), [1_010_025], "{mode}: {flow}");
        let mail = server.line();
        assert_eq!((&mail["encrypted"], &mail["user"]), (&true.into(), &"bank".into()), "{mode}");
        bank.enters(&flow, &code_of(mail["data"].as_str().unwrap())).await;

        // A wrong password, and a server that nobody vouches for.
        for wrong in [smtp("wrong"), {
            let url = format!("{scheme}://bank:p%3Ass%20w%C3%B6rd@localhost:{}", server.port);
            let smtp = Smtp::new(&url, FROM).unwrap();
            if scheme == "smtp" { smtp.starttls() } else { smtp }
        }] {
            let flow = Bank::with(wrong).await.begin().await;
            assert!(flow.to_string().contains("could not be sent"), "{mode}: {flow}");
        }
    }
}

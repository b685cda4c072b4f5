//! The bank as a running program, and what its clients do.

use std::{
    env,
    process::{Command, Stdio},
};

use reqwest::Method;
use serde_json::json;

use crate::{
    client::{Answer, Client},
    program::Program,
};

/// The secrets in the apps of two users.
pub(crate) const ALICE: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
pub(crate) const CAROL: &str = "KRSXG5CTMVRXEZLUKN2HE2LOM4QHG33N";

impl Program {
    /// The bank with these settings and no others.
    pub(crate) fn bank(settings: &[(&str, &str)]) -> Self {
        Self::bank_with(settings, Stdio::null())
    }

    /// The same, and what it writes to standard error goes there.
    pub(crate) fn bank_with(settings: &[(&str, &str)], errors: impl Into<Stdio>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BANK_")) {
            command.env_remove(name);
        }
        command.env("BANK_ADDR", "127.0.0.1:0").envs(settings.iter().copied());
        Self::start_with(&mut command, errors)
    }
}

impl Client {
    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, None).await
    }

    /// Signs in by password at the bank.
    pub(crate) async fn log_in(bank: &str, user: &str) -> Self {
        let mut client = Self::new();
        let credentials = json!({ "username": user, "password": format!("{user}-password") });
        let (status, body) = client.send(Method::POST, &format!("{bank}/api/login"), Some(credentials)).await;
        assert_eq!(status, 200, "{body}");
        client.take_token(&body);
        client
    }

    /// Begins a flow to aal2 and returns its id.
    pub(crate) async fn begin(&self, bank: &str) -> String {
        let (status, body) = self.get(&format!("{bank}/self-service/login/api?aal=aal2")).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Submits a TOTP code.
    pub(crate) async fn submit(&self, bank: &str, flow: &str, code: &str) -> Answer {
        let body = json!({ "method": "totp", "totp_code": code });
        self.send(Method::POST, &format!("{bank}/self-service/login?flow={flow}"), Some(body)).await
    }

    pub(crate) async fn log_out(&self, bank: &str) {
        let body = json!({ "session_token": self.token });
        let (status, _) = self.send(Method::DELETE, &format!("{bank}/self-service/logout/api"), Some(body)).await;
        assert_eq!(status, 204);
    }
}

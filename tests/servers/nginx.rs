//! nginx as a balancer that gives each request to the next server in turn.

use std::{fs, net::TcpStream, path::PathBuf, process::Command};

use super::{Server, directory, program};

pub struct Nginx {
    server: Server,
}

impl Nginx {
    /// In front of these addresses; `None` if it is not installed.
    pub fn start(port: u16, upstream: &[&str]) -> Option<Self> {
        let nginx = program("nginx", &[PathBuf::from("/usr/sbin")])?;
        let directory = directory("nginx", None);
        let servers: String = upstream.iter().map(|address| format!("server {address};")).collect();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .collect();
        // One worker: several would each have a turn of their own.
        let configuration = format!(
            "daemon off; worker_processes 1; pid pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n\
             access_log off; {temporary}\n\
             upstream bank {{ {servers} }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{\n\
             proxy_pass http://bank; proxy_set_header Host $http_host; proxy_next_upstream off;\n\
             }} }}\n\
             }}\n"
        );
        fs::write(directory.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(&directory).args(["-c", "nginx.conf", "-e", "stderr"]);
        let server = Server::start(directory, None, "TERM", &mut command);
        server.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { server })
    }

    pub fn log(&self) -> String {
        self.server.log()
    }
}

//! nginx as a balancer that gives each request to the next server in turn.

use std::{fs, net::TcpStream, path::PathBuf, process::Command};

use super::{Server, directory, program};

pub struct Nginx {
    server: Server,
    directory: PathBuf,
}

impl Nginx {
    /// In front of these addresses; `None` if it is not installed.
    pub fn start(port: u16, upstream: &[&str]) -> Option<Self> {
        Self::with(port, upstream, "location / { proxy_pass http://bank; proxy_set_header Host $http_host; }")
    }

    /// In front of this address, below `/app`, which it takes away from requests or keeps. All sizes are nginx's own defaults.
    pub fn below_app(port: u16, upstream: &str, strips: bool) -> Option<Self> {
        // With a path, even if it is only a slash, it takes the place of the location's.
        let path = if strips { "/" } else { "" };
        let location = format!("location /app/ {{ proxy_pass http://bank{path}; proxy_set_header Host $http_host; }}");
        Self::with(port, &[upstream], &location)
    }

    fn with(port: u16, upstream: &[&str], location: &str) -> Option<Self> {
        let nginx = program("nginx", &[PathBuf::from("/usr/sbin")])?;
        let directory = directory("nginx", None);
        let servers = upstream.join(" max_fails=0; server ");
        let temporary =
            "client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;";
        // One worker: several would each have a turn of their own.
        let configuration = format!(
            "daemon off; worker_processes 1; pid pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n\
             log_format upstream '$upstream_addr $status'; access_log served upstream; {temporary}\n\
             upstream bank {{ server {servers} max_fails=0; }}\n\
             server {{ listen 127.0.0.1:{port}; {location} }}\n\
             }}\n"
        );
        fs::write(directory.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(&directory).args(["-c", "nginx.conf", "-e", "stderr"]);
        let server = Server::start(directory.clone(), None, "TERM", &mut command);
        server.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { server, directory })
    }

    /// Which server answered, a line for each request.
    pub fn served(&self) -> String {
        fs::read_to_string(self.directory.join("served")).unwrap_or_default() + self.server.log().as_str()
    }
}

//! Redis, without a trace on the disk.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::LazyLock,
};

use super::{Server, directory, free_port, program};

pub struct Redis {
    server: Server,
    port: u16,
}

impl Redis {
    /// One for all tests of this process; `None` if it is not installed.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Option<Redis>> = LazyLock::new(|| Redis::start(free_port()));
        SHARED.as_ref()
    }

    /// One that the test may stop.
    pub fn start(port: u16) -> Option<Self> {
        let mut command = Command::new(program("redis-server", &[])?);
        let port_text = port.to_string();
        command.args(["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let server = Server::start(directory("redis", None), None, "KILL", &mut command);
        server.wait_until(|| says_pong(port));
        Some(Self { server, port })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

fn says_pong(port: u16) -> bool {
    let mut answer = [0; 7];
    TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
        stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"+PONG\r\n"
    })
}

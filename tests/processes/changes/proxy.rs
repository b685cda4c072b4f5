//! A way to a server that can swallow what is sent, and cut connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{sleep, timeout},
};

#[derive(Default)]
struct Network {
    swallows: AtomicBool,
    /// Connections that were made before it was last raised are cut.
    cuts: AtomicUsize,
}

pub(super) struct Proxy {
    pub(super) port: u16,
    network: Arc<Network>,
}

impl Proxy {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let network = Arc::<Network>::default();
        let shared = Arc::clone(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pump(from_client, to_server, Arc::clone(&shared)));
                tokio::spawn(pump(from_server, to_client, Arc::clone(&shared)));
            }
        });
        Self { port: own, network }
    }

    /// Connections stay open, but nothing comes through.
    pub(super) fn swallows(&self, swallows: bool) {
        self.network.swallows.store(swallows, Ordering::SeqCst);
    }

    pub(super) fn cuts(&self) {
        self.network.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, network: Arc<Network>) {
    const STEP: Duration = Duration::from_millis(10);
    let made = network.cuts.load(Ordering::SeqCst);
    let mut bytes = vec![0; 65_536];
    while network.cuts.load(Ordering::SeqCst) == made {
        let length = match timeout(STEP, from.read(&mut bytes)).await {
            Err(_) => continue,
            Ok(Ok(length @ 1..)) => length,
            Ok(_) => return,
        };
        while network.swallows.load(Ordering::SeqCst) {
            sleep(STEP).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

//! A mail server of a few commands, which takes mails or does not.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the server does with the next connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// "451" to the first so many mails.
    LaterFor(usize),
    /// "550" to the address.
    Refuses,
    /// "554" to the text.
    RefusesText,
    /// Says nothing at all.
    Silent,
    /// Hangs up after it was greeted.
    HangsUp,
    /// Takes the text and hangs up without an answer.
    BreaksAfterText,
}

#[derive(Clone)]
pub struct Server {
    pub port: u16,
    mails: Arc<Mutex<Vec<String>>>,
    mood: Arc<Mutex<Mood>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            mails: Arc::default(),
            mood: Arc::new(Mutex::new(mood)),
            connections: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                server.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    /// How many connections there were since this was asked last.
    pub fn connections(&self) -> usize {
        self.connections.swap(0, Ordering::SeqCst)
    }

    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let mood = *self.mood.lock().unwrap();
        let mut stream = BufReader::new(stream);
        if mood == Mood::Silent {
            std::future::pending::<()>().await;
        }
        stream.write_all(b"220 mail.test\r\n").await.ok()?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let command = line.get(..4)?.to_ascii_uppercase();
            let answer = match (command.as_str(), mood) {
                ("EHLO", Mood::HangsUp) => return None,
                ("EHLO", _) => "250-mail.test\r\n250 SMTPUTF8\r\n",
                ("RCPT", Mood::Refuses) => "550 no such mailbox\r\n",
                ("DATA", _) => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    let text = read_text(&mut stream).await?;
                    self.take(mood, text)?
                }
                ("QUIT", _) => {
                    stream.write_all(b"221 bye\r\n").await.ok()?;
                    return None;
                }
                _ => "250 OK\r\n",
            };
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
    }

    fn take(&self, mood: Mood, text: String) -> Option<&'static str> {
        match mood {
            Mood::LaterFor(left) if left > 0 => {
                *self.mood.lock().unwrap() = Mood::LaterFor(left - 1);
                return Some("451 later\r\n");
            }
            Mood::RefusesText => return Some("554 no\r\n"),
            _ => {}
        }
        self.mails.lock().unwrap().push(text);
        (mood != Mood::BreaksAfterText).then_some("250 taken\r\n")
    }
}

async fn read_text(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

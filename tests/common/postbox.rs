//! A sender that keeps what it was given, and can be out of order.

use std::sync::{Arc, Mutex};

use tower_step_up::{
    directory::Channel,
    factor::{Message, MessagePurpose, SendError, Sender, SenderFuture},
};

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub to: String,
    pub channel: Channel,
    pub code: String,
    pub locale: Option<String>,
    pub site: String,
    pub application: String,
    pub minutes: u64,
    pub purpose: MessagePurpose,
}

/// What happens to the next messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Works,
    /// No connection.
    Down,
    /// The connection breaks after the message was taken.
    Breaks,
    /// It never answers.
    Hangs,
}

#[derive(Clone, Default)]
pub struct Postbox {
    sent: Arc<Mutex<Vec<Sent>>>,
    condition: Arc<Mutex<Condition>>,
}

impl Postbox {
    pub fn is(&self, condition: Condition) {
        *self.condition.lock().unwrap() = condition;
    }

    pub fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    pub fn all(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub fn last(&self) -> Sent {
        self.sent.lock().unwrap().last().expect("a message").clone()
    }

    /// The code of the last message.
    pub fn code(&self) -> String {
        self.last().code
    }

    /// A code that is not the last one.
    pub fn wrong_code(&self) -> String {
        if self.code() == "000000" { "000001".to_owned() } else { "000000".to_owned() }
    }
}

impl Sender for Postbox {
    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
        Box::pin(async move {
            let condition = *self.condition.lock().unwrap();
            if condition == Condition::Down {
                return Err(SendError::not_sent("connection refused"));
            }
            self.sent.lock().unwrap().push(Sent {
                to: message.to.as_str().to_owned(),
                channel: message.to.channel(),
                code: message.code.to_owned(),
                locale: message.locale.map(str::to_owned),
                site: message.site.to_owned(),
                application: message.application.to_owned(),
                minutes: message.minutes,
                purpose: message.purpose,
            });
            match condition {
                Condition::Breaks => Err(SendError::unknown("connection reset")),
                Condition::Hangs => std::future::pending().await,
                Condition::Works | Condition::Down => Ok(()),
            }
        })
    }
}

//! Codes by mail and text message, to addresses that the application keeps.
//!
//! The subject's addresses are credentials that are kept elsewhere: in the [`Directory`](crate::directory::Directory). A code belongs to the session
//! and not to a flow, and how often codes are sent is counted for the subject: both are in the factor's [memory](super::FactorMemory).

mod known;
mod live;
mod sender;
mod sends;
mod settings;
mod steps;

pub(crate) use self::settings::id_name;
pub use self::{
    sender::{LogSender, Message, MessagePurpose, SendError, Sender, SenderFuture},
    settings::Code,
};

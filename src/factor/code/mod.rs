//! Codes by mail and text message, to addresses that the application keeps, and to those that users add.
//!
//! The former are credentials that are kept elsewhere: in the [`Directory`](crate::directory::Directory). The latter are stored, sealed. A code belongs to the session
//! and not to a flow, and how often codes are sent is counted for the subject: both are in the factor's [memory](super::FactorMemory).

mod adding;
mod delivery;
mod known;
mod live;
mod own;
mod sender;
mod sends;
mod settings;
mod steps;

#[cfg(feature = "axum")]
pub(crate) use self::adding::{ADDRESS_FIELD, AddressesOfUser, CODE_FIELD};
pub use self::{
    sender::{LogSender, Message, MessagePurpose, SendError, Sender, SenderFuture},
    settings::Code,
};

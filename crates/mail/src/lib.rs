#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod smtp;
mod text;

pub use self::smtp::{InvalidSmtp, Smtp};

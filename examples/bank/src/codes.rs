//! Codes to the users' addresses: by mail if there is a server for it, and otherwise on standard error, where developers and tests read them.

use tower_step_up::{
    error::BuildError,
    factor::{Code, LogSender, Message, Sender, SenderFuture},
};
use url::Url;

use crate::config::Codes;

pub(crate) fn factor(codes: &Codes, public_url: &Url) -> Code {
    #[cfg(feature = "mail")]
    let code = match &codes.smtp {
        // Text messages have no gateway here.
        Some(smtp) if StandardError.check_configuration(public_url).is_ok() => {
            Code::new(smtp.clone()).sender(StandardError)
        }
        Some(smtp) => Code::new(smtp.clone()),
        None => Code::new(StandardError),
    };
    #[cfg(not(feature = "mail"))]
    let (code, _) = (Code::new(StandardError), public_url);
    if codes.cool_down.is_zero() { code.no_send_limits_on_loopback() } else { code.cool_down(codes.cool_down) }
}

/// Writes each code to standard error. Whoever reads that is let in, so it is for loopback alone.
struct StandardError;

impl Sender for StandardError {
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        LogSender::default().check_configuration(public_url)
    }

    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
        Box::pin(async move {
            eprintln!("code for {}: {}", message.to.as_str(), message.code);
            Ok(())
        })
    }
}

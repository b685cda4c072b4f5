//! Codes to the users' addresses: by mail if there is a server for it, and otherwise on standard error, where developers and tests read them.

use tower_step_up::{
    error::BuildError,
    factor::{Code, LogSender, Message, MessagePurpose, Sender, SenderFuture},
};
use url::Url;

use crate::config::{BadSetting, Codes};

pub(crate) fn factor(codes: &Codes, public_url: &Url) -> Result<Code, BadSetting> {
    let unlimited = codes.cool_down.is_zero();
    let local = StandardError.check_configuration(public_url).is_ok();
    if unlimited && !local {
        return Err(BadSetting::new("BANK_CODE_COOL_DOWN must be more than 0, unless BANK_PUBLIC_URL is on loopback"));
    }
    #[cfg(feature = "mail")]
    let code = match &codes.smtp {
        // Text messages have no gateway here.
        Some(smtp) if local => Some(Code::new(smtp.clone()).sender(StandardError)),
        Some(smtp) => Some(Code::new(smtp.clone())),
        None => local.then(|| Code::new(StandardError)),
    };
    #[cfg(not(feature = "mail"))]
    let code = local.then(|| Code::new(StandardError));
    let code = code.ok_or_else(|| {
        BadSetting::new(
            "BANK_SMTP must name a mail server for the codes of BANK_FACTORS, unless BANK_PUBLIC_URL is on loopback",
        )
    })?;
    let code = if codes.user_addresses { code.users_add_addresses() } else { code };
    Ok(if unlimited { code.no_send_limits_on_loopback() } else { code.cool_down(codes.cool_down) })
}

/// Writes each code to standard error. Whoever reads that is let in, so it is for loopback alone.
struct StandardError;

impl Sender for StandardError {
    fn check_configuration(&self, public_url: &Url) -> Result<(), BuildError> {
        LogSender::default().check_configuration(public_url)
    }

    fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
        Box::pin(async move {
            let what = if message.purpose == MessagePurpose::AddAddress { "code to add" } else { "code for" };
            eprintln!("{what} {}: {}", message.to.as_str(), message.code);
            Ok(())
        })
    }
}

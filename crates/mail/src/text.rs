//! What a mail says, in the languages that there are.

use lettre::{
    Address, Message as Mail,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
};
use tower_step_up::factor::{Message, MessagePurpose};

/// The words of one language.
struct Words {
    /// Each line of the text; the code stands before it.
    lines: [String; 3],
    subject: String,
    tag: &'static str,
}

/// The language of a tag such as `de-AT`: the first part of it, whatever its case. English if there is none.
fn words(message: &Message<'_>) -> Words {
    let language = message.locale.and_then(|tag| tag.split(['-', '_']).next()).map(str::to_ascii_lowercase);
    let Message { application, site, minutes, .. } = message;
    let (application, site) = (one_line(application), one_line(site));
    let action = message.action.map(one_line).filter(|action| !action.is_empty());
    match language.as_deref() {
        Some("de") => Words {
            tag: "de",
            subject: format!("Ihr Code für {application}"),
            lines: [
                match (action, message.purpose) {
                    (_, MessagePurpose::AddAddress) => format!(
                        "Mit diesem Code nehmen Sie diese Adresse bei {application} ({site}) als Adresse für Codes hinzu."
                    ),
                    (Some(action), _) => format!("Mit diesem Code bestätigen Sie bei {application} ({site}): {action}"),
                    (None, MessagePurpose::Confirm | _) => {
                        format!("Mit diesem Code bestätigen Sie bei {application} ({site}), dass Sie es sind.")
                    }
                },
                format!(
                    "Er gilt {minutes} Minuten. Geben Sie ihn nur auf {site} ein, und sagen Sie ihn niemandem, auch nicht am Telefon."
                ),
                match message.purpose {
                    MessagePurpose::AddAddress => format!(
                        "Sie waren das nicht? Wenn Sie ein Konto bei {application} haben, ist vielleicht jemand anderes darin: Bitte ändern Sie Ihr Passwort."
                    ),
                    MessagePurpose::Confirm | _ => {
                        "Sie haben keinen Code angefordert? Dann kennt vielleicht jemand Ihr Passwort: Bitte ändern Sie es."
                            .to_owned()
                    }
                },
            ],
        },
        _ => Words {
            tag: "en",
            subject: format!("Your code for {application}"),
            lines: [
                match (action, message.purpose) {
                    (_, MessagePurpose::AddAddress) => format!(
                        "With this code you add this address at {application} ({site}), as one that codes are sent to."
                    ),
                    (Some(action), _) => format!("With this code you confirm at {application} ({site}): {action}"),
                    (None, MessagePurpose::Confirm | _) => {
                        format!("With this code you confirm at {application} ({site}) that it is you.")
                    }
                },
                format!(
                    "It is good for {minutes} minutes. Type it only at {site}, and tell it to nobody, not even on the phone."
                ),
                match message.purpose {
                    MessagePurpose::AddAddress => format!(
                        "It was not you? If you have an account at {application}, somebody else may be in it: please change your password."
                    ),
                    MessagePurpose::Confirm | _ => {
                        "You did not ask for a code? Then somebody may know your password: please change it.".to_owned()
                    }
                },
            ],
        },
    }
}

/// Text from outside stays in its line.
fn one_line(text: &str) -> String {
    text.split(|character: char| character.is_control() || character.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The code stands alone in the first line, where mail programs look for what they fill in. There is no link.
fn plain(message: &Message<'_>, words: &Words) -> String {
    format!("{}\r\n\r\n{}\r\n", message.code, words.lines.join("\r\n\r\n"))
}

fn html(message: &Message<'_>, words: &Words) -> String {
    let lines = words.lines.iter().fold(String::new(), |html, line| html + "<p>" + &escaped(line) + "</p>\r\n");
    format!(
        "<!doctype html>\r\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{}</title></head>\r\n<body \
         style=\"font-family:sans-serif\">\r\n<p style=\"font-size:2em;letter-spacing:.1em\"><strong>{}</strong></p>\r\n{lines}</body></html>\r\n",
        words.tag,
        escaped(&words.subject),
        escaped(message.code),
    )
}

/// RFC 3834: nobody's holiday message answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The whole mail, as it goes over the wire.
pub(crate) fn mail(from: &Mailbox, to: Address, message: &Message<'_>) -> Result<Vec<u8>, lettre::error::Error> {
    let words = words(message);
    let parts = MultiPart::alternative_plain_html(plain(message, &words), html(message, &words));
    let mail = Mail::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(words.subject)
        .message_id(None)
        .header(AutoSubmitted)
        .multipart(parts)?;
    Ok(mail.formatted())
}

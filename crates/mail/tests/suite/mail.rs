//! What a mail says.

use tower_step_up_mail::Smtp;

use crate::{
    bank::{Bank, FROM, told},
    server::{Mood, Server},
};

/// A part of a mail, decoded: quoted-printable is all that these mails use, apart from 7bit.
pub fn part(mail: &str, media_type: &str) -> String {
    let (_, after) = mail.split_once(&format!("Content-Type: {media_type}")).unwrap_or_else(|| panic!("{mail}"));
    let (head, body) = after.split_once("\r\n\r\n").unwrap();
    let body = body.split_once("\r\n--").unwrap().0;
    assert!(!head.contains("base64"), "{head}");
    if !head.contains("quoted-printable") {
        return body.to_owned();
    }
    let body = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = body.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'=' {
            let pair = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The code of a mail: its first line, and nothing else there.
pub fn code_of(mail: &str) -> String {
    let text = part(mail, "text/plain");
    let code = text.lines().next().unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    code.to_owned()
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let head = mail.split("\r\n\r\n").next().unwrap();
    let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name}: {head}"))
}

#[track_caller]
pub fn assert_says(mail: &str, in_english: bool) {
    let code = code_of(mail);
    let (text, html) = (part(mail, "text/plain"), part(mail, "text/html"));
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert_eq!(header(mail, "From"), "\"Example Bank\" <no-reply@bank.example>");
    assert_eq!(header(mail, "To"), "kim@app.example");
    assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
    assert!(header(mail, "Message-ID").ends_with('>') && head.contains("\r\nDate: "), "{head}");
    assert!(head.contains("multipart/alternative") && !head.contains(&code), "{head}");
    for part in [&text, &html] {
        assert!(part.contains(&code) && part.contains("Example Bank") && part.contains("bank.example"), "{part}");
        assert!(part.contains("10"), "for how long: {part}");
        let lower = part.to_ascii_lowercase();
        for link in ["http", "href", "www.", "src=", "/app"] {
            assert!(!lower.contains(link), "no link: {part}");
        }
        assert_eq!(part.contains("that it is you"), in_english, "{part}");
        assert_eq!(part.contains("dass Sie es sind"), !in_english, "{part}");
    }
    assert!(html.contains(if in_english { "lang=\"en\"" } else { "lang=\"de\"" }));
}

#[tokio::test]
async fn a_mail_has_the_code_in_its_first_line_and_no_link() {
    for (locale, in_english) in [
        (None, true),
        (Some("en-GB"), true),
        (Some("de"), false),
        (Some("DE_at"), false),
        (Some("fr"), true),
        (Some(""), true),
    ] {
        let server = Server::start(Mood::Takes).await;
        let smtp = Smtp::new(&server.url(), FROM).unwrap();
        let bank = Bank::of(smtp, vec!["kim@app.example"], locale, "Example Bank").await;
        let flow = bank.begin().await;
        assert_eq!((told(&flow), &flow["state"]), (vec![1_010_025], &"sent_email".into()));
        let [mail] = server.mails().try_into().unwrap();
        assert_says(&mail, in_english);
        bank.enters(&flow, &code_of(&mail)).await;
        assert_eq!(server.connections(), 1);
    }
}

/// Whoever reads it learns what the code does, and what it means if it was not they.
#[tokio::test]
async fn a_mail_to_a_new_address_says_so() {
    for (locale, said) in [
        (None, ["you add this address", "somebody else may be in it: please change your password"]),
        (
            Some("de"),
            ["nehmen Sie diese Adresse", "vielleicht jemand anderes darin: Bitte \u{e4}ndern Sie Ihr Passwort"],
        ),
    ] {
        let server = Server::start(Mood::Takes).await;
        let smtp = Smtp::new(&server.url(), FROM).unwrap();
        let bank = Bank::of(smtp, Vec::new(), locale, "Example Bank").await;
        bank.adds("kim@own.example").await;
        let [mail] = server.mails().try_into().unwrap();
        assert_eq!((header(&mail, "To"), code_of(&mail).len()), ("kim@own.example", 6));
        for part in [part(&mail, "text/plain"), part(&mail, "text/html")] {
            assert!(said.iter().all(|said| part.contains(said)), "{part}");
            assert!(!part.contains("that it is you") && !part.contains("dass Sie es sind"), "{part}");
            assert!(!part.to_ascii_lowercase().contains("http"), "no link: {part}");
        }
    }
}

/// Neither the application's name nor an address gets out of its place.
#[tokio::test]
async fn names_stay_text() {
    let server = Server::start(Mood::Takes).await;
    let smtp = Smtp::new(&server.url(), FROM).unwrap();
    let name = "Bank\r\nBcc: x@y.example\r\n\r\n<a href='https://evil.example'>";
    let bank = Bank::of(smtp, vec!["j\u{fc}rgen@app.example"], None, name).await;
    bank.begin().await;
    let [mail] = server.mails().try_into().unwrap();
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("\r\nBcc"), "{head}");
    assert!(part(&mail, "text/html").contains("&lt;a href=&#39;"), "{mail}");
    assert_eq!(code_of(&mail).len(), 6);
}

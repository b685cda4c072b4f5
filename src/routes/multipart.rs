//! Forms as `multipart/form-data` (RFC 7578), from a body that is there as a whole.

use memchr::memmem;

/// Names and values of all fields, in order; `None` if the body is no such form, or one of its texts is not UTF-8.
pub(super) fn fields(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()))?;
    let between = format!("\r\n--{boundary}");
    let between = memmem::Finder::new(&between);
    let mut rest = body.strip_prefix(b"--")?.strip_prefix(boundary.as_bytes())?;
    let mut fields = Vec::new();
    // What follows the last part is nothing of the form.
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n")?;
        let (head, content) = part.split_at_checked(memmem::find(part, b"\r\n\r\n")?)?;
        let content = content.strip_prefix(b"\r\n\r\n")?;
        let (value, after) = content.split_at_checked(between.find(content)?)?;
        fields.push((name_of(head)?, std::str::from_utf8(value).ok()?.to_owned()));
        rest = after.strip_prefix(between.needle())?;
    }
    Some(fields)
}

fn name_of(head: &[u8]) -> Option<String> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let disposition = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (kind, _) = disposition.split_once(';')?;
    kind.trim().eq_ignore_ascii_case("form-data").then(|| parameter(disposition, "name"))?.map(str::to_owned)
}

/// The value of a parameter after the first semicolon, without its quotes. Browsers escape nothing in them but by percent signs.
fn parameter<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    let (_, mut rest) = header.split_once(';')?;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            quoted.split_once('"')?
        } else {
            let (value, next) = after.split_at(after.find(';').unwrap_or(after.len()));
            (value.trim_end(), next)
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        (_, rest) = next.split_once(';')?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=x";

    fn found(content_type: &str, body: &str) -> Option<Vec<(String, String)>> {
        fields(content_type, body.as_bytes())
    }

    fn part(name: &str, value: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    #[test]
    fn fields_as_browsers_send_them() {
        let boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ntotp\r\n\
            --{boundary}\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; filename=\"a;b=c\"; name=code\r\n\r\n1\r\n2\r\n\
            --{boundary}--\r\n"
        );
        let fields = [("method", "totp"), ("code", "1\r\n2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        for content_type in [
            format!("multipart/form-data; boundary={boundary}"),
            format!("Multipart/Form-Data;BOUNDARY=\"{boundary}\" ; a=b"),
        ] {
            assert_eq!(found(&content_type, &body), Some(fields.to_vec()), "{content_type}");
        }
        assert_eq!(found(TYPE, "--x--"), Some(vec![]));
    }

    #[test]
    fn everything_else_is_refused() {
        let good = format!("{}--x--\r\n", part("a", "b"));
        assert!(found(TYPE, &good).is_some(), "the honest twin");
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"x",
            "multipart/form-data; boundary=y",
            &format!("multipart/form-data; boundary={}", "x".repeat(71)),
        ] {
            assert_eq!(found(content_type, &good), None, "{content_type}");
        }
        for body in [
            "",
            "--x",
            "--x\r\n",
            "--x\r\n\r\n",
            "--xy\r\n",
            "garbage",
            &part("a", "b"),
            &good.replace("\r\n", "\n"),
            &good.replace("form-data", "attachment"),
            &good.replace("name", "nome"),
            &good.replace("Disposition", "Type"),
            &good.replace("a\"", "a"),
            &good.replacen("\r\n\r\n", "\r\n", 1),
        ] {
            assert_eq!(found(TYPE, body), None, "{body}");
        }
        let latin = [part("a", "").as_bytes().strip_suffix(b"\r\n").unwrap(), b"\xe4\r\n--x--"].concat();
        assert_eq!(fields(TYPE, &latin), None);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read(sent in proptest::collection::vec(("[^\"\\PC]{0,9}", "[^x\r\n]{0,20}"), 0..5)) {
            let body = sent.iter().map(|(name, value)| part(name, value)).collect::<String>() + "--x--\r\n";
            prop_assert_eq!(found(TYPE, &body), Some(sent));
        }

        #[test]
        fn no_bytes_are_too_much(body in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'x'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200)) {
            let _none_or_some = fields(TYPE, &body);
        }
    }
}

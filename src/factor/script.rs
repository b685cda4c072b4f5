//! A script that a factor's nodes need.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256, Sha512};
use url::Url;

use crate::{
    error::{BuildError, BuildErrorKind},
    wire::ui::Script,
};

/// A script that a factor's nodes need ([`Factor::script`](super::Factor::script)).
///
/// The companion router serves it below the public URL, to front ends of every origin. The built-in pages contain it, and their
/// `Content-Security-Policy` names it by its hash: no other script runs there. So it must not use inline handlers, `eval` or other hosts.
///
/// ```
/// use tower_step_up::factor::PageScript;
///
/// static SCRIPT: PageScript = PageScript::new(".well-known/bank/push.js", "window.bankPush = () => {};");
/// let public_url = "https://bank.example/app".parse()?;
/// assert_eq!(SCRIPT.url(&public_url).as_str(), "https://bank.example/app/.well-known/bank/push.js");
/// assert!(SCRIPT.integrity().starts_with("sha512-"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageScript {
    path: &'static str,
    source: &'static str,
}

impl PageScript {
    /// A script at this path below the public URL. The path has no leading slash.
    pub const fn new(path: &'static str, source: &'static str) -> Self {
        Self { path, source }
    }

    /// The path below the public URL.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// The JavaScript.
    pub const fn source(&self) -> &'static str {
        self.source
    }

    /// Where it is served.
    pub fn url(&self, public_url: &Url) -> Url {
        let mut url = public_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(self.path.split('/'));
        }
        url
    }

    /// The value of the HTML attribute `integrity`.
    pub fn integrity(&self) -> String {
        format!("sha512-{}", STANDARD.encode(Sha512::digest(self.source)))
    }

    /// The script as a node refers to it.
    pub fn referred(&self, id: impl Into<String>, public_url: &Url) -> Script {
        Script::new(id, self.url(public_url).to_string(), self.integrity())
    }

    /// The hash by which a `Content-Security-Policy` names it.
    pub(crate) fn policy_source(&self) -> String {
        format!("'sha256-{}'", STANDARD.encode(Sha256::digest(self.source)))
    }

    /// A path that the router takes literally, and a text that a page can contain as it is.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Factor, help));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if !self.path.split('/').all(segment) {
            return fail(
                "the path of a PageScript must be like .well-known/bank/push.js: letters, digits and .-_ between slashes",
            );
        }
        let source = self.source.to_ascii_lowercase();
        if source.contains("</script") || source.contains("<!--") || source.contains('\r') {
            return fail(
                "the source of a PageScript must not contain </script, <!-- or a carriage return: pages contain it",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_source() {
        // echo -n 'x()' | openssl dgst -sha512 -binary | base64
        let script = PageScript::new("x.js", "x()");
        assert_eq!(
            script.integrity(),
            "sha512-wJybQI/kzECo5qzY376Mikf3MWEJ/2cloIq3iSaMLbQ+KwFgs246ZcmROIijLCr+FKPCM9EdBKd0poiC99t5Fg=="
        );
        assert_eq!(script.policy_source(), "'sha256-D6IGS8VMvCoyaR/l0h9tERrBTATY01CoPS7l6xDv0kI='");
    }

    #[test]
    fn it_can_be_served_and_contained() {
        assert!(PageScript::new(".well-known/ory/webauthn.js", "a < b && b > c").check().is_ok());
        for path in ["", "/x.js", "x.js/", "a//b", "../x.js", "a/{b}", "a b", "a?b", "ä.js"] {
            assert!(PageScript::new(path, "").check().is_err(), "{path}");
        }
        for source in ["'</script>'", "'</SCRIPT '", "<!-- x", "a\r\nb"] {
            assert!(PageScript::new("x.js", source).check().is_err(), "{source}");
        }
    }
}

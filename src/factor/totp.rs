//! Time-based one-time passwords (RFC 6238), through totp-rs.

use totp_rs::{Builder, Secret};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Enrolment, EnrolmentOutcome, Factor, FactorContext, FactorError, FactorFuture, FieldError, Form, Refusal, Verdict,
    picture, typed,
};
use crate::{
    aal::{Aal, CredentialId, Method},
    clock::Timestamp,
    error::{BuildError, BuildErrorKind, Error, ErrorKind},
    seal::{SealError, Sealer},
    session::Subject,
    standing::CredentialSummary,
    store::{Consumption, Credential},
    wire::ui::{Group, InputKind, Node, Text, message, reason},
};

const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;

/// Ten minutes: a phone whose clock is slower needs more than a word about it.
const STEPS_TOLD_TOO_OLD: u64 = 20;

/// RFC 6238 section 5.2 recommends at most one step. Two are enough for any clock.
const MAX_SKEW: u16 = 2;

/// Bytes of the issuer and of the account in a QR code. The URL has the issuer twice and escapes both, and must not exceed 2331 bytes.
const LONGEST_ISSUER: usize = 128;

/// A whole email address fits.
const LONGEST_ACCOUNT: usize = 256;

/// Time-based one-time passwords: RFC 6238 with 6 digits, 30 seconds and SHA-1, which every authenticator app supports.
///
/// Each code works once. A code of an earlier step than the last accepted one never works (RFC 6238 section 5.2).
///
/// ```
/// use tower_step_up::factor::Totp;
///
/// let totp = Totp::new("Example Bank");
/// ```
#[derive(Clone, Debug)]
pub struct Totp {
    issuer: String,
    skew: u16,
}

impl Totp {
    /// TOTP with the issuer name that authenticator apps show, of at most 128 bytes.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), skew: 1 }
    }

    /// How many steps of 30 seconds before and after the current one are accepted, for clocks that differ and people who type slowly. One
    /// by default, two at most: each step gives a guess two more codes to hit.
    #[must_use]
    pub const fn skew(mut self, steps: u16) -> Self {
        self.skew = steps;
        self
    }

    /// Seals a secret as a credential of the subject.
    pub(crate) fn credential(
        subject: &Subject,
        secret: &[u8],
        last_step: u64,
        sealer: &Sealer,
        now: Timestamp,
    ) -> Result<Credential, SealError> {
        let id = CredentialId::random();
        let summary = CredentialSummary { id, method: Method::Totp, aal: Aal::Aal2 };
        let mut credential = Credential::new(summary, now).with_data(sealer.seal(&seal_context(subject, id), secret)?);
        credential.last_step = last_step;
        Ok(credential)
    }

    /// The highest step within the window that has this code. If a code fits two steps, using it must burn both.
    fn matching_step(&self, secret: &[u8], code: &str, now: Timestamp) -> Option<u64> {
        let totp = Builder::new().with_secret(secret.to_vec()).with_skew(0).build().ok()?;
        let present = u64::try_from(now.unix_seconds()).ok()?.checked_div(STEP_SECONDS)?;
        let skew = u64::from(self.skew);
        let mut found = None;
        // Compare all steps, so the time taken reveals nothing.
        for step in present.saturating_sub(skew)..=present.saturating_add(skew) {
            if totp.check(code, step.saturating_mul(STEP_SECONDS)).is_some() {
                found = Some(step);
            }
        }
        found
    }

    /// Whether the code is of a step of the last ten minutes, before the window. Never of a later one: a guesser would keep that code.
    fn was_right(&self, secret: &[u8], code: &str, now: Timestamp) -> bool {
        let Ok(totp) = Builder::new().with_secret(secret.to_vec()).with_skew(0).build() else { return false };
        let present = u64::try_from(now.unix_seconds()).ok().and_then(|now| now.checked_div(STEP_SECONDS));
        let Some(present) = present else { return false };
        let oldest = present.saturating_sub(STEPS_TOLD_TOO_OLD);
        let mut found = false;
        for step in oldest..present.saturating_sub(u64::from(self.skew)) {
            found |= totp.check(code, step.saturating_mul(STEP_SECONDS)).is_some();
        }
        found
    }
}

/// The code in the form, without what people and password managers write around it.
fn typed_code(form: &Form) -> Zeroizing<String> {
    typed::normalise(form.get("totp_code").unwrap_or_default())
}

/// The owner of a sealed secret, as its sealing context.
pub(crate) fn seal_context(subject: &Subject, id: CredentialId) -> Vec<u8> {
    format!("totp\0{id}\0{subject}").into_bytes()
}

/// Decodes a base32 TOTP secret that was enrolled elsewhere.
pub(crate) fn decode_secret(base32: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let plain = Zeroizing::new(typed::normalise(base32).trim_end_matches('=').to_ascii_uppercase());
    let refuse = |why: &'static str| Error::with_source(ErrorKind::TotpSecret, why);
    let secret = Secret::try_from_base32(plain.as_str())
        .map_err(|_| refuse("it is not base32, which has the letters A to Z and the digits 2 to 7"))?;
    // RFC 4226 section 4: at least 128 bits.
    if secret.as_bytes().len() < 16 {
        return Err(refuse(
            "it is shorter than 128 bits, which is 26 characters: 80 bits, as some apps made, can be guessed",
        ));
    }
    Ok(Zeroizing::new(secret.as_bytes().to_vec()))
}

impl Factor for Totp {
    fn method(&self) -> Method {
        Method::Totp
    }

    fn check_configuration(&self, _: &Url) -> Result<(), BuildError> {
        let fail = |help: &str| Err(BuildError::new(BuildErrorKind::Factor, help));
        if self.skew > MAX_SKEW {
            return fail("Totp::skew must be at most two steps: each step gives a guess two more codes to hit");
        }
        let fits = (1..=LONGEST_ISSUER).contains(&self.issuer.len());
        if !fits || self.issuer.contains(':') || self.issuer.chars().any(char::is_control) {
            return fail(
                "Totp::new needs the name that authenticator apps show, of at most 128 bytes and without a colon: for example \"Example Bank\"",
            );
        }
        Ok(())
    }

    fn nodes(&self, _: FactorContext<'_>) -> Vec<Node> {
        vec![
            Node::field(Group::Totp, "totp_code", InputKind::Text, message::totp_field()).value(""),
            Node::button(Group::Totp, "method", Method::Totp.as_str(), message::totp_button()),
        ]
    }

    fn check_fields(&self, form: &Form) -> Result<(), FieldError> {
        let code = typed_code(form);
        let length = code.chars().count();
        let text = match length {
            0 => message::missing("totp_code"),
            1..DIGITS => message::totp_too_short(DIGITS, length),
            DIGITS if code.bytes().all(|byte| byte.is_ascii_digit()) => return Ok(()),
            // It cannot be a code, so it guesses nothing.
            _ => message::totp_no_code(),
        };
        Err(FieldError { field: Some("totp_code"), text })
    }

    fn answer<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, Verdict> {
        Box::pin(async move {
            let code = typed_code(form);
            let mut verdict = Verdict::Wrong;
            for (position, credential) in context.credentials.iter().enumerate() {
                let id = credential.summary.id;
                let opened = context.sealer.open(&seal_context(context.subject, id), &credential.data);
                let secret = match opened {
                    Ok(secret) => secret,
                    Err(error) if position == 0 => return Err(FactorError::NotCompared(error.into())),
                    Err(error) => return Err(error.into()),
                };
                if let Some(step) = self.matching_step(&secret, &code, context.now) {
                    return Ok(Verdict::Proven(Consumption::Step { credential: id, step }));
                }
                if self.was_right(&secret, &code, context.now) {
                    verdict = Verdict::TooOld;
                }
            }
            Ok(verdict)
        })
    }

    fn refusal(&self, why: Refusal) -> Text {
        match why {
            Refusal::NotEnrolled => message::no_totp(),
            Refusal::Wrong => message::totp_wrong(),
            Refusal::Used => message::totp_used(),
            Refusal::TooOld => message::totp_too_old(),
        }
    }

    fn advice(&self) -> Option<&'static str> {
        Some("Please also check that your phone sets its time by itself.")
    }

    fn enrolment(&self) -> Option<&dyn Enrolment> {
        Some(self)
    }

    fn reseal(
        &self,
        subject: &Subject,
        credential: &Credential,
        sealer: &Sealer,
    ) -> Result<Option<Vec<u8>>, SealError> {
        sealer.reseal(&seal_context(subject, credential.summary.id), &credential.data)
    }

    fn open_step(&self, now: Timestamp) -> Option<u64> {
        let present = u64::try_from(now.unix_seconds()).ok()?.checked_div(STEP_SECONDS)?;
        Some(present.saturating_add(u64::from(self.skew)))
    }
}

/// The secret that a settings flow keeps until the user confirms its first code.
/// 160 random bits, as RFC 4226 section 4 recommends.
pub(crate) fn random_secret() -> Result<Zeroizing<[u8; 20]>, getrandom::Error> {
    let mut secret = Zeroizing::new([0; 20]);
    getrandom::fill(secret.as_mut())?;
    Ok(secret)
}

fn pending(context: &FactorContext<'_>) -> Option<Secret> {
    context.state.map(Secret::from)
}

/// The identifier as authenticator apps show it. A colon would end the issuer in the label. A QR code has no room for any length: what is too
/// long is cut, since it only tells the user's accounts apart.
fn account(identifier: &str) -> String {
    let fits = |&(start, one): &(usize, char)| start.saturating_add(one.len_utf8()) <= LONGEST_ACCOUNT;
    let shown = identifier.char_indices().take_while(fits);
    shown.map(|(_, one)| if one == ':' || one.is_control() { ' ' } else { one }).collect()
}

impl Totp {
    /// The URL in the QR code.
    fn url(&self, secret: &Secret, identifier: &str) -> Result<Zeroizing<String>, FactorError> {
        let account = account(identifier);
        let url = Builder::new()
            .with_secret(secret.as_bytes().to_vec())
            .with_issuer(Some(self.issuer.as_str()))
            .with_account_name(if account.is_empty() { "account" } else { account.as_str() })
            .build()
            .and_then(|totp| totp.to_url());
        url.map(Zeroizing::new).map_err(|error| FactorError::Unavailable(error.to_string().into()))
    }

    /// The QR code as a `data:` URL.
    fn picture(&self, secret: &Secret, identifier: &str) -> Result<String, FactorError> {
        let url = self.url(secret, identifier)?;
        picture::data_url(&url).map_err(|error| FactorError::Unavailable(error.into()))
    }
}

impl Enrolment for Totp {
    fn begin<'a>(&'a self, context: FactorContext<'a>) -> FactorFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            if !context.credentials.is_empty() {
                return Ok(None);
            }
            let secret = random_secret().map_err(|error| FactorError::Unavailable(error.into()))?;
            Ok(Some(secret.to_vec()))
        })
    }

    fn nodes(&self, context: FactorContext<'_>) -> Result<Vec<Node>, FactorError> {
        if !context.credentials.is_empty() {
            return Ok(vec![Node::button(Group::Totp, "totp_unlink", "true", message::totp_unlink()).required()]);
        }
        let Some(secret) = pending(&context) else { return Ok(Vec::new()) };
        let picture = self.picture(&secret, context.identifier)?;
        let base32 = Zeroizing::new(secret.to_base32());
        Ok(vec![
            Node::image(Group::Totp, "totp_qr", picture, (picture::PIXELS, picture::PIXELS), message::totp_qr()),
            Node::text(Group::Totp, "totp_secret_key", message::totp_secret(&base32), message::totp_secret_label()),
            Node::field(Group::Totp, "totp_code", InputKind::Text, message::totp_verify_field()),
            Node::button(Group::Totp, "method", Method::Totp.as_str(), message::save()),
        ])
    }

    fn claims(&self, form: &Form) -> bool {
        form.flag("totp_unlink")
    }

    /// Only the first code of a new secret can be guessed.
    fn guesses_nothing(&self, form: &Form) -> bool {
        form.flag("totp_unlink")
    }

    fn check_fields(&self, context: FactorContext<'_>, form: &Form) -> Result<(), FieldError> {
        if form.flag("totp_unlink") || !context.credentials.is_empty() {
            return Ok(());
        }
        Factor::check_fields(self, form)
    }

    fn submit<'a>(&'a self, context: FactorContext<'a>, form: &'a Form) -> FactorFuture<'a, EnrolmentOutcome> {
        Box::pin(async move { self.decide(&context, form) })
    }
}

impl Totp {
    /// The outcome of a settings form.
    fn decide(&self, context: &FactorContext<'_>, form: &Form) -> Result<EnrolmentOutcome, FactorError> {
        let enrolled = !context.credentials.is_empty();
        if form.flag("totp_unlink") {
            return Ok(if enrolled {
                EnrolmentOutcome::Removed
            } else {
                EnrolmentOutcome::Refused(message::generic(reason::NO_TOTP))
            });
        }
        let (false, Some(secret)) = (enrolled, pending(context)) else {
            return Ok(EnrolmentOutcome::Refused(message::generic(reason::HAS_TOTP)));
        };
        let code = typed_code(form);
        let Some(step) = self.matching_step(secret.as_bytes(), &code, context.now) else {
            let is_late = self.was_right(secret.as_bytes(), &code, context.now);
            let text = if is_late { message::totp_too_old() } else { message::totp_wrong() };
            let error = FieldError { field: Some("totp_code"), text };
            return Ok(EnrolmentOutcome::Wrong(error));
        };
        // The code that confirmed the secret is used up.
        let credential = Self::credential(context.subject, secret.as_bytes(), step, context.sealer, context.now)?;
        Ok(EnrolmentOutcome::Enrolled(credential))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The secret of RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    /// A step that has the same code as the next one, as one in a million has.
    const TWIN_STEP: u64 = 910_737;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(i64::try_from(seconds).unwrap())
    }

    fn code(step: u64) -> String {
        let totp = Builder::new().with_secret(SECRET.to_vec()).build().unwrap();
        totp.generate(step * STEP_SECONDS).to_string()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // Appendix B has eight digits. Ours are the last six.
        for (seconds, expected) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(Totp::new("x").matching_step(SECRET, expected, at(seconds)), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn the_window_is_the_skew_and_no_more() {
        let totp = Totp::new("x");
        let present = at(1000 * 30 + 7);
        for (step, accepted) in [(998, false), (999, true), (1000, true), (1001, true), (1002, false)] {
            assert_eq!(totp.matching_step(SECRET, &code(step), present).is_some(), accepted, "{step}");
        }
        assert_eq!(totp.skew(0).matching_step(SECRET, &code(999), present), None);
    }

    #[test]
    fn a_code_is_told_too_old_for_ten_minutes_and_never_ahead() {
        let totp = Totp::new("x");
        let present = at(1000 * 30 + 7);
        for (step, told) in
            [(979, false), (980, true), (998, true), (999, false), (1000, false), (1002, false), (1010, false)]
        {
            assert_eq!(totp.was_right(SECRET, &code(step), present), told, "{step}");
        }
    }

    #[test]
    fn a_code_that_fits_two_steps_burns_the_later() {
        let twin = TWIN_STEP;
        assert_eq!(code(twin), code(twin + 1));
        assert_eq!(Totp::new("x").matching_step(SECRET, &code(twin), at(twin * 30)), Some(twin + 1));
    }

    #[test]
    fn only_six_ascii_digits_match() {
        let totp = Totp::new("x");
        let present = at(59);
        for code in ["+87082", "-87082", "0x4616A", "２８７０８２", "287082\0", "28708", "2870820", "", " 287082"]
        {
            assert_eq!(totp.matching_step(SECRET, code, present), None, "{code:?}");
        }
    }

    #[test]
    fn a_sealed_secret_belongs_to_its_subject_and_credential() {
        let subject = |name| Subject::new(name).unwrap();
        let (one, two) = (CredentialId::random(), CredentialId::random());
        let context = seal_context(&subject("kim"), one);
        assert_eq!(context, seal_context(&subject("kim"), one));
        assert_ne!(context, seal_context(&subject("lee"), one));
        assert_ne!(context, seal_context(&subject("kim"), two));
    }

    #[test]
    fn brought_secrets_have_128_bits_at_least() {
        // Eight characters are five bytes: 130 bits and 120.
        assert_eq!(decode_secret(&"A".repeat(26)).unwrap().len(), 16);
        assert!(decode_secret(&"A".repeat(24)).is_err());
    }

    #[test]
    fn fields_are_told_apart() {
        let check = |code: &str| {
            let form = Form::from_pairs([("totp_code".to_owned(), code.to_owned())]).unwrap();
            Factor::check_fields(&Totp::new("x"), &form).map_err(|error| error.text.id)
        };
        assert_eq!(check(""), Err(4_000_002));
        assert_eq!(check("   "), Err(4_000_002));
        assert_eq!(check("12345"), Err(4_000_003));
        assert_eq!(check(" 123456 "), Ok(()));
        for written in ["12 34 56", "123-456", "１２３\u{2009}４５６"] {
            assert_eq!(check(written), Ok(()), "{written}");
        }
        for no_code in ["1234567", "abcdef", "12345a", "+12345", "1234567890"] {
            assert_eq!(check(no_code), Err(4_000_008), "{no_code}");
        }
    }

    #[test]
    fn secrets_are_read_as_apps_write_them() {
        let plain = decode_secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").unwrap();
        assert_eq!(decode_secret("jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp").unwrap(), plain);
        for bad in ["", "JBSWY3DP", "not base32 at all!"] {
            assert_eq!(decode_secret(bad).unwrap_err().kind(), ErrorKind::TotpSecret, "{bad}");
        }
    }

    #[test]
    fn nobody_names_an_account_so_that_the_app_reads_another_secret() {
        let hostile = "x&secret=AAAA&issuer=Evil:y?secret=AAAA#<script>";
        let url = Totp::new("Bank & Co").url(&Secret::from(SECRET), hostile).unwrap();
        let url = url::Url::parse(&url).unwrap();
        let all = |name: &str| url.query_pairs().filter(|(own, _)| own == name).count();
        assert_eq!((all("secret"), all("issuer"), url.fragment()), (1, 1, None), "{url}");
        assert!(!url.as_str().contains("secret=AAAA") && !url.as_str().contains('<'), "{url}");
    }

    #[test]
    fn bad_configuration_is_refused() {
        let url = Url::parse("https://bank.example").unwrap();
        assert!(Totp::new("Example Bank").check_configuration(&url).is_ok());
        for bad in [Totp::new(""), Totp::new("a:b"), Totp::new("x").skew(3)] {
            assert_eq!(bad.check_configuration(&url).unwrap_err().kind(), BuildErrorKind::Factor);
        }
    }

    proptest! {
        /// Only a code of the window gets through, whatever is typed and whenever, and it has six digits.
        #[test]
        fn what_is_accepted_is_a_code_of_the_window(
            typed in prop_oneof!["\\PC{0,8}", "[0-9]{5,7}", (0..4u64).prop_map(|ahead| code(1000 + ahead))], second in 0..30u64,
        ) {
            let accepted = Totp::new("x").matching_step(SECRET, &typed, at(1001 * STEP_SECONDS + second));
            let fits = (1000..=1002).rev().find(|step| code(*step) == typed);
            prop_assert_eq!(accepted, fits);
            prop_assert!(accepted.is_none() || typed.len() == DIGITS && typed.bytes().all(|byte| byte.is_ascii_digit()));
        }

        #[test]
        fn any_text_is_looked_at_without_a_panic(text in any::<String>(), seconds in any::<i64>()) {
            let _ = Totp::new("x").matching_step(SECRET, &text, Timestamp::from_unix_seconds(seconds));
        }
    }
}

use crate::{
    aal::CredentialId,
    clock::Timestamp,
    factor::{
        Factor, FactorContext, Form, LookupSecrets, Verdict, decode_totp_secret, lookup_secret, no_memory, no_stores,
    },
    seal::{EncryptionKey, Sealer},
    store::Consumption,
};

/// Blanks, dashes and what nobody sees are removed from a code, and full-width characters become narrow.
fn stripped(text: &str) -> String {
    const REMOVED: &str = "-‐‑‒–—―−﹘﹣－\u{ad}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2060}\u{feff}";
    const WIDE: &str = "０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ";
    const NARROW: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let narrow =
        |one| WIDE.chars().zip(NARROW.chars()).find(|(wide, _)| *wide == one).map_or(one, |(_, narrow)| narrow);
    text.chars().filter(|one| !one.is_whitespace() && !REMOVED.contains(*one)).map(narrow).collect()
}

/// Look-up secrets as users type or import them: two texts, separated by a NUL.
///
/// A code has one canonical form, which prints in groups and reads back. Only codes with the same form have equal hashes, and only within
/// a set. A set accepts its own codes, in any spelling, and nothing else.
pub fn lookup_secrets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (one, two) = text.split_once('\0').unwrap_or((&text, "ABCD-EFGH-IJKL-2345"));
    let canonical = lookup_secret::normalise(one);
    assert_eq!(*canonical, stripped(one).to_ascii_uppercase());
    assert_eq!(*lookup_secret::normalise(&canonical), *canonical, "it is canonical");
    let characters: Vec<char> = canonical.chars().collect();
    let printed = characters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-");
    assert_eq!(*lookup_secret::normalise(&printed), *canonical, "printed as {printed:?}");

    let set = CredentialId::from(uuid::Uuid::from_u128(1));
    let other = CredentialId::from(uuid::Uuid::from_u128(2));
    let equal = stripped(one).eq_ignore_ascii_case(&stripped(two));
    assert_eq!(lookup_secret::hash(set, one) == lookup_secret::hash(set, two), equal, "{one:?} {two:?}");
    assert_ne!(lookup_secret::hash(set, one), lookup_secret::hash(other, one), "bound to its set");
    imported(one, two, equal);

    if let Ok(secret) = decode_totp_secret(one) {
        assert!(secret.len() >= 16, "a short secret was taken");
        let printed = totp_rs::Secret::from(secret.as_slice()).to_base32();
        assert_eq!(decode_totp_secret(&printed).unwrap(), secret);
    }
}

/// A set of the two, if they are strong enough and not the same.
fn imported(one: &str, two: &str, equal: bool) {
    let now = Timestamp::from_unix_seconds(0);
    let strong = |text: &str| (13..=64).contains(&stripped(text).len());
    let subject = "kim".parse().unwrap();
    let key = EncryptionKey::new("2026-11", b"seals in tests and nowhere else.").unwrap();
    let sealer = Sealer::new(vec![key]);
    let set = LookupSecrets::imported(&subject, &[one, two], &sealer, now).unwrap();
    assert_eq!(set.is_some(), strong(one) && strong(two) && !equal, "{one:?} {two:?}");
    let Some(set) = LookupSecrets::imported(&subject, &[two], &sealer, now).unwrap() else { return };
    let form = Form::from_pairs([("lookup_secret".to_owned(), one.to_owned())]).unwrap();
    let factor = LookupSecrets::default();
    assert_eq!(factor.check_fields(&form).is_err(), stripped(one).is_empty());
    let credentials = [set.clone()];
    let public_url = url::Url::parse("https://bank.example").unwrap();
    let stores = no_stores();
    let session = crate::session::Session::external(subject.clone(), Vec::new());
    let context = FactorContext {
        application_name: "Example Bank",
        flow: crate::store::FlowId::random(),
        memory: no_memory(&stores, &sealer, &subject),
        public_url: &public_url,
        subject: &subject,
        identifier: "kim",
        directory: &crate::directory::NoDirectory,
        credentials: &credentials,
        stored: 1,
        session: &session,
        now,
        sealer: &sealer,
        state: None,
        browser: true,
    };
    let verdict = super::world::now_or_never(factor.answer(context, &form)).unwrap();
    if equal {
        let hash = set.secrets[0].hash;
        assert_eq!(verdict, Verdict::Proven(Consumption::Secret { credential: set.summary.id, hash }));
    } else {
        assert_eq!(verdict, Verdict::Wrong);
    }
}

#[cfg(test)]
pub(super) const FRAGMENTS: &[&[u8]] = &[
    b"ABCD",
    b"EFGH",
    b"IJKL",
    b"2345",
    b"abcd",
    b"efgh",
    b"ijkl",
    b"-",
    b"--",
    b" ",
    b"\t",
    b"\n",
    b"\0",
    b"=",
    b"ABCDEFGHIJKL2345",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    b"\xe2\x80\x90",
    b"\xc2\xa0",
    b"\xe3\x80\x80",
    b"\xef\xbc\xa1",
    b"\xc5\xbf",
    b"\xc4\xb1",
    b"\xe2\x80\x8b",
    b"1",
    b"0",
    b"8",
];

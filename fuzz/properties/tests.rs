//! Runs the targets on bounded random input and on every file of the corpus.

use std::path::Path;

use proptest::prelude::*;

type Target = fn(&[u8]);

/// Pieces that mean something to the target, in random order, with noise between them.
fn input(fragments: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(fragments).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Each file that the fuzzer left is a test that must keep passing. Only the repository has these files, not the published package.
fn corpus(name: &str, target: Target) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.is_dir() {
        return;
    }
    let mut files: Vec<_> =
        std::fs::read_dir(fuzz.join("corpus").join(name)).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty(), "the corpus of {name} is gone");
    files.sort();
    for file in files {
        let input = std::fs::read(&file).unwrap();
        // Names the file if it panics.
        eprintln!("{}", file.display());
        target(&input);
    }
}

macro_rules! targets {
    ($($(#[$attribute:meta])* $name:ident: $cases:literal)*) => {$(
        $(#[$attribute])*
        mod $name {
            use super::*;

            #[test]
            fn every_input_of_the_corpus_passes() {
                corpus(stringify!($name), crate::fuzzing::$name);
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases($cases))]

                #[test]
                fn any_input_passes(input in input(crate::fuzzing::$name::FRAGMENTS)) {
                    crate::fuzzing::$name(&input);
                }
            }
        }
    )*};
}

targets! {
    accept: 1024
    lookup_secrets: 1024
    return_to: 1024
    session_headers: 256
    stored_rows: 256
    #[cfg(feature = "axum")]
    submit_bodies: 256
}

/// The honest twins: with right inputs, the same targets let a user through. Otherwise they would prove nothing.
#[cfg(feature = "axum")]
#[test]
fn right_inputs_change_something() {
    use super::{stored_rows::flow_body, submit_bodies::submitted};

    for (input, changes) in [
        (&b"00{\"method\":\"totp\",\"totp_code\":\"\x03\",\"csrf_token\":\"\x01\"}"[..], 1),
        (b"81method=totp&totp_code=\x02&csrf_token=\x01", 1),
        (
            b"12--x\r\ncontent-disposition: form-data; name=method\r\n\r\ntotp\r\n\
                --x\r\ncontent-disposition: form-data; name=totp_code\r\n\r\n\x04\r\n--x--\r\n",
            1,
        ),
        (b"11method=lookup_secret&lookup_secret=\x05", 1),
        (b"11method=totp&totp_code=\x03\x1e11method=lookup_secret&lookup_secret=\x06", 1),
        (b"21method=password&identifier=kim&password=\x08&csrf_token=\x01", 1),
        (
            b"31method=password&identifier=lee&password=\x08&csrf_token=\x01\x1e\
                70{\"method\":\"password\",\"identifier\":\"mia\",\"password\":\"\x08\"}",
            2,
        ),
        (
            b"51lookup_secret_regenerate=true\x1e51lookup_secret_confirm=true\x1e\
                51lookup_secret_disable=true\x1e51totp_unlink=true",
            3,
        ),
        (b"41lookup_secret_disable=true&csrf_token=\x01", 1),
        (b"61method=totp&totp_code=\x07&csrf_token=\x01\x1e61totp_unlink=true&csrf_token=\x01", 2),
    ] {
        assert_eq!(submitted(input), changes, "{}", String::from_utf8_lossy(input));
    }

    let flow = |flow_type: &str, csrf: Option<&str>| {
        let body = serde_json::json!({
            "purpose": "login", "requested_aal": "aal2", "refresh": false, "flow_type": flow_type,
            "binding": "00000000-0000-0000-0000-000000000101", "return_to": null, "request_url": "https://bank.example/",
            "issued_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z", "csrf": csrf, "messages": [],
            "field_messages": [], "active": null, "factor_states": {},
        });
        format!("\0{body}").into_bytes()
    };
    let csrf = "+EnWcyX6zwQXe8ZjstxUQFGDHFie9YHUEvLrpEg053w=";
    assert!(flow_body(&flow("api", None)));
    assert!(flow_body(&flow("browser", Some(csrf))));
    assert!(!flow_body(&flow("browser", None)));
}

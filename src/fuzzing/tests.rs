//! The targets with bounded random input, and with every file of the corpus.

use std::path::Path;

use proptest::prelude::*;

type Target = fn(&[u8]);

/// Pieces that mean something to the target, in any order, with noise between them.
fn input(fragments: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(fragments).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Each file that the fuzzer left is a test that must go on passing. Only the repository has them, not the published package.
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
        // Which of them it was, if it panics.
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
    accept: 512
    lookup_secrets: 512
    return_to: 512
    session_headers: 128
    stored_rows: 128
    #[cfg(feature = "axum")]
    submit_bodies: 64
}

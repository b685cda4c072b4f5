//! What differs from the recorded answers on purpose, beside what differs everywhere.

use super::pin::Pin;

/// The nodes where a code is typed, in their order.
const ENTER: &str = r#"["code:identifier","code:method","code:code","code:method","code:resend","default:csrf_token"]"#;

/// The steps whose form has the address of the code in another place.
const ANSWERED: &str =
    "code only: wrong|code only: empty|code only: resend|code only: the old one|code only: again|code only: api wrong";

const NATIVE: &str = "code only: begin api|key and code: begin api";

pub const OWN_PINS: &[Pin] = &[
    Pin::new(
        "*",
        "*.identity.traits.email|*.identity.verifiable_addresses*",
        "what the directory knows of a user",
    )
    .ours("absent"),
    // Codes.
    Pin::new(ANSWERED, ".body.ui.nodes#order", "the nodes keep their order after an error").ours(ENTER),
    Pin::new(ANSWERED, ".body.ui.nodes[default:identifier].type", "the address keeps its group after an error")
        .ours("absent"),
    Pin::new(ANSWERED, ".body.ui.nodes[code:identifier].type", "the address keeps its group after an error")
        .theirs("absent")
        .ours("input"),
    Pin::new(NATIVE, ".body.ui.nodes#order", "the CSRF token is always there")
        .ours(r#"*"code:resend","default:csrf_token"]|["default:csrf_token","code:address"]"#),
    Pin::new(NATIVE, ".body.ui.nodes[default:csrf_token].type", "the CSRF token is always there")
        .theirs("absent")
        .ours("input"),
    Pin::new("code: after it|code: by identifier", ".body.ui.nodes#order", "one node has the address, and not two")
        .ours(ENTER),
    Pin::new(
        "code: after it|code: by identifier",
        ".body.ui.nodes[default:identifier].type",
        "one node has the address, and not two",
    )
    .ours("absent"),
    Pin::new("code: no address", ".body.ui.messages", "what no visible field can show is told above them")
        .theirs("[]")
        .ours(r#"[[4000002,"error",["property"]]]"#),
    Pin::new(
        "code: no address",
        ".body.ui.nodes[default:identifier].messages",
        "what no visible field can show is told above them",
    )
    .theirs(r#"[[4000002,"error"]]"#)
    .ours("[]"),
    Pin::new(
        "key: *|key and code: begin SPA|code: an unknown address|code: no address",
        ".body.ui.nodes[default:identifier].at.value",
        "Elements sends it as the address of a code, so it is one",
    )
    .theirs("alice||who@elsewhere.example")
    .ours("alice@bank.example"),
    // Keys.
    Pin::new("key: *", ".body.ui.nodes[webauthn:webauthn_login].at.value", "an empty value is there, or not")
        .theirs("absent")
        .ours(""),
    Pin::new("key: no identifier", ".body.ui.messages", "a key needs no identifier: `{}` is no answer of one")
        .theirs("[]")
        .ours(r#"[[4000001,"error",["reason"]]]"#),
    Pin::new("key: no identifier", ".body.ui.nodes[default:identifier].messages", "a key needs no identifier")
        .theirs(r#"[[4000002,"error"]]"#)
        .ours("[]"),
    Pin::new("key: replayed", ".body.state", "a flow that is done says so").ours("passed_challenge"),
    Pin::new("key: options to *", ".body.rp.id|.body.rpId", "the host of each server")
        .theirs("localhost")
        .ours("bank.example"),
    Pin::new("key: options to create*", ".body.pubKeyCredParams*", "only what is verified here")
        .ours("3|-257|absent"),
    Pin::new("key: options to create*", ".body.user.name|.body.user.displayName", "the user, and not the site")
        .theirs("Bank")
        .ours("alice"),
    Pin::new("key: options to create*", ".body.user.id", "a handle that is random, and no id of the user")
        .theirs("<16 bytes>")
        .ours("<32 bytes>"),
    Pin::new("key: options to create*", ".body.attestation", "the default, said aloud").theirs("absent").ours("none"),
    Pin::new(
        "key: options to create*",
        ".body.authenticatorSelection.residentKey|.body.authenticatorSelection.requireResidentKey",
        "the default, said aloud",
    )
    .theirs("absent")
    .ours("discouraged|false"),
    Pin::new(
        "key: whoami after removing",
        ".status|.body.error.code|.body.error.id|.body.redirect_browser_to",
        "a proof counts only while its credential is there",
    )
    .theirs("200|absent")
    .ours("403|session_aal2_required|{public}/self-service/login/browser?aal=aal2"),
    Pin::new(
        "key: whoami of the other session",
        ".body.authentication_methods#count|.body.authentication_methods[2].*",
        "a proof counts only while its credential is there",
    )
    .ours("2|absent"),
    Pin::new("script", ".body.names", "there are no passkeys as a first factor")
        .ours(r#"["__oryWebAuthnInitialized","__oryWebAuthnLogin","__oryWebAuthnRegistration","oryWebAuthnLogin","oryWebAuthnRegistration"]"#),
];

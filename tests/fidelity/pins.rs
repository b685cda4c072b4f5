//! What differs from the recorded answers on purpose, or says nothing of the wire, with the reason.

use super::pin::Pin;

/// Wherever answers are compared.
pub const EVERYWHERE: &[Pin] = &[
    Pin::new(
        "*",
        "*.identity.created_at|*.identity.updated_at|*.identity.state_changed_at|*.identity.external_id|*.identity.schema_url",
        "what the directory knows of a user",
    ),
    Pin::new(
        "*",
        "*.aal2_authenticated_at|*.aal2_expires_at",
        "until when the second factor counts: a member of our own",
    ),
    Pin::new("*", ".cookies.*login_flow_*", "a flow without a session is with its browser").theirs("absent"),
    Pin::new("*", ".kind|.type", "the body of a redirect").theirs("html|text/html|empty|").ours("empty|"),
    Pin::new("*", ".body.active", "says which method was tried last").theirs("absent"),
    Pin::new("*", ".body.transient_payload", "we keep none").theirs("{}").ours("absent"),
    Pin::new("*", "*.devices[1].*|*.devices#count", "one device a session is enough"),
];

/// In both models.
pub const PINS: &[Pin] = &[
    Pin::new("*", ".cookies|.cookies.csrf", "theirs sets the CSRF cookie on every answer")
        .theirs("set|*csrf*|absent")
        .ours("absent|{}"),
    Pin::new("*", ".body.error.reason|.body.error.details.*", "texts, and where they are")
        .theirs("absent|<text>")
        .ours("absent|<text>"),
    Pin::new("*", ".body.error.id|.error_header", "each 401 has an id").theirs("absent|").ours("session_inactive"),
    Pin::new("*", ".body.CredentialsMissing", "a leak of theirs").ours("absent"),
    Pin::new(
        "*",
        "*[totp:totp_code].at.value|*[lookup_secret:lookup_secret].at.value",
        "an empty value is there, or not",
    )
    .theirs("absent|")
    .ours("absent|"),
    Pin::new("totp: right code", ".body.continue_with[0].action", "the token rotates").ours("set_ory_session_token"),
    Pin::new("totp: right code", ".body.continue_with[0].ory_session_token", "the token rotates")
        .ours("<ory_session_token>"),
    Pin::new("*none enrolled", ".status|.body.error.code", "a SPA is led to enrolment")
        .theirs("200|absent")
        .ours("422"),
    Pin::new("*none enrolled", ".body.error.id", "a SPA is led to enrolment").ours("browser_location_change_required"),
    Pin::new("*none enrolled", ".body.redirect_browser_to", "a SPA is led to enrolment")
        .ours("{public}/self-service/settings/browser"),
    Pin::new("*aal2 SPA, none enrolled", ".body.ui.messages", "a SPA is led to enrolment").ours("absent"),
    Pin::new("aal2 HTML, none enrolled", ".location", "a browser is led to enrolment")
        .ours("{public}/self-service/settings/browser"),
    Pin::new("aal2 api, none enrolled", ".body.ui.messages", "the message leads to enrolment")
        .ours("*1010004*1990001*"),
    Pin::new("the flow again", ".body.state", "a flow that is done says so").ours("passed_challenge"),
    Pin::new("the flow again", ".body.ui.messages", "a flow that is done has no messages").ours("[]"),
    Pin::new(
        "whoami after unlinking",
        ".body.authenticator_assurance_level|.body.authentication_methods*",
        "a proof counts only while its credential is there",
    ),
    Pin::new("totp: right code", ".body.continue_with#count", "the token rotates").ours("1"),
    Pin::new(
        "codes: reveal",
        ".body.ui.messages|.body.ui.nodes[lookup_secret:lookup_secret_codes].*",
        "codes are kept hashed, so the list says that they cannot be shown again",
    ),
];

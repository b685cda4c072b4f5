//! Why the companion router refuses a request.

/// Why the companion router refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// It may be a cross-site request: the CSRF cookie and the form's token do not match the flow.
    CrossSite,
    /// The flow was begun in another session, or the form names another user.
    AnotherSession,
    /// It asks to return to a URL that the application does not allow.
    ForbiddenReturnTo,
    /// There is no such flow, or no longer.
    UnknownFlow,
    /// The flow has expired.
    ExpiredFlow,
    /// The flow was already completed, or another request has changed it meanwhile.
    UsedFlow,
    /// What it asks for exists already, or the session proves it already.
    NothingToDo,
    /// The logout token belongs to another session.
    WrongToken,
    /// The subject's account is disabled.
    Disabled,
    /// A browser asked in advance, or for something that shows no form. It begins no flow and ends no session.
    Background,
    /// It is malformed: a parameter, the body, the HTTP method, or an authentication method that is not offered.
    Invalid,
}

impl RefusalReason {
    /// The name in the log and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CrossSite => "cross_site",
            Self::AnotherSession => "another_session",
            Self::ForbiddenReturnTo => "forbidden_return_to",
            Self::UnknownFlow => "unknown_flow",
            Self::ExpiredFlow => "expired_flow",
            Self::UsedFlow => "used_flow",
            Self::NothingToDo => "nothing_to_do",
            Self::WrongToken => "wrong_token",
            Self::Disabled => "disabled",
            Self::Background => "background",
            Self::Invalid => "invalid",
        }
    }
}

use std::{error::Error, fmt, time::Duration};

/// Why Kratos told nothing about a session. The request is refused with 503. The text is for the log: it has no credential and nothing of
/// what an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Unreachable(String),
    Slow(Duration),
    Redirect(u16),
    Status(u16),
    TooLarge(usize),
    Broken(String),
    NotJson { line: usize, column: usize },
    NotASession(&'static str),
    Forbidden,
    NotAsked(String),
}

impl Failure {
    /// The cause at the end of the chain says what happened: a connection refused, a certificate that has expired.
    pub(crate) fn unreachable(error: &reqwest::Error) -> Self {
        Self::Unreachable(root_cause(error))
    }

    pub(crate) fn broken(error: &reqwest::Error) -> Self {
        Self::Broken(root_cause(error))
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) => write!(f, "Kratos cannot be reached: {cause}"),
            Self::Slow(limit) => write!(f, "Kratos did not answer within {limit:?}"),
            Self::Redirect(status) => write!(
                f,
                "Kratos answered {status}, and redirects are not followed: the URL must be that of its public API itself"
            ),
            Self::Status(status) => write!(f, "Kratos answered {status}, which says nothing about the session"),
            Self::TooLarge(limit) => write!(f, "the answer of Kratos has more than {limit} bytes"),
            Self::Broken(cause) => write!(f, "the answer of Kratos broke off: {cause}"),
            Self::NotJson { line, column } => {
                write!(f, "the answer of Kratos is not the JSON of a session: see its line {line}, column {column}")
            }
            Self::NotASession(why) => write!(f, "the answer of Kratos makes no sense: {why}"),
            Self::Forbidden => f.write_str("Kratos answered 403 for another reason than a missing second factor"),
            Self::NotAsked(why) => f.write_str(why),
        }
    }
}

impl Error for Failure {}

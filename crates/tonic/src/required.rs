//! What a refused client reads.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;
use tower_step_up::Shortfall;

pub(crate) const DOMAIN: &str = "tower-step-up";
pub(crate) const MAX_AGE: &str = "max_age";
pub(crate) const SECOND_FACTOR: &str = "second_factor";
pub(crate) const ACR_VALUES: &str = "acr_values";
pub(crate) const METHODS: &str = "methods";

/// The name of a shortfall in the details of a status (`google.rpc.ErrorInfo.reason`).
pub(crate) const fn reason(shortfall: Shortfall) -> &'static str {
    match shortfall {
        Shortfall::NoSession => "NO_SESSION",
        Shortfall::LevelTooLow => "LEVEL_TOO_LOW",
        Shortfall::NothingEnrolled => "NOTHING_ENROLLED",
        Shortfall::TooOld { .. } => "TOO_OLD",
        Shortfall::Unavailable => "UNAVAILABLE",
        Shortfall::MethodMissing { .. } => "METHOD_MISSING",
        Shortfall::MethodNotEnrolled => "METHOD_NOT_ENROLLED",
        Shortfall::NoMethodPossible => "NO_METHOD_POSSIBLE",
        _ => "CANNOT_TELL",
    }
}

/// Why a call was refused, and what the client can do about it: the counterpart of [`answer`](crate::answer) in a client.
///
/// ```
/// use tonic::Status;
/// use tower_step_up_tonic::StepUpRequired;
///
/// fn show(status: &Status) {
///     match StepUpRequired::of(status) {
///         Some(StepUpRequired { page: Some(page), .. }) => println!("open {page}, and then try again"),
///         Some(required) => println!("{}", required.shortfall),
///         None => println!("{status}"),
///     }
/// }
/// # show(&Status::not_found("no such payment"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepUpRequired {
    /// Why the call was refused.
    pub shortfall: Shortfall,
    /// The page where the user can prove more in a browser.
    pub page: Option<String>,
    /// What to ask the authorization server for: `acr_values` of RFC 9470.
    pub acr_values: Option<String>,
    /// The methods that would do, if the call requires some.
    pub methods: Vec<String>,
    /// The greatest age of the proof: `max_age` of RFC 9470.
    pub max_age: Option<Duration>,
}

impl StepUpRequired {
    /// Reads the details of a status. `None` if this crate has not made them, or they are not as it makes them.
    pub fn of(status: &Status) -> Option<Self> {
        let details = status.check_error_details().ok()?;
        let info = details.error_info().filter(|info| info.domain == DOMAIN)?;
        let fact = |name: &str| info.metadata.get(name).map(String::as_str);
        let max_age = match fact(MAX_AGE) {
            Some(seconds) => Some(Duration::from_secs(seconds.parse().ok()?)),
            None => None,
        };
        let shortfall = match info.reason.as_str() {
            "NO_SESSION" => Shortfall::NoSession,
            "LEVEL_TOO_LOW" => Shortfall::LevelTooLow,
            "NOTHING_ENROLLED" => Shortfall::NothingEnrolled,
            "CANNOT_TELL" => Shortfall::CannotTell,
            "UNAVAILABLE" => Shortfall::Unavailable,
            "METHOD_MISSING" => Shortfall::MethodMissing { second_factor: fact(SECOND_FACTOR)?.parse().ok()? },
            "METHOD_NOT_ENROLLED" => Shortfall::MethodNotEnrolled,
            "NO_METHOD_POSSIBLE" => Shortfall::NoMethodPossible,
            "TOO_OLD" => Shortfall::TooOld { max_age: max_age?, second_factor: fact(SECOND_FACTOR)?.parse().ok()? },
            _ => return None,
        };
        let page = details.help().and_then(|help| help.links.first()).map(|link| link.url.clone());
        let methods = fact(METHODS).map(|names| names.split(' ').map(str::to_owned).collect()).unwrap_or_default();
        Some(Self { shortfall, page, acr_values: fact(ACR_VALUES).map(str::to_owned), methods, max_age })
    }
}

//! Where a browser goes to do something about a refusal, and where it comes back to.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{Rejection, htmx};
use crate::{
    context::{Denied, SessionContext},
    headers::negotiation,
    requirement::Shortfall,
    standing::Enrolled,
    urls::Urls,
};

/// The page that helps; `None` if no page does.
pub(crate) fn destination(context: &SessionContext, denied: Denied, return_to: Option<&Url>) -> Option<Url> {
    let urls = &context.engine().urls;
    match denied {
        Denied::Unavailable | Denied::Shortfall(Shortfall::Unavailable) => None,
        // Names no level: who has no session learns nothing of what the route requires.
        Denied::Shortfall(Shortfall::NoSession) => Some(urls.first_login(return_to)),
        Denied::Shortfall(Shortfall::LevelTooLow | Shortfall::CannotTell) => Some(urls.login(true, false, return_to)),
        Denied::Shortfall(Shortfall::NothingEnrolled) => Some(urls.enrolment(return_to)),
        Denied::Shortfall(Shortfall::TooOld { second_factor, .. }) => {
            // Two factors may also have been vouched for by another provider, and only there can they be renewed.
            let enrolled = context.standing().is_some_and(|standing| standing.enrolled() != Enrolled::No);
            Some(urls.login(second_factor && enrolled, true, return_to))
        }
    }
}

/// A page that can be gone back to by `GET`. Nothing of the request's body, and no method, is ever repeated.
///
/// For `GET` and `HEAD` it is the page that was asked for, if it is an allowed one. A refused request of another kind cannot be
/// gone back to: then it is the configured page, or the page that the user was on, or the default.
pub(super) fn return_to(rejection: &Rejection) -> Option<Url> {
    let Rejection { context, method, headers, .. } = rejection;
    let urls = &context.engine().urls;
    let htmx = negotiation::is_htmx(headers);
    let safe = matches!(*method, Method::GET | Method::HEAD);
    if safe && (!htmx || htmx::is_boosted(headers)) {
        return own_page(rejection);
    }
    let configured = if safe { None } else { urls.after_unsafe.clone() };
    let shown = || if htmx { htmx::current_page(headers, urls) } else { None };
    let referer = || absolute(headers, &header::REFERER, urls);
    configured.or_else(shown).or_else(referer).or_else(|| Some(urls.default_return.clone()))
}

/// The page that was asked for, on the configured origin and never on one that the request names.
fn own_page(rejection: &Rejection) -> Option<Url> {
    let urls = &rejection.context.engine().urls;
    let path_and_query = rejection.context.path_and_query()?.as_str();
    let origin = urls.public.origin().ascii_serialization();
    let path = path_and_query.starts_with('/').then_some(path_and_query)?;
    urls.return_policy.parse(&format!("{origin}{path}")).ok()
}

/// The absolute URL in the header, if it may be returned to.
pub(super) fn absolute(headers: &HeaderMap, name: &header::HeaderName, urls: &Urls) -> Option<Url> {
    let text = headers.get(name)?.to_str().ok()?;
    // Relative ones are not ours to complete.
    text.contains("://").then(|| urls.return_policy.parse(text).ok())?
}

/// 303, so that no client repeats a body elsewhere, as it would with 307, or as some do with 302.
pub(super) fn see_other(url: &Url) -> (StatusCode, HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    // A serialised URL is ASCII without control characters, so this never fails.
    if let Ok(url) = HeaderValue::from_str(url.as_str()) {
        headers.insert(header::LOCATION, url);
    }
    (StatusCode::SEE_OTHER, headers, Bytes::new())
}

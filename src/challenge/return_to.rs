//! Where a browser returns to after the step-up.

use http::{HeaderMap, HeaderName, Method, header};
use url::Url;

use super::htmx;
use crate::{
    context::{RequestHead, SessionContext},
    headers::negotiation,
    urls::Urls,
};

/// A page to return to with `GET`. The request's body and method are never replayed.
///
/// For a navigation by `GET` or `HEAD` it is the requested page, if it is allowed. What a page asks for in the background is none: then it
/// is that page, which the browser names in `Referer`. For other methods it is the configured page, or the page that the user was on, or
/// the default.
pub(super) fn of(context: &SessionContext, head: &RequestHead) -> Option<Url> {
    let RequestHead { method, headers, .. } = head;
    let urls = &context.edge().urls;
    let htmx = negotiation::is_htmx(headers);
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let referer = || absolute(headers, &header::REFERER, urls);
    if safe && !htmx {
        let navigates = negotiation::is_navigation(method, headers);
        let shown = if navigates { None } else { referer() };
        // A program may come back to what it asked for. A browser would show its user the answer to a script.
        let in_the_background = !navigates && negotiation::is_in_the_background(headers);
        let default = || in_the_background.then(|| urls.default_return.clone());
        return shown.or_else(default).or_else(|| own_page(context));
    }
    if safe && htmx::is_boosted(headers) {
        return own_page(context);
    }
    let configured = if safe { None } else { urls.after_unsafe.clone() };
    let shown = || if htmx { absolute(headers, &htmx::HX_CURRENT_URL, urls) } else { None };
    configured.or_else(shown).or_else(referer).or_else(|| Some(urls.default_return.clone()))
}

/// The requested page as the browser sees it, always on the configured origin, never on one from the request.
fn own_page(context: &SessionContext) -> Option<Url> {
    let urls = &context.edge().urls;
    let path_and_query = context.path_and_query()?.as_str();
    let origin = urls.public.origin().ascii_serialization();
    let path = path_and_query.starts_with('/').then_some(path_and_query)?;
    let path = urls.prefix.put_back(path, context.is_nested());
    urls.return_policy.parse(&format!("{origin}{path}")).ok()
}

/// The absolute URL in the header, if it may be returned to.
fn absolute(headers: &HeaderMap, name: &HeaderName, urls: &Urls) -> Option<Url> {
    let text = headers.get(name)?.to_str().ok()?;
    // Relative URLs do not count.
    text.contains("://").then(|| urls.return_policy.parse(text).ok())?
}

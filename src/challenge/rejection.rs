//! A shortfall on its way out. The guard puts it into the response's extensions, and the outer layer renders it.

use bytes::Bytes;
use http::{Method, Uri, header, response};
use url::Url;

use super::{answer::Challenge, bearer, htmx, json, return_to};
use crate::{
    context::{Edge, Refusal, Refusals, RequestHead, SessionContext},
    headers::{NO_STORE, add_vary, negotiation},
    requirement::{Requirement, Shortfall},
    session::cookie::X_SESSION_TOKEN,
    source::{Remedy, Transport},
    urls::return_to::{cut_down, is_long},
};

/// Headers that describe the replaced body.
const OF_THE_BODY: [header::HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::ETAG,
    header::LAST_MODIFIED,
    header::ACCEPT_RANGES,
];

#[derive(Clone)]
pub(crate) struct Rejection {
    context: SessionContext,
    shortfall: Shortfall,
    requirement: Requirement,
    head: RequestHead,
    /// A short address in place of one that is too long to be handed on.
    short: Option<Url>,
}

impl std::fmt::Debug for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejection").field("shortfall", &self.shortfall).finish_non_exhaustive()
    }
}

impl Rejection {
    pub(crate) fn new(
        context: SessionContext,
        shortfall: Shortfall,
        requirement: Requirement,
        mut head: RequestHead,
    ) -> Self {
        for credential in [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION, X_SESSION_TOKEN.clone()]
        {
            head.headers.remove(credential);
        }
        Self { context, shortfall, requirement, head, short: None }
    }

    pub(crate) const fn shortfall(&self) -> Shortfall {
        self.shortfall
    }

    /// The address to return to, if it is too long to be handed on.
    pub(crate) fn long_address(&self) -> Option<Url> {
        if matches!(self.shortfall, Shortfall::Unavailable | Shortfall::NoMethodPossible) {
            return None;
        }
        return_to::of(&self.context, &self.head).filter(is_long)
    }

    /// Returns to this address instead, which leads to the long one.
    pub(crate) fn return_by(&mut self, short: Url) {
        self.short = Some(short);
    }

    /// Where a browser returns to. One that could not be kept is cut down.
    fn return_to(&self) -> Option<Url> {
        let wanted = || return_to::of(&self.context, &self.head);
        let default = || self.context.edge().urls.default_return.clone();
        self.short.clone().or_else(|| Some(cut_down(wanted()?).unwrap_or_else(default)))
    }

    /// Turns the refused response into the challenge and returns its body. Headers that other layers added, such as those of CORS, stay.
    pub(crate) fn render(self, parts: &mut response::Parts) -> Bytes {
        self.context.with_known_head(self.head.clone()).report_refusal(self.shortfall);
        for name in OF_THE_BODY {
            parts.headers.remove(name);
        }
        let return_to = self.return_to();
        let remedy = self.context.remedy(self.shortfall, self.requirement, return_to.as_ref());
        let Challenge { status, headers, body } = self.own_answer(&remedy).unwrap_or_else(|| self.answer(&remedy));
        parts.status = status;
        // The challenge's headers replace those of the response, with all their values.
        for name in headers.keys().filter(|name| *name != header::VARY) {
            parts.headers.remove(name);
            for value in headers.get_all(name) {
                parts.headers.append(name, value.clone());
            }
        }
        parts.headers.insert(header::CACHE_CONTROL, NO_STORE);
        parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
        add_vary(&mut parts.headers);
        parts.extensions.insert(self.shortfall);
        // RFC 9110 section 9.3.2: the same headers as for GET.
        if self.head.method == Method::HEAD { Bytes::new() } else { body }
    }

    /// The application's own answer, if it gives one.
    fn own_answer(&self, remedy: &Remedy) -> Option<Challenge> {
        let Edge { on_refusal, .. } = &**self.context.edge();
        let uri = self.context.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()));
        let refusal = Refusal {
            shortfall: self.shortfall,
            requirement: self.requirement,
            remedy,
            subject: self.context.known_session().map(crate::session::Session::subject),
            transport: self.context.transport(),
            method: &self.head.method,
            uri: &uri,
            headers: &self.head.headers,
            is_navigation: self.is_navigation(),
        };
        on_refusal.as_ref()?.answer(&refusal).map(Challenge::from)
    }

    fn answer(&self, remedy: &Remedy) -> Challenge {
        let page = remedy.page.as_ref();
        let (transport, headers) = (self.context.transport(), &self.head.headers);
        if self.may_be_a_browser() && negotiation::is_prefetch(headers) {
            return Challenge::from(json::prefetched().respond(headers));
        }
        if let Some(page) = page
            && self.is_navigation()
        {
            return Challenge::see_other(page);
        }
        let mut envelope = json::envelope(self.shortfall, remedy);
        if let (Some(api), Some(Transport::Header)) = (&remedy.api, transport) {
            envelope = envelope.detail("api", api.as_str());
        }
        let envelope = bearer::unauthorized(envelope, transport, self.shortfall);
        let envelope = bearer::challenge(envelope, transport, self.shortfall, remedy);
        let mut challenge = Challenge::from(envelope.respond(headers));
        if negotiation::is_htmx(headers) {
            htmx::redirect(&mut challenge.headers, page);
        }
        challenge
    }

    /// Whether a browser navigates to a page, and can be redirected.
    fn is_navigation(&self) -> bool {
        self.context.refusals() == Refusals::ByClient
            && self.may_be_a_browser()
            && negotiation::is_navigation(&self.head.method, &self.head.headers)
    }

    /// A client that sends its token in a header is not a browser, whatever it accepts: many programs accept `*/*`.
    fn may_be_a_browser(&self) -> bool {
        matches!(self.context.transport(), None | Some(Transport::Cookie))
    }
}

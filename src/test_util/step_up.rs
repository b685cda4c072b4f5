//! A step-up through the companion router, as a native application and as a browser, and what must not work after it.

use std::fmt::Debug;

use http::{Request, Response, header};
use http_body::Body;
use serde_json::json;
use tower_service::Service;
use url::Url;

use super::{
    Attacks,
    answer::Answer,
    attacks::report,
    code::{random_secret, totp_code},
    request::{Route, Sent, name_of},
    sessions::exchange_credentials,
};
use crate::{
    aal::Method,
    error::Error,
    session::cookie::{Transport, X_SESSION_TOKEN},
    step_up::SignedIn,
    store::AttemptKey,
};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The most redirects that a browser meets when it begins a flow.
const REDIRECTS: usize = 5;

/// A login flow that waits for its code.
struct Open {
    action: String,
    csrf: String,
    cookies: Vec<String>,
}

/// Somebody who has proven one factor.
struct FirstFactor {
    /// If sessions are this crate's own.
    signed_in: Option<SignedIn>,
    /// The `Cookie` header of the application's own session.
    host: Option<String>,
}

impl FirstFactor {
    fn token(&self) -> Option<&str> {
        self.signed_in.as_ref().map(|signed_in| signed_in.token().as_str())
    }

    fn sent(&self, transport: Transport) -> Sent<'_> {
        Sent { transport, token: self.token(), host: self.host.as_deref() }
    }
}

/// The step-up does not work in this application; says what was expected.
type Broken = String;

impl<S> Attacks<S> {
    /// Steps up through the companion router with a code of an authenticator app, as a native application and as a browser. Panics unless
    /// all of this holds:
    ///
    /// - these routes, `(method, path)`, refuse a session with one factor, and let the user in after the step-up;
    /// - they refuse the cookie and the token from before the step-up;
    /// - the same code does not work again in another session of the user;
    /// - a browser that is refused at the first `GET` route is redirected to the step-up, and then back to that route.
    ///
    /// It finds a [`StepUp::router`](crate::StepUp::router) that is not served under the public URL, a layer that loses cookies, or a
    /// store of your own that forgets used codes. See [`Attacks`] for an example.
    ///
    /// The subject is enrolled while it runs. Give only routes that require two factors, and that take TOTP as the second.
    ///
    /// # Panics
    ///
    /// One of these fails, there is no factor [`Totp`](crate::factor::Totp), the service or the store fails, or there are no routes.
    #[allow(clippy::expect_used, reason = "it is an assertion")]
    pub async fn assert_steps_up<ReqBody, ResBody>(&self, routes: &[(&str, &str)])
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default + From<String>,
        ResBody: Body,
        ResBody::Error: Debug,
    {
        assert!(!routes.is_empty(), "there are no routes to open");
        let before = exchange_credentials(&self.step_up, &self.subject, Vec::new()).await.expect("the store failed");
        let mut found = Vec::new();
        for transport in [Transport::Header, Transport::Cookie] {
            // Flows of native applications take no cookies, so they know no session of the application.
            if transport == Transport::Header && self.step_up.engine().is_hosted() {
                continue;
            }
            match self.ceremony(routes, transport).await.expect("the subject could not be enrolled or signed in") {
                Ok(holes) => found.extend(holes),
                Err(broken) => found.push(format!("{broken} ({})", name_of(transport))),
            }
        }
        exchange_credentials(&self.step_up, &self.subject, before).await.expect("the store failed");
        let key = AttemptKey { subject: self.subject.clone(), method: Method::Totp };
        self.step_up.engine().stores.reset_attempts(&key).await.expect("the store failed");
        report("the step-up does not work as it should", &found);
    }

    async fn ceremony<ReqBody, ResBody>(
        &self,
        routes: &[Route<'_>],
        transport: Transport,
    ) -> Result<Result<Vec<String>, Broken>, Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default + From<String>,
        ResBody: Body,
        ResBody::Error: Debug,
    {
        let secret = random_secret()?;
        self.step_up.import_totp(&self.subject, &secret).await?;
        let (old, thief) = (self.first_factor().await?, self.first_factor().await?);
        let mut found = self.not_asked_at(routes, old.sent(transport), "one factor").await;

        let start = routes.iter().find(|(method, _)| *method == "GET").map(|(_, path)| *path);
        let open = match self.begin(transport, &old, start).await {
            Ok(open) => open,
            Err(broken) => return Ok(Err(broken)),
        };
        let code = totp_code(&secret, self.step_up.engine().now())?;
        let answer = self.submit(transport, &old, &open, &code).await;
        let Some(new) = self.session_of(&answer) else {
            return Ok(Err(format!(
                "POST {} with a right code: {}, expected a new session",
                open.action,
                answer.seen()
            )));
        };
        if let (Transport::Cookie, Some(start)) = (transport, start) {
            let place = answer.location().unwrap_or_default();
            if place != format!("{}{start}", self.origin()) {
                found.push(format!(
                    "GET {start} in a browser: the step-up returns to {place:?}, should return to that page"
                ));
            }
        }
        let stepped_up = Sent { token: Some(&new), ..old.sent(transport) };
        found.extend(self.closed_to(routes, stepped_up, "two factors, stepped up").await);
        found.extend(self.alive_at(routes, old.sent(transport), "a session from before the step-up").await);

        let open = match self.begin(transport, &thief, start).await {
            Ok(open) => open,
            Err(broken) => return Ok(Err(broken)),
        };
        let answer = self.submit(transport, &thief, &open, &code).await;
        if self.session_of(&answer).is_some() {
            found.push(format!("POST {} with a code that was used: {}, should refuse", open.action, answer.seen()));
        }
        found.extend(self.not_asked_at(routes, thief.sent(transport), "one factor and a code that was used").await);
        Ok(Ok(found))
    }

    async fn first_factor(&self) -> Result<FirstFactor, Error> {
        let host = self.sign_in_at_host().await;
        let signed_in = match host {
            Some(_) => None,
            None => Some(self.step_up.sign_in(self.subject.clone(), Method::Password).await?),
        };
        Ok(FirstFactor { signed_in, host })
    }

    /// Begins a flow. A browser starts at a refused page, if there is one, and follows the redirects.
    async fn begin<ReqBody, ResBody>(
        &self,
        transport: Transport,
        session: &FirstFactor,
        start: Option<&str>,
    ) -> Result<Open, Broken>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default + From<String>,
        ResBody: Body,
        ResBody::Error: Debug,
    {
        let urls = &self.step_up.engine().urls;
        let expected = "expected a login flow; do you serve `step_up.router()` under the public URL?";
        let mut cookies = Vec::new();
        let path = if transport == Transport::Cookie {
            cookies.extend(session.host.clone());
            cookies.extend(session.token().map(|token| self.cookie(token)));
            let mut next = start.map_or_else(|| path_of(&urls.login(true, false, None)), str::to_owned);
            let mut id = None;
            for _ in 0..REDIRECTS {
                let request = Request::get(&next).header(header::ACCEPT, BROWSER);
                let answer = self.read(request.header(header::COOKIE, cookies.join("; ")), String::new()).await;
                cookies.extend(answer.cookies());
                let url = answer.location().and_then(|place| urls.public.join(&place).ok());
                let Some(url) = url else {
                    return Err(format!("GET {next} in a browser: {}, {expected}", answer.seen()));
                };
                id = url.query_pairs().find(|(name, _)| name == "flow").map(|(_, id)| id.into_owned());
                if id.is_some() {
                    break;
                }
                next = path_of(&url);
            }
            path_of(&urls.route("self-service/login/flows", &[("id", id.as_deref())]))
        } else {
            path_of(&urls.route("self-service/login/api", &[("aal", Some("aal2"))]))
        };
        let mut request = Request::get(&path).header(header::ACCEPT, "application/json");
        request = if cookies.is_empty() {
            request.header(&X_SESSION_TOKEN, session.token().unwrap_or_default())
        } else {
            request.header(header::COOKIE, cookies.join("; "))
        };
        let answer = self.read(request, String::new()).await;
        let action = answer.text_at("/ui/action").and_then(|action| Url::parse(&action).ok());
        let Some(action) = action else { return Err(format!("GET {path}: {}, {expected}", answer.seen())) };
        // The CSRF node comes first; native applications have none.
        let csrf = answer.text_at("/ui/nodes/0/attributes/value").unwrap_or_default();
        Ok(Open { action: path_of(&action), csrf, cookies })
    }

    async fn submit<ReqBody, ResBody>(
        &self,
        transport: Transport,
        session: &FirstFactor,
        open: &Open,
        code: &str,
    ) -> Answer
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        S::Error: Debug,
        ReqBody: Default + From<String>,
        ResBody: Body,
        ResBody::Error: Debug,
    {
        let fields = [("method", "totp"), ("totp_code", code), ("csrf_token", &open.csrf)];
        let request = Request::post(&open.action);
        if transport == Transport::Cookie {
            let request = request
                .header(header::ACCEPT, BROWSER)
                .header(header::COOKIE, open.cookies.join("; "))
                .header(header::ORIGIN, self.origin())
                .header("sec-fetch-site", "same-origin")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            self.read(request, body).await
        } else {
            let request = request
                .header(header::ACCEPT, "application/json")
                .header(&X_SESSION_TOKEN, session.token().unwrap_or_default())
                .header(header::CONTENT_TYPE, "application/json");
            self.read(request, json!({ "method": "totp", "totp_code": code }).to_string()).await
        }
    }

    /// The session token in an answer.
    fn session_of(&self, answer: &Answer) -> Option<String> {
        let name = &self.step_up.engine().sessions.cookies.session;
        let by_cookie = answer.cookies().find_map(|cookie| {
            let (own, token) = cookie.split_once('=')?;
            (own == name && !token.is_empty()).then(|| token.to_owned())
        });
        by_cookie.or_else(|| answer.text_at("/session_token"))
    }
}

/// The part of a URL that a client sends.
fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

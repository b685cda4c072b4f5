//! The application: its login is `openidconnect`'s, and its guards are `tower-step-up`'s.

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use openidconnect::{
    AsyncHttpClient, AuthenticationContextClass, AuthenticationFlow, AuthorizationCode, ClientId, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, TokenResponse as _,
    core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata},
};
use serde::Deserialize;
use tower_step_up::{
    Aal, CurrentSession, RequireAal, Requirement, RouterExt as _, StepUp, StepUpGuard, Subject, clock::Timestamp,
};
use tower_step_up_oidc::{Login, RelyingParty};

/// What the provider calls two factors.
const TWO_FACTORS: &str = "urn:example:2fa";

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// `openidconnect` takes any HTTP client. This is reqwest's.
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, reqwest::Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut answer = self.0.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
            let mut response = HttpResponse::new(answer.bytes().await?.to_vec());
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok(response)
        })
    }
}

impl Http {
    fn new() -> Result<Self, reqwest::Error> {
        let policy = reqwest::redirect::Policy::none();
        Ok(Self(reqwest::Client::builder().redirect(policy).timeout(Duration::from_secs(5)).no_proxy().build()?))
    }
}

#[derive(Clone)]
struct Bank(Arc<Shared>);

struct Shared {
    client: Client,
    http: Http,
    guard: StepUpGuard,
    /// Who is signed in, by the session's cookie. A real application has a store.
    sessions: Mutex<HashMap<String, Login>>,
    /// Logins that have begun, by their `state`.
    begun: Mutex<HashMap<String, Begun>>,
}

/// What was asked of the provider.
struct Begun {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    acr_values: Option<String>,
    max_age: Option<u64>,
    return_to: String,
}

pub(crate) async fn router(public_url: &str, issuer: &str) -> Result<Router, Box<dyn Error>> {
    let relying_party = RelyingParty::login_at(format!("{public_url}/login")).acr(TWO_FACTORS, Aal::Aal2);
    let guard = StepUp::guard(public_url).insecure_http_on_loopback().source(relying_party).build()?;

    let http = Http::new()?;
    let metadata = CoreProviderMetadata::discover_async(IssuerUrl::new(issuer.to_owned())?, &http).await?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new("bank".to_owned()), None)
        .set_redirect_uri(RedirectUrl::new(format!("{public_url}/callback"))?);
    let (sessions, begun) = (Mutex::default(), Mutex::default());
    let bank = Bank(Arc::new(Shared { client, http, guard: guard.clone(), sessions, begun }));

    let recent = Requirement::aal2().max_age(Duration::from_secs(300));
    Ok(Router::new()
        .route("/", get(home))
        .route("/account", get(account).layer(RequireAal::new(Requirement::aal1())))
        .route_requiring("/transfer", recent, get(transfer))
        .route("/login", get(login))
        .route("/callback", get(callback))
        .route("/logout", post(logout))
        .layer(guard.layer())
        .layer(from_fn_with_state(bank.clone(), who_is_signed_in)) // outside of the guard's layer
        .with_state(bank))
}

/// Tells the guards who is signed in.
async fn who_is_signed_in(State(bank): State<Bank>, mut request: Request, next: Next) -> Response {
    let login = cookie(request.headers(), "session").and_then(|id| lock(&bank.0.sessions).get(&id).cloned());
    request.extensions_mut().insert(login);
    next.run(request).await
}

#[derive(Deserialize)]
struct Wanted {
    acr_values: Option<String>,
    max_age: Option<u64>,
    return_to: Option<String>,
}

/// Where refusals lead: asks the provider for what is missing.
async fn login(State(bank): State<Bank>, Query(wanted): Query<Wanted>) -> Response {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow: CoreAuthenticationFlow = AuthenticationFlow::AuthorizationCode;
    let mut request =
        bank.0.client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random).set_pkce_challenge(challenge);
    if let Some(acr_values) = &wanted.acr_values {
        // `acr_values` is a wish, to a provider that understands only that; the claim is a must (OpenID Connect Core section 5.5.1.1).
        let values: Vec<_> = acr_values.split(' ').collect();
        let claims = serde_json::json!({"id_token": {"acr": {"essential": true, "values": values}}});
        request = request.add_extra_param("claims", claims.to_string());
        for value in values {
            request = request.add_auth_context_value(AuthenticationContextClass::new(value.to_owned()));
        }
    }
    if let Some(max_age) = wanted.max_age {
        request = request.set_max_age(Duration::from_secs(max_age));
    }
    let (url, state, nonce) = request.url();
    // Anybody can write a link to this route, so it returns only to pages of our own.
    let return_to = wanted.return_to.and_then(|return_to| bank.0.guard.return_url(&return_to));
    let Wanted { acr_values, max_age, .. } = wanted;
    let begun = Begun { nonce, verifier, acr_values, max_age, return_to: return_to.unwrap_or_else(|| "/".to_owned()) };
    lock(&bank.0.begun).insert(state.secret().clone(), begun);
    // The browser that comes back must be the one that began.
    ([set_cookie("login", state.secret(), 600)], Redirect::to(url.as_str())).into_response()
}

#[derive(Deserialize)]
struct Returned {
    code: Option<String>,
    state: String,
}

async fn callback(State(bank): State<Bank>, headers: HeaderMap, Query(returned): Query<Returned>) -> Response {
    if cookie(&headers, "login").as_deref() != Some(&returned.state) {
        return page(StatusCode::BAD_REQUEST, "This login did not begin in this browser.");
    }
    let (Some(begun), Some(code)) = (lock(&bank.0.begun).remove(&returned.state), returned.code) else {
        return page(StatusCode::BAD_REQUEST, "The login was cancelled, or took too long.");
    };
    let return_to = begun.return_to.clone();
    match signed_in(&bank, begun, code).await {
        Ok(login) => {
            let mut sessions = lock(&bank.0.sessions);
            // A new id for a new level, so that one that was stolen before it is worth nothing.
            if let Some(old) = cookie(&headers, "session") {
                sessions.remove(&old);
            }
            let id = CsrfToken::new_random_len(32).into_secret();
            sessions.insert(id.clone(), login);
            ([set_cookie("session", &id, 3600)], Redirect::to(&return_to)).into_response()
        }
        // Not back to where the user wanted to go: the guard would send them here again.
        Err(error) => page(StatusCode::FORBIDDEN, &format!("You are not signed in: {error}.")),
    }
}

/// The login that the provider vouches for, if it is what was asked for.
async fn signed_in(bank: &Bank, begun: Begun, code: String) -> Result<Login, Box<dyn Error + Send + Sync>> {
    let Shared { client, http, .. } = &*bank.0;
    let request = client.exchange_code(AuthorizationCode::new(code))?.set_pkce_verifier(begun.verifier);
    let response = request.request_async(http).await?;
    let id_token = response.id_token().ok_or("the provider sent no ID token")?;

    let (acr_values, max_age) = (begun.acr_values, begun.max_age);
    let verifier = client
        .id_token_verifier()
        .set_auth_context_verifier_fn(move |acr| match &acr_values {
            Some(wanted) if !wanted.split(' ').any(|wanted| acr.is_some_and(|acr| acr.as_str() == wanted)) => {
                Err("the provider did not ask for the second factor".to_owned())
            }
            _ => Ok(()),
        })
        .set_auth_time_verifier_fn(move |time| {
            let Some(max_age) = max_age else { return Ok(()) };
            let age = time.and_then(|time| u64::try_from(now().unix_seconds().saturating_sub(time.timestamp())).ok());
            match age {
                // Some time passed since the answer.
                Some(age) if age <= max_age.saturating_add(60) => Ok(()),
                _ => Err("the provider did not ask for a proof anew".to_owned()),
            }
        });
    let claims = id_token.claims(&verifier, &begun.nonce)?;

    let mut login = Login::of(Subject::new(claims.subject().as_str())?);
    if let Some(acr) = claims.auth_context_ref() {
        login = login.acr(acr.as_str());
    }
    for amr in claims.auth_method_refs().into_iter().flatten() {
        login = login.amr(amr.as_str());
    }
    if let Some(time) = claims.auth_time() {
        login = login.auth_time(Timestamp::from_unix_seconds(time.timestamp()));
    }
    Ok(login.expires_at(now() + Duration::from_secs(3600)))
}

async fn home(user: Option<CurrentSession>) -> Html<String> {
    let who = user.map_or_else(|| "Nobody".to_owned(), |user| user.subject().to_string());
    Html(format!(
        "<p>{who} is signed in.</p><p><a href=/account>Account</a> <a href=/transfer>Transfer</a></p>\
         <form method=post action=/logout><button>Sign out</button></form>"
    ))
}

async fn account(user: CurrentSession) -> Html<String> {
    Html(format!("<p>The account of {}.</p><p><a href=/transfer>Transfer</a></p>", user.subject()))
}

async fn transfer(user: CurrentSession) -> Html<String> {
    Html(format!("<p>{} has just proven a second factor, and may transfer.</p>", user.subject()))
}

async fn logout(State(bank): State<Bank>, headers: HeaderMap) -> impl IntoResponse {
    if let Some(id) = cookie(&headers, "session") {
        lock(&bank.0.sessions).remove(&id);
    }
    ([set_cookie("session", "", 0)], Redirect::to("/"))
}

fn page(status: StatusCode, text: &str) -> Response {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    (status, Html(format!("<p>{text}</p><p><a href=/>Home</a></p>"))).into_response()
}

fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    all.flat_map(|header| header.split("; "))
        .find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// On HTTPS it is `__Host-…; Secure`.
fn set_cookie(name: &str, value: &str, seconds: u32) -> (header::HeaderName, String) {
    (header::SET_COOKIE, format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={seconds}"))
}

//! The companion router: Ory's endpoints for step-up, one file per resource, and the built-in pages.
//!
//! It identifies users only by the request's context.

mod answer;
mod background;
mod body;
mod change;
mod checks;
mod errors;
mod failure;
mod kept_address;
mod login;
mod login_submit;
mod login_success;
mod login_told;
mod login_verdict;
mod logout;
mod onward;
mod pages;
pub(crate) mod query;
mod recent_proof;
mod repeat;
mod return_to;
mod said;
mod saving;
mod schemas;
mod scope;
mod sessions;
mod settings;
mod settings_submit;
mod settings_success;
mod stored_flow;
mod submission;
mod trusted_device;
mod whoami;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    routing::{MethodRouter, any, delete, get, post},
};

pub(crate) use self::scope::Site;
use self::{failure::Failure, scope::Scope};

/// All routes.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(site: Site) -> Router<S> {
    let body_limit = site.engine().limits.body_bytes;
    let mut router = Router::new();
    for script in site.engine().factors.iter().filter_map(|factor| factor.script()).copied() {
        let serve = move || async move { pages::serve_script(script) };
        router = router.route(&format!("/{}", script.path()), only("GET", get(serve)));
    }
    if pages::addresses_are_added(site.engine()) {
        router = router.route("/self-service/ui/addresses", only("POST", post(pages::change_addresses)));
    }
    router
        .route("/sessions/whoami", any(whoami::whoami))
        .route("/self-service/login/browser", only("GET", get(login::begin_in_browser)))
        .route("/self-service/login/api", only("GET", get(login::begin_by_api)))
        .route("/self-service/login/flows", only("GET", get(login::get_flow)))
        .route("/self-service/login", only("POST", post(login_submit::submit)))
        .route("/self-service/settings/browser", only("GET", get(settings::begin_in_browser)))
        .route("/self-service/settings/api", only("GET", get(settings::begin_by_api)))
        .route("/self-service/settings/flows", only("GET", get(settings::get_flow)))
        .route("/self-service/settings", only("POST", post(settings_submit::submit)))
        .route("/self-service/logout/browser", only("GET", get(logout::begin)))
        .route("/self-service/logout", only("GET", get(logout::finish)))
        .route("/self-service/logout/api", only("DELETE", delete(logout::native)))
        .route("/sessions", only("GET, DELETE", get(sessions::list).delete(sessions::revoke_others)))
        .route("/sessions/{id}", only("DELETE", delete(sessions::revoke_one)))
        .route("/self-service/continue", only("GET", get(kept_address::lead_on)))
        .route("/schemas/{id}", only("GET", get(schemas::schema)))
        .route("/self-service/errors", only("GET", get(errors::get_error)))
        .route("/self-service/ui/login", only("GET", get(pages::login)))
        .route("/self-service/ui/settings", only("GET", get(pages::settings)))
        .route("/self-service/ui/sessions", only("GET, POST", get(pages::sessions).post(pages::end_session)))
        .route("/self-service/ui/devices", only("POST", post(pages::forget_devices)))
        .route("/self-service/ui/error", only("GET", get(pages::error)))
        .route("/self-service/ui/style.css", only("GET", get(pages::style)))
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(site)
}

/// Other methods get 405 with the envelope and the methods that are allowed.
fn only(allow: &'static str, routes: MethodRouter<Site>) -> MethodRouter<Site> {
    routes.fallback(move |scope: Scope| async move {
        let mut response = Failure::WrongHttpMethod.respond(&scope, true);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    })
}

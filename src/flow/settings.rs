//! Settings flows: binding and removing second factors, and the recent proof this needs.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{
    csrf::CsrfToken,
    owner::Owner,
    record::{Flow, Purpose},
};
use crate::{
    aal::{Aal, Method},
    clock::Timestamp,
    engine::Engine,
    factor::{Enrolment, Factor, FactorError, Form},
    session::Session,
    standing::{Enrolled, Standing},
    wire::ui::{Node, sort_settings_nodes},
};

/// Whether the session may change factors now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recency {
    /// It may.
    Recent,
    /// The user must prove a factor again first: a second factor, if one is enrolled.
    ProveAnew { second_factor: bool },
}

/// The rule of the wire contract, section 8.3. If any second factor is enrolled, a change needs a recent second-factor proof, in the lax
/// model too. A `max_age` of zero waives the age, never the level.
pub(crate) fn recency(session: &Session, standing: &Standing, max_age: Duration, now: Timestamp) -> Recency {
    let second_factor = standing.enrolled() != Enrolled::No;
    let proven_at = if second_factor {
        let proven = standing.level(session, now) == Aal::Aal2;
        standing.second_factor_at(session, now).filter(|_| proven)
    } else {
        standing.authenticated_at(session, now)
    };
    match proven_at {
        Some(at) if max_age.is_zero() || now < at + max_age => Recency::Recent,
        _ => Recency::ProveAnew { second_factor },
    }
}

/// Whether the flow is a settings flow.
pub(crate) const fn is_settings(flow: &Flow) -> bool {
    matches!(flow.purpose, Purpose::Settings { .. })
}

fn enrolments(engine: &Engine, browser: bool) -> impl Iterator<Item = (&dyn Factor, &dyn Enrolment)> {
    engine.offered(browser).filter_map(|factor| Some((factor, factor.enrolment()?)))
}

/// Keeps the states that factors need to bind a credential: of one method, or of all.
pub(crate) async fn begin(
    flow: &mut Flow,
    engine: &Engine,
    owner: &Owner,
    only: Option<Method>,
    now: Timestamp,
) -> Result<(), FactorError> {
    for (factor, enrolment) in enrolments(engine, flow.is_of_browser()) {
        let method = factor.method();
        if only.is_some_and(|only| only != method) {
            continue;
        }
        let own = owner.credentials_of(method);
        let begun = enrolment.begin(owner.context(engine, flow, method, &own, None, now));
        match engine.in_time(factor, begun).await? {
            Some(state) => flow.keep_state(engine, method, &state, &own)?,
            None => flow.states_mut().drop(method),
        }
    }
    Ok(())
}

/// The factor of this form; `None` if the form names none that the settings offer.
pub(crate) fn factor_of<'a>(
    engine: &'a Engine,
    browser: bool,
    form: &Form,
) -> Option<(&'a dyn Factor, &'a dyn Enrolment)> {
    let mut offered = enrolments(engine, browser);
    let Some(name) = form.get("method") else { return offered.find(|(_, enrolment)| enrolment.claims(form)) };
    let method = name.parse::<Method>().ok()?;
    offered.find(|(factor, _)| factor.shown_as() == method)
}

/// The nodes of the flow, for its owner.
pub(crate) fn nodes(
    flow: &Flow,
    engine: &Engine,
    owner: &Owner,
    csrf: Option<&CsrfToken>,
    now: Timestamp,
) -> Result<Vec<Node>, FactorError> {
    let mut nodes = Vec::new();
    for factor in engine.offered(flow.is_of_browser()) {
        let own = owner.credentials_of(factor.method());
        let state = flow.state(engine, factor.method())?;
        let context = owner.context(engine, flow, factor.method(), &own, state.as_deref(), now);
        nodes.extend(match factor.enrolment() {
            Some(enrolment) => enrolment.nodes(context)?,
            None => factor.settings_nodes(context)?,
        });
    }
    nodes.extend(flow.csrf_node(csrf, !nodes.is_empty()));
    flow.annotate(&mut nodes);
    sort_settings_nodes(&mut nodes);
    Ok(nodes)
}

/// The URL to submit the flow to.
pub(crate) fn action(flow: &Flow, engine: &Engine) -> Url {
    engine.urls.route("self-service/settings", &[("flow", Some(&flow.id().to_string()))])
}

/// The page that shows the flow.
pub(crate) fn page(flow: &Flow, engine: &Engine) -> Url {
    let mut url = engine.urls.settings_ui.clone();
    url.query_pairs_mut().append_pair("flow", &flow.id().to_string());
    url
}

/// The settings flow object of the wire contract.
pub(crate) fn view(
    flow: &Flow,
    engine: &Engine,
    identity: Value,
    nodes: &[Node],
    continue_with: Option<Value>,
) -> Value {
    let mut view = flow.view(engine, &action(flow, engine), nodes);
    view.insert("identity".to_owned(), identity);
    let success = matches!(flow.purpose, Purpose::Settings { success: true });
    view.insert("state".to_owned(), json!(if success { "success" } else { "show_form" }));
    if let Some(continue_with) = continue_with {
        view.insert("continue_with".to_owned(), continue_with);
    }
    Value::Object(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aal::{CredentialId, Proof},
        directory::{DirectoryFuture, Identity},
        session::{StoredSession, Subject},
        standing::CredentialSummary,
    };

    const HOUR: Duration = Duration::from_secs(3600);

    struct Users;

    impl crate::directory::Directory for Users {
        fn identity<'a>(&'a self, _: &'a Subject) -> DirectoryFuture<'a, Option<Identity>> {
            Box::pin(async { Ok(None) })
        }

        fn checks_passwords(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_change_is_of_the_factor_that_the_form_names() {
        let step_up = crate::StepUp::builder("https://bank.example")
            .signing_key(crate::SigningKey::generate("2026-11").unwrap())
            .store(crate::store::MemoryStore::default())
            .factor(crate::factor::Totp::new("Example Bank"))
            .factor(crate::factor::Password::default())
            .directory(Users)
            .build()
            .unwrap();
        for (field, value, expected) in [
            ("method", "totp", Some(Method::Totp)),
            ("totp_unlink", "true", Some(Method::Totp)),
            // Not configured; configured, but not changed here; never a second factor; unknown.
            ("method", "webauthn", None),
            ("method", "lookup_secret", None),
            ("method", "password", None),
            ("method", "oidc", None),
            ("method", "nonsense", None),
            ("x", "y", None),
        ] {
            let form = Form::from_pairs([(field.to_owned(), value.to_owned())]).unwrap();
            let found = factor_of(step_up.engine(), true, &form).map(|(factor, _)| factor.method());
            assert_eq!(found, expected, "{field}={value}");
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn a_change_of_factors_takes_what_the_contract_says() {
        let totp = CredentialSummary { id: CredentialId::random(), method: Method::Totp, aal: Aal::Aal2 };
        let password = |second| Proof::new(Method::Password, Aal::Aal1, at(second));
        let aal1 = StoredSession::new(Subject::new("kim").unwrap(), password(0), at(0), 24 * HOUR);
        let aal2 = aal1.renewed(
            Proof::new(Method::Totp, Aal::Aal2, at(1000)).with_credential(totp.id),
            at(1000),
            24 * HOUR,
            None,
        );
        let password_again = aal2.renewed(password(9000), at(9000), 24 * HOUR, None);
        let (none, enrolled) = (Standing::new(vec![]), Standing::new(vec![totp]));
        let again = |second_factor| Recency::ProveAnew { second_factor };
        for (session, standing, max_age, now, expected) in [
            (&aal1, &none, HOUR, 3599, Recency::Recent),
            (&aal1, &none, HOUR, 3600, again(false)),
            (&aal1, &none, Duration::ZERO, 80_000, Recency::Recent),
            (&aal1, &enrolled, HOUR, 1, again(true)),
            (&aal1, &enrolled, Duration::ZERO, 1, again(true)),
            (&aal2, &enrolled, HOUR, 4599, Recency::Recent),
            (&aal2, &enrolled, HOUR, 4600, again(true)),
            (&aal2, &enrolled, Duration::ZERO, 80_000, Recency::Recent),
            (&password_again, &enrolled, HOUR, 9001, again(true)),
        ] {
            assert_eq!(recency(session.as_ref(), standing, max_age, at(now)), expected, "{now} {max_age:?}");
        }
    }
}

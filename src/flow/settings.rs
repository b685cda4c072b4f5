//! Settings flows: binding and removing second factors.

use serde_json::{Value, json};
use url::Url;

use super::{
    csrf::CsrfToken,
    owner::Owner,
    record::{Flow, Purpose},
};
use crate::{
    aal::Method,
    clock::Timestamp,
    engine::Engine,
    factor::{Enrolment, Factor, FactorError, Form},
    wire::ui::{Node, sort_settings_nodes},
};

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
        directory::{DirectoryFuture, Identity},
        session::Subject,
    };

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
}

//! Query parameters, each allowed at most once.

use http::Uri;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::failure::Failure;
use crate::{aal::BuiltIn, engine::Engine, flow::login::Asked, store::FlowId};

/// The query of a request.
#[derive(Debug)]
pub(crate) struct Query {
    /// As the client wrote it.
    text: Option<String>,
    decoded: Vec<(String, String)>,
}

/// In bytes. Servers and proxies take no more in an address either.
const LONGEST_KEPT: usize = 8 * 1024;

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let text = uri.query();
        let decoded = form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect();
        Self { text: text.map(str::to_owned), decoded }
    }

    /// The URL that was asked for, with the query as the client wrote it: front ends find their own parameters there. Flows keep it, so
    /// one that is too long loses its query.
    pub(crate) fn asked_url(&self, engine: &Engine, path: &str) -> Url {
        let mut url = engine.urls.route(path, &[]);
        url.set_query(self.text.as_deref().filter(|text| text.len() <= LONGEST_KEPT));
        url
    }

    /// The parameter's value; `None` if it is missing or empty.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.decoded.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Failure::RepeatedParameter),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// Where to return to, if it is allowed.
    pub(crate) fn return_to(&self, engine: &Engine) -> Result<Option<Url>, Failure> {
        match self.one("return_to") {
            Err(_) => Err(Failure::ForbiddenReturnTo),
            Ok(None) => Ok(None),
            // U+FFFD replaces bytes that are not UTF-8.
            Ok(Some(text)) if text.contains('\u{fffd}') => Err(Failure::ForbiddenReturnTo),
            Ok(Some(text)) => engine.urls.return_policy.parse(text).map(Some).map_err(|_| Failure::ForbiddenReturnTo),
        }
    }

    /// The requested level, whether to prove it again, and the only methods that will do.
    pub(crate) fn asked(&self) -> Result<Asked, Failure> {
        let aal2 = match self.one("aal")?.map(str::to_ascii_lowercase).as_deref() {
            None | Some("aal1") => false,
            Some("aal2") => true,
            Some(_) => return Err(Failure::UnknownAal),
        };
        let refresh = matches!(self.one("refresh")?, Some("1" | "t" | "T" | "true" | "True" | "TRUE"));
        let methods = self.methods()?;
        Ok(Asked { aal2, refresh: refresh || methods.is_some(), methods })
    }

    /// The named methods. A list that says nothing would ask for a proof that nobody can give.
    fn methods(&self) -> Result<Option<BuiltIn>, Failure> {
        let mut given = self.decoded.iter().filter(|(name, _)| name == "methods");
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Failure::RepeatedParameter),
            (Some((_, names)), None) => BuiltIn::named(names).map(Some).ok_or(Failure::UnknownMethods),
        }
    }

    /// The id in this parameter; `None` if it is missing or invalid.
    pub(crate) fn id(&self, name: &str) -> Result<Option<Uuid>, Failure> {
        Ok(self.one(name)?.and_then(|text| Uuid::try_parse(text).ok().filter(|id| id.to_string() == text)))
    }

    pub(crate) fn flow_id(&self, name: &str) -> Result<Option<FlowId>, Failure> {
        Ok(self.id(name)?.map(FlowId::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/x?{text}").parse().unwrap())
    }

    #[test]
    fn refresh_is_true_for_six_texts_and_false_else() {
        for (text, refresh) in [
            ("refresh=1", true),
            ("refresh=t", true),
            ("refresh=T", true),
            ("refresh=true", true),
            ("refresh=True", true),
            ("refresh=TRUE", true),
            ("refresh=false", false),
            ("refresh=yes", false),
            ("refresh=tRUE", false),
            ("refresh=", false),
            ("", false),
        ] {
            assert_eq!(query(text).asked().unwrap().refresh, refresh, "{text}");
        }
    }

    #[test]
    fn levels_are_two_and_each_parameter_stands_once() {
        for (text, aal2) in [
            ("aal=aal2", Ok(true)),
            ("aal=AAL2", Ok(true)),
            ("aal=aal1", Ok(false)),
            ("aal=", Ok(false)),
            ("", Ok(false)),
            ("aal=aal3", Err(Failure::UnknownAal)),
            ("aal=aal0", Err(Failure::UnknownAal)),
            ("aal=aal2%20", Err(Failure::UnknownAal)),
            ("aal=aal2&aal=aal1", Err(Failure::RepeatedParameter)),
        ] {
            assert_eq!(query(text).asked().map(|asked| asked.aal2), aal2, "{text}");
        }
    }

    #[test]
    fn methods_are_a_list_of_known_names_and_imply_a_new_proof() {
        for (text, methods) in [
            ("", Ok(None)),
            ("methods=webauthn", Ok(Some("webauthn"))),
            ("methods=webauthn,passkey&refresh=false", Ok(Some("passkey,webauthn"))),
            ("methods=totp%2Ctotp", Ok(Some("totp"))),
            ("methods=", Err(Failure::UnknownMethods)),
            ("methods", Err(Failure::UnknownMethods)),
            ("methods=,", Err(Failure::UnknownMethods)),
            ("methods=totp,", Err(Failure::UnknownMethods)),
            ("methods=totp%20", Err(Failure::UnknownMethods)),
            ("methods=TOTP", Err(Failure::UnknownMethods)),
            ("methods=totp,magic", Err(Failure::UnknownMethods)),
            ("methods=custom:push", Err(Failure::UnknownMethods)),
            ("methods=totp&methods=totp", Err(Failure::RepeatedParameter)),
        ] {
            let asked = query(text).asked();
            assert!(asked.as_ref().map_or(true, |asked| asked.refresh == asked.methods.is_some()), "{text}");
            assert_eq!(
                asked.map(|asked| asked.methods.map(BuiltIn::names)),
                methods.map(|names| names.map(str::to_owned)),
                "{text}"
            );
        }
    }

    #[test]
    fn ids_are_canonical() {
        let id = "3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20";
        assert!(query(&format!("flow={id}")).flow_id("flow").unwrap().is_some());
        for bad in
            [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), "'%20OR%201=1".to_owned(), "x".repeat(10_000)]
        {
            assert_eq!(query(&format!("flow={bad}")).flow_id("flow"), Ok(None), "{bad}");
        }
    }
}

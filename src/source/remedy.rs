use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use url::Url;

use super::{Clue, Evidence};
use crate::{
    clock::Timestamp,
    requirement::{Requirement, Shortfall},
};

/// A requirement that a request's session does not meet.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Unmet<'a> {
    /// Why it is not met.
    pub shortfall: Shortfall,
    /// What was required.
    pub requirement: Requirement,
    /// What is known about the session, if there is one.
    pub evidence: Option<&'a Evidence>,
    /// What the request brought for the source, so that the source can say why it is no good.
    pub clue: Option<&'a Clue>,
    /// The instant that the request is judged by.
    pub now: Timestamp,
    /// Where the browser returns afterwards: a page of the application, or of another one that it allows.
    pub return_to: Option<&'a Url>,
}

/// What a client can do about a shortfall: a page to go to, an `acr`, methods and an age to ask for, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remedy {
    /// The page where a user in a browser can prove more.
    pub page: Option<Url>,
    /// The endpoint where a client without a browser begins to prove more, such as Ory's `/self-service/login/api?aal=aal2`. Who sends a token
    /// as [`Transport::Header`](super::Transport::Header) gets it as `details.api` of the error.
    pub api: Option<Url>,
    /// What to ask the authorization server for: `acr_values` of RFC 9470. If the source leaves it out, the names that the builder was given
    /// for the level.
    pub acr_values: Option<String>,
    /// The methods that would do, by their names on the wire, sorted: `details.methods` of the error. If the source leaves it out, the
    /// requirement's own; empty if it names none.
    pub methods: Vec<String>,
    /// The greatest age of the proof: `max_age` of RFC 9470. If the source leaves it out, the requirement's own.
    pub max_age: Option<Duration>,
    /// Why a token is refused, for the developer of the client: `error_description` of RFC 6750. If the source leaves it out, a few words about
    /// the shortfall, and nothing where there is no session. It must not tell what is secret. Characters that RFC 6750 does not allow are left out.
    pub error_description: Option<Cow<'static, str>>,
}

impl Remedy {
    /// A page to go to.
    pub const fn page(url: Url) -> Self {
        Self {
            page: Some(url),
            api: None,
            acr_values: None,
            methods: Vec::new(),
            max_age: None,
            error_description: None,
        }
    }

    /// The same, with the endpoint for clients without a browser.
    #[must_use]
    pub fn with_api(self, url: Url) -> Self {
        Self { api: Some(url), ..self }
    }

    /// The same, with authentication context classes to ask for, the most wanted first, separated by spaces.
    #[must_use]
    pub fn with_acr_values(self, acr_values: impl Into<String>) -> Self {
        Self { acr_values: Some(acr_values.into()), ..self }
    }

    /// The same, with the methods that would do.
    #[must_use]
    pub fn with_methods(self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let methods: BTreeSet<_> = methods.into_iter().map(Into::into).collect();
        Self { methods: methods.into_iter().collect(), ..self }
    }

    /// The same, with the greatest age of the proof.
    #[must_use]
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// The same, with the reason why a token is refused.
    #[must_use]
    pub fn with_error_description(self, error_description: impl Into<Cow<'static, str>>) -> Self {
        Self { error_description: Some(error_description.into()), ..self }
    }
}

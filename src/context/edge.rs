//! What the layer and the guards need. It knows the source of sessions, but no stores, keys or factors.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc};

use url::Url;

use super::{AcrValues, RefusalHook};
use crate::{
    aal::Method,
    audit::Audit,
    clock::{Clock, Timestamp},
    requirement::Requirement,
    session::BindingKey,
    source::{Head, SessionSource},
    urls::Urls,
};

/// How the application knows the address of a client.
pub(crate) type ClientAddress = Arc<dyn Fn(Head<'_>) -> Option<IpAddr> + Send + Sync>;

/// A short address, in time.
pub(crate) type ShortAddress = Pin<Box<dyn Future<Output = Option<Url>> + Send>>;

/// Keeps an address that is too long to be handed on, for the session of this binding; the result is a short one that leads to it.
pub(crate) type KeepAddress = Arc<dyn Fn(Url, Option<BindingKey>, Timestamp) -> ShortAddress + Send + Sync>;

pub(crate) struct Edge {
    pub(crate) source: Arc<dyn SessionSource>,
    pub(crate) urls: Arc<Urls>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Audit,
    pub(crate) on_refusal: Option<Arc<dyn RefusalHook>>,
    /// Where the source of sessions names none itself.
    pub(crate) acr_values: AcrValues,
    /// The configured second factors; `None` if they are kept elsewhere.
    pub(crate) second_factors: Option<Box<[Method]>>,
    pub(crate) client_address: Option<ClientAddress>,
    /// `None` if there is no store.
    pub(crate) keep_address: Option<KeepAddress>,
}

impl Edge {
    /// Whether the requirement names methods of which nobody can have a second factor here.
    pub(crate) fn has_no_factor_for(&self, requirement: &Requirement) -> bool {
        let (Some(methods), Some(factors)) = (requirement.methods(), &self.second_factors) else { return false };
        let from_elsewhere = [Method::Oidc, Method::Saml];
        requirement.is_of_second_factor()
            && !factors.iter().chain(&from_elsewhere).any(|method| methods.contains(*method))
    }

    /// The address of the client, if the application says how to know it.
    pub(super) fn client_address(&self, head: Head<'_>) -> Option<IpAddr> {
        self.client_address.as_ref()?(head)
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("public_url", &self.urls.public.as_str()).finish_non_exhaustive()
    }
}

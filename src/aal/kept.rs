use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Method;

/// A method in less memory: caches keep many proofs, and few of them are of a custom method, whose name takes most of a [`Method`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Method", into = "Method")]
pub(super) enum KeptMethod {
    BuiltIn(&'static Method),
    Custom(Arc<Method>),
}

impl KeptMethod {
    /// Whether a trusted device is kept under it.
    pub(super) fn is_trusted_device(&self) -> bool {
        matches!(self, Self::Custom(method) if method.is_trusted_device())
    }

    pub(super) fn get(&self) -> Method {
        match self {
            Self::BuiltIn(method) => **method,
            Self::Custom(method) => **method,
        }
    }
}

impl From<Method> for KeptMethod {
    fn from(method: Method) -> Self {
        const BUILT_IN: &[Method] = &Method::BUILT_IN;
        let built_in = BUILT_IN.iter().find(|built_in| **built_in == method);
        built_in.map_or_else(|| Self::Custom(Arc::new(method)), Self::BuiltIn)
    }
}

impl From<KeptMethod> for Method {
    fn from(kept: KeptMethod) -> Self {
        kept.get()
    }
}

impl std::fmt::Debug for KeptMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

//! The scripts of factors: served to front ends, and contained in the built-in pages.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use serde::{Serialize, Serializer};

use crate::{
    engine::Engine,
    factor::PageScript,
    headers::{forbid_storing, never_sniff},
    wire::ui::{Attributes, Group, Node},
};

/// Calls the function of a button, and shows when it failed.
const TRIGGERS: PageScript = PageScript::new("", include_str!("triggers.js"));

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The scripts that a page contains.
#[derive(Default)]
pub(super) struct Scripts {
    contained: Vec<PageScript>,
    /// The groups of nodes that they answer.
    groups: Vec<Group>,
}

impl Scripts {
    /// The scripts that these nodes refer to. Only those of factors: a page runs nothing else.
    pub(super) fn of(engine: &Engine, nodes: &[Node]) -> Self {
        let mut scripts = Self::default();
        for node in nodes {
            let Attributes::Script(referred) = &node.attributes else { continue };
            let mut known = engine.factors.iter().filter_map(|factor| factor.script());
            if let Some(script) = known.find(|script| script.integrity() == referred.integrity) {
                scripts.contained.push(*script);
                scripts.groups.push(node.group);
            }
        }
        if !scripts.contained.is_empty() {
            scripts.contained.push(TRIGGERS);
        }
        scripts
    }

    /// Whether a script answers the buttons of this group.
    pub(super) fn answer(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &'static str> {
        self.contained.iter().map(PageScript::source)
    }

    /// The part of the content security policy that allows them.
    pub(super) fn directive(&self) -> String {
        if self.contained.is_empty() {
            return String::new();
        }
        let hashes: Vec<_> = self.contained.iter().map(PageScript::policy_source).collect();
        format!("script-src {}; ", hashes.join(" "))
    }
}

/// Their sources, in the order in which a page contains them.
impl Serialize for Scripts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.sources())
    }
}

/// A factor's script, for front ends of any origin: it is public, and Ory's nodes ask for it with `crossorigin` and `integrity`.
pub(crate) fn serve(script: PageScript) -> Response {
    let mut response = Response::new(Body::from(script.source()));
    let headers = response.headers_mut();
    forbid_storing(headers);
    never_sniff(headers);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/javascript; charset=UTF-8"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_can_contain_what_calls_the_scripts() {
        let named = PageScript::new("triggers.js", TRIGGERS.source());
        assert!(named.check().is_ok());
    }
}

//! `openapi.yaml` lists the routes of the companion router: all of them, no others, with their methods.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../openapi.yaml");
const ROUTER: &str = include_str!("../../src/routes/mod.rs");
/// The scripts of factors have routes too.
const SCRIPT: &str = include_str!("../../crates/webauthn/src/script.rs");

/// `METHOD path` of everything below `paths:`.
fn documented() -> BTreeSet<String> {
    let paths =
        DOCUMENT.split_once("\npaths:\n").expect("paths").1.split_once("\ncomponents:\n").expect("components").0;
    let mut path = "";
    let mut routes = BTreeSet::new();
    for line in paths.lines().filter_map(|line| line.strip_suffix(':')) {
        if let Some(own) = line.strip_prefix("  ").filter(|own| own.starts_with('/')) {
            path = own;
        } else if let Some(method) = line.strip_prefix("    ").filter(|method| !method.starts_with(' ')) {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    routes
}

/// The same out of `.route("path", only("METHOD, METHOD", ...))`. What answers any method is documented for GET.
fn routed() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for route in ROUTER.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').expect("a path");
        let methods = match rest.trim_start_matches([',', ' ', '\n']).strip_prefix("only(\"") {
            Some(only) => only.split_once('"').expect("methods").0,
            None if rest.contains("any(") => "GET",
            None => panic!("a route of another kind: {path}"),
        };
        routes.extend(methods.split(", ").map(|method| format!("{method} {path}")));
    }
    let (_, script) = SCRIPT.split_once("PageScript::new(\"").expect("a script");
    routes.insert(format!("GET /{}", script.split_once('"').expect("a path").0));
    routes
}

#[test]
fn the_document_lists_the_routes() {
    let routed = routed();
    assert!(routed.len() >= 20, "{routed:?}");
    assert_eq!(documented(), routed);
}

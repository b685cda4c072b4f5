//! Tells the developer which routes are not set up correctly, each once.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use http::{Extensions, Uri};

/// How many routes are named. Paths may come from strangers, so there is an end.
const MOST_ROUTES: usize = 100;

/// How much of a path is logged, in characters.
const LONGEST_ROUTE: usize = 200;

static TOLD: Mutex<Told> = Mutex::new(Told { routes: BTreeSet::new() });

/// Logs how to fix a route, once per route.
pub(crate) fn tell_miswired(help: &'static str, uri: &Uri, extensions: &Extensions) {
    let route = route(uri, extensions);
    // Nothing panics while it is locked, and an old set is as good as any.
    let news = TOLD.lock().unwrap_or_else(PoisonError::into_inner).news(help, &route);
    match news {
        News::Known => {}
        News::Route => tracing::error!(target: "tower_step_up::guard", ?route, "{help}"),
        News::TooMany => {
            tracing::error!(target: "tower_step_up::guard", ?route, "{help}; there may be more routes, which are not named");
        }
    }
}

/// The route as the router knows it. Without a router, the path.
fn route(uri: &Uri, extensions: &Extensions) -> String {
    #[cfg(feature = "axum")]
    if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
        return matched.as_str().to_owned();
    }
    let _ = extensions;
    uri.path().chars().take(LONGEST_ROUTE).collect()
}

struct Told {
    routes: BTreeSet<(&'static str, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    Known,
    Route,
    /// The last one that is told.
    TooMany,
}

impl Told {
    fn news(&mut self, help: &'static str, route: &str) -> News {
        if self.routes.len() > MOST_ROUTES || !self.routes.insert((help, route.to_owned())) {
            return News::Known;
        }
        if self.routes.len() > MOST_ROUTES { News::TooMany } else { News::Route }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_told_once_and_not_without_end() {
        let mut told = Told { routes: BTreeSet::new() };
        for route in 0..MOST_ROUTES {
            assert_eq!(told.news("do this", &route.to_string()), News::Route);
            assert_eq!(told.news("do this", &route.to_string()), News::Known);
        }
        assert_eq!(told.news("do that", "0"), News::TooMany);
        assert_eq!(told.news("do that", "1"), News::Known);
        assert_eq!(told.routes.len(), MOST_ROUTES + 1);
    }

    #[test]
    fn a_path_is_cut() {
        let uri = format!("/{}?secret", "x".repeat(9000)).parse().unwrap();
        let route = route(&uri, &Extensions::new());
        assert!(route.len() == LONGEST_ROUTE && !route.contains("secret"));
    }
}

//! `/sessions/whoami`, `/sessions` and the gates: sections 2 and 3.

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use tower_step_up::RequiredAal;

use crate::site::{KINDS, Kind, ORIGIN, Site};

#[tokio::test]
async fn the_session_has_the_shape_of_the_contract() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.spa("kim").await;
    kim.step_up(&site.next_code()).await;
    let answer = kim.whoami().await;
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(answer.json(), { ".id" => "[id]" });
    });
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(answer.headers["x-kratos-authenticated-identity-id"].to_str().unwrap(), answer.json()["identity"]["id"]);
    assert_eq!(answer.headers["cache-control"], "private, no-cache, no-store, must-revalidate");
    assert_eq!(
        answer.headers["vary"],
        "Cookie, Authorization, X-Session-Token, Accept, HX-Request, X-Requested-With, Sec-Fetch-Mode, Sec-Fetch-Dest, \
         Sec-Fetch-Site"
    );
    assert_eq!(answer.headers.get("set-cookie"), None);
}

#[tokio::test]
async fn every_http_method_is_answered_in_json() {
    let site = Site::new();
    let mut kim = site.browser("kim").await;
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let request = kim.request(method.clone(), "/sessions/whoami").body(Body::empty()).unwrap();
        let answer = kim.send(request).await;
        assert_eq!((answer.status, answer.json()["active"].as_bool()), (StatusCode::OK, Some(true)), "{method}");
        let request =
            site.stranger(Kind::Browser).request(method.clone(), "/sessions/whoami").body(Body::empty()).unwrap();
        let answer = site.stranger(Kind::Browser).send(request).await;
        assert_eq!(
            (answer.status, answer.error_id().as_str()),
            (StatusCode::UNAUTHORIZED, "session_inactive"),
            "{method}"
        );
        assert_eq!(answer.headers.get("x-kratos-authenticated-identity-id"), None);
        assert_eq!(answer.headers["ory-error-id"], "session_inactive");
    }
    assert_eq!(kim.get("/sessions/whoami?tokenize_as=x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_gates_of_whoami_and_of_the_list() {
    let enrol = format!("{ORIGIN}/self-service/settings/browser");
    let second = format!("{ORIGIN}/self-service/login/browser?aal=aal2");
    for (required, enrolled, stepped_up, refusal) in [
        (RequiredAal::Aal1, false, false, None),
        (RequiredAal::Aal1, true, false, None),
        (RequiredAal::Aal1, true, true, None),
        (RequiredAal::HighestAvailable, false, false, None),
        (RequiredAal::HighestAvailable, true, false, Some(&second)),
        (RequiredAal::HighestAvailable, true, true, None),
        (RequiredAal::Aal2, false, false, Some(&enrol)),
        (RequiredAal::Aal2, true, false, Some(&second)),
        (RequiredAal::Aal2, true, true, None),
    ] {
        for kind in KINDS {
            let site = Site::new();
            if enrolled {
                site.enrol("kim").await;
            }
            let mut client = match kind {
                Kind::Browser => site.browser("kim").await,
                Kind::Spa => site.spa("kim").await,
                Kind::Native => site.native("kim").await,
            };
            if stepped_up {
                client.step_up(&site.code()).await;
            }
            // Switched on the running service: it holds for the next request.
            site.step_up.set_whoami_required_aal(required);
            for path in ["/sessions/whoami", "/sessions"] {
                let answer = client.get(path).await;
                let Some(url) = refusal else {
                    assert_eq!(answer.status, StatusCode::OK, "{required:?} {enrolled} {stepped_up} {path}");
                    continue;
                };
                assert_eq!(
                    (answer.status, answer.error_id().as_str()),
                    (StatusCode::FORBIDDEN, "session_aal2_required")
                );
                assert_eq!(answer.json()["redirect_browser_to"], url.as_str());
                assert_eq!(answer.json()["error"]["details"]["redirect_browser_to"], url.as_str());
                let missing = answer.json()["error"]["details"]["second_factor"] == "missing";
                assert_eq!(missing, url == &enrol);
                assert_eq!(answer.headers["ory-error-id"], "session_aal2_required");
                assert_eq!(answer.headers.get("x-kratos-authenticated-identity-id"), None);
            }
        }
    }
}

#[tokio::test]
async fn a_factor_that_was_enrolled_elsewhere_is_seen_at_once() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    assert_eq!(kim.whoami().await.status, StatusCode::OK);
    site.enrol("kim").await;
    assert_eq!(kim.whoami().await.error_id(), "session_aal2_required");
    assert_eq!(kim.get("/limits").await.error_id(), "session_aal2_required");
}

#[tokio::test]
async fn other_sessions_are_listed_and_ended() {
    let site = Site::new();
    let mut kim = site.spa("kim").await;
    let mut others = Vec::new();
    for _ in 0..3 {
        site.clock.advance(std::time::Duration::from_secs(1));
        others.push(site.native("kim").await);
    }
    let lee = site.spa("lee").await;
    let list = kim.get("/sessions").await;
    let ids: Vec<_> =
        list.json().as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), list.headers["x-total-count"].to_str().unwrap()), (3, "3"));
    let own = kim.whoami().await.json()["id"].as_str().unwrap().to_owned();
    assert!(!ids.contains(&own));

    let page = kim.get("/sessions?page=2&per_page=2").await;
    assert_eq!(page.json().as_array().unwrap().len(), 1);
    assert_eq!(page.json()[0]["id"], ids[2].as_str());
    let page = kim.get("/sessions?page_size=2").await;
    assert!(page.headers["link"].to_str().unwrap().contains("page_size=2&page_token=2>; rel=\"next\""));
    assert_eq!(kim.get("/sessions?page_size=2&page_token=2").await.json()[0]["id"], ids[2].as_str());
    for query in ["page=x", "page_token=%2B1", "page_size=-1", "per_page=99999999999999999999999"] {
        assert_eq!(kim.get(&format!("/sessions?{query}")).await.status, StatusCode::BAD_REQUEST, "{query}");
    }

    assert_eq!(kim.delete(&format!("/sessions/{}", ids[0]), "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(kim.delete(&format!("/sessions/{}", ids[0]), "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(others[2].get("/account").await.status, StatusCode::UNAUTHORIZED, "the newest came first");
    assert_eq!(kim.delete(&format!("/sessions/{own}"), "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(kim.delete("/sessions/not-an-id", "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.stranger(Kind::Spa).delete("/sessions", "").await.error_id(), "session_inactive");

    assert_eq!(kim.delete("/sessions", "").await.json()["count"], 2);
    assert_eq!(kim.get("/sessions").await.json().as_array().unwrap().len(), 0);
    assert_eq!(others[0].get("/account").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(lee.clone().get("/account").await.status, StatusCode::OK);
    assert_eq!(kim.get("/account").await.status, StatusCode::OK);
}

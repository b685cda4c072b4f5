//! Who is a navigation, at the router's own endpoints: what nobody sees the answer of begins no flow and ends no session.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};

use crate::site::{BROWSER, Client, Kind, ORIGIN, Site};

type Headers = &'static [(&'static str, &'static str)];

const NAVIGATION: Headers = &[("accept", BROWSER), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
/// What `fetch` sends by itself, and so what `@ory/client-fetch` sends in a browser.
const FETCH: Headers = &[("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];

/// Requests that can show no form.
const SHOW_NOTHING: [Headers; 5] = [
    &[("accept", "text/event-stream"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
    &[("accept", "image/avif,image/webp,*/*;q=0.8"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
    &[("accept", "*/*"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")],
    &[("upgrade", "websocket"), ("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "websocket")],
    &[("accept", "text/event-stream")],
];

/// Requests of a browser that guesses where the user goes next.
const PREFETCHES: [Headers; 4] = [
    &[("accept", "*/*"), ("sec-purpose", "prefetch"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")],
    &[
        ("accept", BROWSER),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ],
    &[("accept", BROWSER), ("purpose", "prefetch")],
    &[("accept", BROWSER), ("x-moz", "prefetch")],
];

const BEGINNINGS: [&str; 2] = ["/self-service/login/browser?aal=aal2", "/self-service/settings/browser"];

/// GET with the client's cookies and these headers instead of its own.
pub async fn get(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> crate::site::Answer {
    let mut request = client.request(Method::GET, path);
    if let Some(own) = request.headers_mut() {
        own.remove(header::ACCEPT);
    }
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    client.send(request.body(Body::empty()).unwrap()).await
}

async fn signed_in(site: &Site) -> Client {
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let done = kim.step_up(&site.code()).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    // So that each beginning makes a new flow.
    site.clock.advance(std::time::Duration::from_secs(60));
    kim
}

#[tokio::test]
async fn a_script_gets_the_flow_itself_and_a_navigation_its_page() {
    let site = Site::new();
    let mut kim = signed_in(&site).await;
    for path in ["/self-service/login/browser?aal=aal2&refresh=true", "/self-service/settings/browser"] {
        let page = get(&mut kim, path, NAVIGATION).await;
        assert!(page.location().starts_with(&format!("{ORIGIN}/self-service/ui/")), "{path}");
        // Fetch Metadata decides, whatever else is sent.
        let odd =
            [NAVIGATION, &[("x-requested-with", "XMLHttpRequest"), ("content-type", "application/json")]].concat();
        assert_eq!(get(&mut kim, path, &odd).await.status, StatusCode::SEE_OTHER, "{path}");
        let xhr: Headers = &[("accept", "*/*"), ("x-requested-with", "XMLHttpRequest")];
        let json_api: Headers = &[("accept", "application/vnd.api+json")];
        for headers in [FETCH, xhr, json_api] {
            let flow = get(&mut kim, path, headers).await;
            assert_eq!(flow.status, StatusCode::OK, "{path} {headers:?}");
            assert_eq!(flow.json()["type"], "browser");
        }
    }
}

#[tokio::test]
async fn errors_of_a_script_are_json() {
    let site = Site::new();
    let mut stranger = site.stranger(Kind::Browser);
    for (path, status) in [
        ("/self-service/login/browser?aal=aal2", 401),
        ("/self-service/login/browser", 422),
        ("/self-service/login/browser?aal=aal9", 400),
        ("/self-service/settings/browser", 401),
        ("/self-service/settings/flows?id=3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20", 401),
        ("/self-service/logout/browser", 401),
        ("/self-service/logout", 400),
        ("/self-service/logout?token=x", 401),
    ] {
        let answer = get(&mut stranger, path, FETCH).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.json()["error"]["code"], status, "{path}");
        assert_eq!(get(&mut stranger, path, NAVIGATION).await.status, StatusCode::SEE_OTHER, "{path}");
    }
    let body = "method=totp&totp_code=123456";
    for (headers, status) in [(FETCH, StatusCode::NOT_FOUND), (NAVIGATION, StatusCode::SEE_OTHER)] {
        let path = "/self-service/login?flow=3c1de7a4-9a0e-4a55-8c33-1b7f0f6f5d20";
        let mut request = stranger.request(Method::POST, path);
        request.headers_mut().unwrap().remove(header::ACCEPT);
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        assert_eq!(stranger.send(request.body(Body::from(body)).unwrap()).await.status, status);
    }
}

#[tokio::test]
async fn a_script_that_logs_out_gets_no_page() {
    let site = Site::new();
    for (headers, status) in [(FETCH, StatusCode::NO_CONTENT), (NAVIGATION, StatusCode::SEE_OTHER)] {
        let mut kim = site.browser("kim").await;
        let logout = kim.get("/self-service/logout/browser").await.json()["logout_url"].as_str().unwrap().to_owned();
        assert_eq!(get(&mut kim, &logout, headers).await.status, status);
        assert_eq!(kim.session_cookie(), None);
    }
}

#[tokio::test]
async fn what_shows_no_form_begins_no_flow() {
    let site = Site::new();
    let mut kim = signed_in(&site).await;
    let open = kim.begin("login", "?aal=aal2&refresh=true").await;
    for path in ["/self-service/login/browser?aal=aal2&refresh=true", "/self-service/settings/browser"] {
        let requests = SHOW_NOTHING.iter().map(|headers| (headers, 406)).chain(PREFETCHES.iter().map(|it| (it, 503)));
        for (headers, status) in requests {
            for _more_than_are_kept in 0..60 {
                let answer = get(&mut kim, path, headers).await;
                assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}");
                assert!(!answer.headers.contains_key(header::SET_COOKIE), "{path} {headers:?}");
                assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("no-store"));
            }
        }
    }
    // The form that the user was typing into is still there.
    let done = kim.submit(&open, &[("method", "totp"), ("totp_code", &site.code())]).await;
    assert_eq!(done.location(), format!("{ORIGIN}/"));
}

#[tokio::test]
async fn a_prefetch_begins_no_native_flow_and_logs_nobody_out() {
    let site = Site::new();
    site.enrol("kim").await;
    let mut kim = site.native("kim").await;
    let mut browser = site.browser("kim").await;
    let logout = browser.get("/self-service/logout/browser").await.json()["logout_url"].as_str().unwrap().to_owned();
    for headers in PREFETCHES {
        for path in ["/self-service/login/api?aal=aal2", "/self-service/settings/api"] {
            assert_eq!(get(&mut kim, path, headers).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        assert_eq!(get(&mut browser, &logout, headers).await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(browser.session_cookie().is_some());
        for path in BEGINNINGS {
            let answer = get(&mut site.stranger(Kind::Browser), path, headers).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
    }
    assert_eq!(browser.get("/account").await.text, "kim", "still signed in");
}

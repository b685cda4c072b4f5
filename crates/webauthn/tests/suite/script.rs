//! The script, and the pages that contain it.

use axum::http::{Method as HttpMethod, StatusCode};

use crate::{
    bank::{add, bank},
    key::SecurityKey,
    site::Kind,
};

const PATH: &str = "/.well-known/ory/webauthn.js";

#[tokio::test]
async fn every_front_end_may_load_it() {
    let site = bank();
    let mut anybody = site.stranger(Kind::Browser);
    let script = anybody.get(PATH).await;
    assert_eq!(script.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/javascript; charset=UTF-8"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(script.headers[name], value, "{name}");
    }
    for name in ["oryWebAuthnLogin", "__oryWebAuthnLogin", "oryWebAuthnRegistration", "__oryWebAuthnRegistration"] {
        assert!(script.text.contains(&format!("window.{name} = ")), "{name}");
    }
    assert!(anybody.cookies.is_empty());
    let request = anybody.request(HttpMethod::POST, PATH).body(axum::body::Body::empty()).unwrap();
    assert_eq!(anybody.send(request).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn its_node_names_the_bytes_that_are_served() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha512};
    let site = bank();
    let mut kim = site.spa("kim").await;
    let served = kim.get(PATH).await.text;
    let settings = kim.get("/self-service/settings/browser").await;
    let node = settings.node("webauthn_script");
    assert_eq!(node["type"], "script");
    let attributes = &node["attributes"];
    assert_eq!(attributes["src"], format!("https://bank.example{PATH}"));
    assert_eq!(attributes["integrity"], format!("sha512-{}", STANDARD.encode(Sha512::digest(served))));
    assert_eq!((&attributes["async"], &attributes["crossorigin"]), (&true.into(), &"anonymous".into()));
    assert_eq!(attributes["nonce"].as_str().unwrap().len(), 36);
}

/// The content security policy names what the page contains, and nothing else.
#[tokio::test]
async fn the_pages_contain_it_under_their_policy() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};
    let site = bank();
    let mut kim = site.browser("kim").await;
    let opened = kim.get("/self-service/settings/browser").await;
    let settings = kim.get(opened.location()).await;
    add(&mut kim, &mut SecurityKey::new(), "<b>\"blue\"</b>").await;
    let opened = kim.get("/self-service/login/browser?aal=aal2&refresh=true").await;
    let login = kim.get(opened.location()).await;
    for page in [settings, login] {
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        let (_, scripts) = policy.split_once("script-src ").unwrap();
        let named: Vec<_> = scripts.split(';').next().unwrap().split(' ').collect();
        let contained: Vec<_> = page
            .text
            .split("<script>")
            .skip(1)
            .map(|rest| rest.split_once("</script>").unwrap().0)
            .map(|source| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source))))
            .collect();
        assert_eq!(named, contained);
        assert_eq!(contained.len(), 2);
        assert!(!page.text.contains("onclick") && !page.text.contains("<script src"), "{}", page.text);
        assert!(page.text.contains("<noscript>"));
    }
    let opened = kim.get("/self-service/settings/browser").await;
    let settings = kim.get(opened.location()).await;
    assert!(!settings.text.contains("<b>") && settings.text.contains("&#60;b&#62;"), "{}", settings.text);
}

/// In the language that the browser asks for.
#[tokio::test]
async fn the_pages_speak_german() {
    let site = bank();
    let mut kim = site.browser("kim").await;
    add(&mut kim, &mut SecurityKey::new(), "blau").await;
    let mut pages = Vec::new();
    for path in ["/self-service/settings/browser", "/self-service/login/browser?aal=aal2&refresh=true"] {
        let opened = kim.get(path).await;
        let request = kim.request(axum::http::Method::GET, opened.location()).header("accept-language", "de");
        pages.push(kim.send(request.body(axum::body::Body::empty()).unwrap()).await.text);
    }
    for (page, said) in [
        (&pages[0], ["Sicherheitsschlüssel „blau“ entfernen", "Name des neuen Sicherheitsschlüssels"]),
        (&pages[1], ["Sicherheitsschlüssel benutzen", "Ein Sicherheitsschlüssel braucht JavaScript."]),
    ] {
        assert!(said.iter().all(|said| page.contains(said)), "{page}");
    }
}

/// A page that has no use for a script allows none.
#[tokio::test]
async fn other_pages_run_no_script() {
    let site = bank();
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let opened = kim.get("/self-service/login/browser?aal=aal2").await;
    let login = kim.get(opened.location()).await;
    assert!(!login.text.contains("<script"), "{}", login.text);
    assert!(!login.headers["content-security-policy"].to_str().unwrap().contains("script-src"));
}

//! The languages of the built-in pages, and pages by templates of the application.

use std::{collections::BTreeSet, sync::Arc};

use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use tower_step_up::{StepUpBuilder, directory::Address, factor::Code, language::Language, theme::Page};

use crate::{
    postbox::Postbox,
    site::{Answer, Client, Kind, Site},
};

const GERMAN: &[(&str, &[u8])] = &[("accept-language", b"de-AT,de;q=0.9,en;q=0.8")];

/// The texts of a catalogue that are said as they are.
fn sentences(catalogue: &str) -> BTreeSet<&str> {
    let texts = catalogue.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    texts.map(|(_, text)| text).filter(|text| !text.contains('{') && text.len() > 4).collect()
}

/// Nothing on the page is said in English.
fn assert_german(page: &Answer) {
    let (status, text) = (page.status, page.text.replace("&#39;", "'"));
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.contains("<html lang=\"de\" dir=\"ltr\">"), "{text}");
    assert_eq!(page.headers[header::CONTENT_LANGUAGE], "de");
    let vary: Vec<_> = page.headers.get_all(header::VARY).iter().collect();
    assert!(vary.iter().any(|value| *value == "Accept-Language"), "{vary:?}");
    let german = sentences(Language::GERMAN);
    for english in sentences(Language::ENGLISH).difference(&german) {
        let said = [format!(">{english}<"), format!("\"{english}\""), format!("> {english}")];
        assert!(!said.iter().any(|said| text.contains(said)), "{english}: {text}");
    }
}

async fn page(client: &mut Client, path: &str) -> Answer {
    let begun = client.get(path).await;
    let location = begun.location().to_owned();
    client.get(&location).await
}

#[tokio::test]
async fn a_german_reads_german_on_every_page() {
    let postbox = Postbox::default();
    let site = Site::with(|builder| {
        builder.factor(Code::new(postbox.clone())).trusted_devices(std::time::Duration::from_secs(86_400))
    });
    site.enrol("kim").await;
    site.users.reach("kim", [Address::email("kim@app.example").verified(true)]);
    let mut kim = site.browser("kim").await.sending(GERMAN);
    let login = page(&mut kim, "/self-service/login/browser?aal=aal2").await;
    assert_german(&login);
    for said in [
        "Code aus Ihrer Authenticator-App",
        "Code an kim@app.example senden",
        "Angemeldet als <strong>kim</strong>",
        "Auf diesem Gerät 24 Stunden lang nicht fragen",
        "title=\"Sechs Ziffern, zum Beispiel 123 456\"",
    ] {
        assert!(login.text.contains(said), "{said}: {}", login.text);
    }
    // Messages are kept in the flow, whatever the language.
    let flow = kim.begin("login", "?aal=aal2").await;
    for code in ["12", "", "000000", "000001"] {
        let answer = kim.submit(&flow, &[("method", "totp"), ("totp_code", code)]).await;
        let location = answer.location().to_owned();
        assert_german(&kim.get(&location).await);
    }
    let wrong = kim.get(&format!("/self-service/ui/login?flow={}", flow.id())).await;
    assert!(
        wrong.text.contains("Dieser Code ist falsch.") && wrong.text.contains("die Uhrzeit von selbst stellt."),
        "{}",
        wrong.text
    );
    kim.submit(&flow, &[("address", "kim@app.example")]).await;
    let sent = kim.get(&format!("/self-service/ui/login?flow={}", flow.id())).await;
    assert_german(&sent);
    kim.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;

    let settings = kim.begin("settings", "").await;
    let path = format!("/self-service/ui/settings?flow={}", settings.id());
    assert_german(&kim.get(&path).await);
    for fields in [
        &[("totp_unlink", "true")][..],
        &[("method", "totp"), ("totp_code", "1")],
        &[("lookup_secret_regenerate", "true")],
        &[("lookup_secret_confirm", "true")],
        &[("lookup_secret_reveal", "true")],
        &[("x", "y")],
    ] {
        kim.submit(&settings, fields).await;
        assert_german(&kim.get(&path).await);
    }
    let codes = kim.begin("settings", "").await;
    kim.submit(&codes, &[("lookup_secret_reveal", "true")]).await;
    let list = kim.get(&format!("/self-service/ui/settings?flow={}", codes.id())).await;
    assert!(list.text.contains("Code 12: nicht benutzt"), "{}", list.text);
    let sessions = kim.get("/self-service/ui/sessions").await;
    assert_german(&sessions);
    assert!(sessions.text.contains("Passwort, Code per Nachricht"), "{}", sessions.text);
    let error = kim.get("/self-service/login/browser?aal=aal3").await.location().to_owned();
    assert_german(&kim.get(&error).await);
}

#[tokio::test]
async fn the_sessions_choice_counts_before_the_users_and_the_browsers() {
    let french = Language::new("fr", "error-title = Cela n’a pas fonctionné\nerror-not-found = Introuvable");
    let site = Site::with(|builder| {
        builder.language(french).default_language("de").language_of(|head| {
            let chosen = head.headers.get("x-chosen")?.to_str().ok()?;
            Some(chosen.to_owned())
        })
    });
    let language = async |client: Client, headers: &[(&'static str, &[u8])]| {
        let answer = client.sending(headers).get("/self-service/ui/error").await;
        answer.headers[header::CONTENT_LANGUAGE].to_str().unwrap().to_owned()
    };
    site.users.read_in("kim", "fr-CH");
    let kim = async || site.browser("kim").await;
    let lee = async || site.browser("lee").await;
    assert_eq!(language(kim().await, &[("x-chosen", b"en"), ("accept-language", b"de")]).await, "en");
    assert_eq!(language(kim().await, &[("x-chosen", b"xx"), ("accept-language", b"de")]).await, "de");
    assert_eq!(language(kim().await, &[("accept-language", b"en")]).await, "fr");
    assert_eq!(language(lee().await, &[("accept-language", b"fr;q=0.2,en;q=0.9")]).await, "en");
    assert_eq!(language(lee().await, &[("accept-language", b"ja, \xff")]).await, "de");
    assert_eq!(language(site.stranger(Kind::Browser), &[("accept-language", b"fr")]).await, "fr");
    assert_eq!(language(lee().await, &[]).await, "de");
}

/// Clients translate what they show by its id.
#[tokio::test]
async fn json_is_in_english_in_every_language() {
    let site = Site::with(|builder| builder.default_language("de"));
    site.enrol("kim").await;
    site.users.read_in("kim", "de");
    let mut kim = site.spa("kim").await.sending(GERMAN);
    let flow = kim.begin("login", "?aal=aal2").await;
    assert_eq!(flow.view["ui"]["messages"][0]["text"], "One more step: confirm with your second factor.");
    assert!(!flow.view.to_string().contains("Bestätigen"));
}

/// A template of the application, which shows one page by what it gets.
fn own_pages(builder: StepUpBuilder) -> StepUpBuilder {
    builder.render_pages(|page: &Page| match page.name() {
        "error" => Ok(Some(format!("<!doctype html><title>Own</title>{}", serde_json::to_string(page)?))),
        "sessions" => Err("the template is broken".into()),
        _ => Ok(None),
    })
}

#[tokio::test]
async fn pages_can_be_the_applications_own() {
    let site = Site::with(own_pages);
    site.enrol("kim").await;
    let mut kim = site.browser("kim").await;
    let error = kim.get("/self-service/ui/error").await;
    let shown = error.text.strip_prefix("<!doctype html><title>Own</title>").expect("the application's page");
    let shown: Value = serde_json::from_str(shown).unwrap();
    assert_eq!(shown["title"], "Not found");
    assert_eq!(shown["next"], Value::Null);
    assert_eq!(
        (&shown["name"], &shown["language"], &shown["direction"]),
        (&json!("error"), &json!("en"), &json!("ltr"))
    );
    assert_eq!(shown["texts"]["cancel"], "Cancel");
    assert_eq!(shown["frame"]["application"], "bank.example");
    // The same policy as for every page.
    let policy = |answer: &Answer| answer.headers["content-security-policy"].clone();
    let login = page(&mut kim, "/self-service/login/browser?aal=aal2").await;
    assert_eq!(policy(&error), policy(&login));
    assert!(login.text.contains("<h1>Confirm it’s you</h1>"), "the crate's own: {}", login.text);
    kim.step_up(&site.code()).await;
    let sessions = kim.get("/self-service/ui/sessions").await;
    assert!(sessions.text.contains("<h1>Where you are signed in</h1>"), "nobody is kept out: {}", sessions.text);
}

#[tokio::test]
async fn templates_get_all_that_a_page_shows() {
    let seen: Arc<std::sync::Mutex<Vec<(Value, String)>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let site = Site::with(|builder| {
        builder.render_pages(move |page| {
            kept.lock().unwrap().push((serde_json::to_value(page)?, format!("{page:?}")));
            Ok(None)
        })
    });
    let mut kim = site.browser("kim").await;
    page(&mut kim, "/self-service/settings/browser").await;
    site.enrol("kim").await;
    page(&mut kim, "/self-service/login/browser?aal=aal2").await;
    kim.step_up(&site.code()).await;
    kim.get("/self-service/ui/sessions").await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let names: Vec<_> = seen.iter().map(|(page, _)| page["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["settings", "login", "sessions"]);
    let (settings, debug) = &seen[0];
    let secret = settings["sections"][0]["readings"][0]["items"][0].as_str().unwrap();
    assert!(secret.len() >= 26 && !debug.contains(secret), "a new secret is in no log: {debug}");
    for (page, _) in seen {
        let name = page["name"].as_str().unwrap().to_owned();
        insta::with_settings!({ sort_maps => true }, {
            insta::assert_json_snapshot!(format!("page_{name}"), page, {
            ".texts" => "[texts]",
            ".action" => "[address]",
            ".other_ways" => "[address]",
            ".csrf" => "[token]",
            ".sections[].hidden[].value" => "[value]",
            ".sections[].pictures[].src" => "[picture]",
            ".sections[].readings[].items" => "[secrets]",
            ".sessions[].id" => "[id]",
            });
        });
    }
}

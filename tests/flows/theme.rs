//! How the built-in pages look, and that their policy lets no more in than that takes.

use tower_step_up::{
    SigningKey, StepUp,
    error::BuildErrorKind,
    factor::Totp,
    store::MemoryStore,
    theme::{Theme, ThemeColor},
};

use crate::site::Site;

fn policy(page: &crate::site::Answer) -> &str {
    page.headers["content-security-policy"].to_str().unwrap()
}

#[tokio::test]
async fn a_theme_is_on_every_page_and_in_its_policy() {
    let theme = Theme::default().logo("https://cdn.bank.example/logo.svg?v=2").stylesheet("/assets/a;b.css").color(
        ThemeColor::Brand,
        "#7a1f3d",
        "#f0a7bd",
    );
    let site = Site::with(|builder| builder.theme(theme).application_name("Bank & Sons"));
    let mut kim = site.browser("kim").await;
    for path in ["/self-service/settings/browser", "/self-service/ui/sessions", "/self-service/ui/error"] {
        let page = kim.get(path).await;
        let page = if page.status.is_redirection() { kim.get(page.location()).await } else { page };
        assert!(page.text.contains("src=\"https://cdn.bank.example/logo.svg?v=2\""), "{path}: {}", page.text);
        assert!(page.text.contains("href=\"https://bank.example/assets/a;b.css\""), "{path}: {}", page.text);
        assert!(page.text.contains("Bank &#38; Sons"), "{path}: {}", page.text);
        let policy = policy(&page);
        assert!(policy.contains("style-src 'self' https://bank.example/assets/a%3Bb.css;"), "{policy}");
        assert!(policy.contains("img-src data: https://cdn.bank.example/logo.svg;"), "{policy}");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
    }
    let style = kim.get("/self-service/ui/style.css").await.text;
    assert!(style.contains(":root { --brand: #7a1f3d; }") && style.contains("--brand: #f0a7bd; "), "{style}");
}

#[tokio::test]
async fn without_a_theme_pages_load_nothing_but_their_style() {
    let mut kim = Site::new().browser("kim").await;
    let page = kim.get("/self-service/ui/sessions").await;
    assert!(policy(&page).contains("style-src 'self'; img-src data:; "), "{}", policy(&page));
    assert!(!page.text.contains("class=\"logo\"") && page.text.matches("<link").count() == 1, "{}", page.text);
}

#[test]
fn a_theme_that_cannot_be_is_refused() {
    let build = |theme: Theme| {
        StepUp::builder("https://bank.example")
            .signing_key(SigningKey::generate("2026-11").unwrap())
            .store(MemoryStore::default())
            .factor(Totp::new("Example Bank"))
            .theme(theme)
            .build()
            .map(drop)
    };
    for (theme, kind) in [
        (Theme::default().color(ThemeColor::Ink, "red; }", "red"), BuildErrorKind::Theme),
        (Theme::default().logo("logo.svg"), BuildErrorKind::Url),
        (Theme::default().logo("javascript:alert(1)"), BuildErrorKind::Url),
        (Theme::default().stylesheet("//evil.example/x.css"), BuildErrorKind::Url),
    ] {
        assert_eq!(build(theme.clone()).unwrap_err().kind(), kind, "{theme:?}");
    }
    assert!(
        build(Theme::default().logo("/logo.svg").stylesheet("/x.css").color(ThemeColor::Ink, "#111", "white")).is_ok()
    );
}

//! "Do not ask on this device": the box on our page, its cookie, and the list in the settings. The attacks are in `tests/attacks/devices.rs`.

use std::time::Duration;

use axum::http::{StatusCode, header};
use tower_step_up::{
    Aal, Method, StepUpBuilder, Subject,
    aal::Proof,
    clock::Clock,
    directory::{Address, Channel, Destination},
    factor::Code,
};

use crate::{
    postbox::Postbox,
    site::{Answer, Client, Kind, Site},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const TICK: &str = "<input type=\"checkbox\" name=\"trust_device\" value=\"true\">";

fn trusting(builder: StepUpBuilder) -> StepUpBuilder {
    builder.trusted_devices(30 * DAY)
}

fn device_cookie(answer: &Answer) -> Option<String> {
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    cookies.into_iter().find(|cookie| cookie.starts_with("__Host-trusted_device=")).map(str::to_owned)
}

async fn page_of(user: &mut Client, query: &str) -> String {
    let form = user.get(&format!("/self-service/login/browser{query}")).await.location().to_owned();
    user.get(&form).await.text
}

#[tokio::test]
async fn the_box_stands_where_a_device_can_stand_for_it() {
    let site = Site::with(trusting);
    site.enrol("kim").await;
    let codes = ["MFRGGZDFMZTWQ2LK", "NNWG23TPOBYXE43U"];
    site.step_up.import_lookup_secrets(&Subject::new("kim").unwrap(), &codes).await.unwrap();
    let mut user = site.browser("kim").await;
    let page = page_of(&mut user, "?aal=aal2").await;
    assert_eq!(page.matches("<form ").count(), 2, "{page}");
    assert_eq!(page.matches(&format!("{TICK} Do not ask on this device for 30 days</label>")).count(), 2, "{page}");
    for query in ["?aal=aal2&refresh=true", "?aal=aal2&methods=totp"] {
        let page = page_of(&mut user, query).await;
        assert!(page.contains("<form ") && !page.contains("trust_device"), "{query}: {page}");
    }
    // It is of the page, and not of the flow.
    let flow = user.begin("login", "?aal=aal2").await;
    assert!(!flow.view.to_string().contains("trust_device"), "{}", flow.view);
    // After a wrong code it is there again, and not ticked.
    let wrong = user.submit(&flow, &[("method", "totp"), ("totp_code", "000000"), ("trust_device", "true")]).await;
    let again = user.get(wrong.location()).await.text;
    assert_eq!(again.matches(TICK).count(), 2, "{again}");
    // Not where nobody is trusted, and not where the page is the application's.
    for configure in [|builder: StepUpBuilder| builder, |builder| trusting(builder).login_ui_url("/my/login")] {
        let site = Site::with(configure);
        site.enrol("kim").await;
        let mut user = site.browser("kim").await;
        let flow = user.begin("login", "?aal=aal2").await;
        let page = user.get(&format!("/self-service/ui/login?flow={}", flow.id())).await.text;
        assert!(page.contains("totp_code") && !page.contains("trust_device"), "{page}");
    }
}

#[tokio::test]
async fn the_box_says_for_how_long() {
    for (lifespan, text) in
        [(HOUR, "1 hour"), (36 * HOUR, "36 hours"), (47 * HOUR, "47 hours"), (2 * DAY, "2 days"), (90 * DAY, "90 days")]
    {
        let site = Site::with(|builder| builder.trusted_devices(lifespan));
        site.enrol("kim").await;
        let page = page_of(&mut site.browser("kim").await, "?aal=aal2").await;
        assert!(page.contains(&format!("on this device for {text}</label>")), "{text}: {page}");
    }
}

#[tokio::test]
async fn a_user_who_ticks_the_box_is_not_asked_again_for_its_time() {
    let site = Site::with(trusting);
    site.enrol("kim").await;
    let mut user = site.browser("kim").await.sending(&[("user-agent", b"Mozilla/5.0 (X11; Linux x86_64)")]);
    let flow = user.begin("login", "?aal=aal2&return_to=/payments").await;
    let code = site.code();
    let passed = user.submit(&flow, &[("method", "totp"), ("totp_code", &code), ("trust_device", "true")]).await;
    assert_eq!(passed.location(), "https://bank.example/payments");
    let cookie = device_cookie(&passed).expect("a cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=2592000"), "{cookie}");
    // Each day anew: one redirect more, and no form.
    for day in 1..30u64 {
        site.clock.advance(DAY);
        let again = site.browser("kim").await;
        user.cookies.insert("__Host-step_up_session".to_owned(), again.session_cookie().unwrap().to_owned());
        let login = user.get("/payments").await.location().to_owned();
        let led_on = user.get(&login).await;
        assert_eq!(led_on.location(), "https://bank.example/payments", "{day}");
        let cookie = device_cookie(&led_on).expect("a new cookie");
        assert!(cookie.ends_with(&format!("; Max-Age={}", (30 - day) * 86_400)), "{day}: {cookie}");
        assert_eq!(user.get("/payments").await.text, "payments", "{day}");
        assert_eq!(user.get("/limits").await.text, "limits", "{day}");
    }
    site.clock.advance(DAY);
    let again = site.browser("kim").await;
    user.cookies.insert("__Host-step_up_session".to_owned(), again.session_cookie().unwrap().to_owned());
    let login = user.get("/payments").await.location().to_owned();
    let asked = user.get(&login).await;
    assert!(asked.location().contains("/ui/login?flow="), "{asked:?}");
    assert!(device_cookie(&asked).is_some_and(|cookie| cookie.ends_with("Max-Age=0")), "{asked:?}");
}

#[tokio::test]
async fn the_settings_list_trusted_devices() {
    let site = Site::with(trusting);
    site.enrol("kim").await;
    let mut user = site.browser("kim").await.sending(&[("user-agent", b"Mozilla/5.0 (X11; Linux x86_64)")]);
    let flow = user.begin("login", "?aal=aal2").await;
    user.submit(&flow, &[("method", "totp"), ("totp_code", &site.code())]).await;
    let settings = async |user: &mut Client| {
        let page = user.get("/self-service/settings/browser").await.location().to_owned();
        user.get(&page).await.text
    };
    assert!(!settings(&mut user).await.contains("not asked"), "there are none yet");
    let mut user = site.browser("kim").await.sending(&[("user-agent", b"Mozilla/5.0 (X11; Linux x86_64)")]);
    let flow = user.begin("login", "?aal=aal2").await;
    let code = site.next_code();
    user.submit(&flow, &[("method", "totp"), ("totp_code", &code), ("trust_device", "true")]).await;
    let page = settings(&mut user).await;
    for text in ["This device", "<dd>Mozilla/5.0 (X11; Linux x86_64)</dd>", "Forget this device", "<dt>Until</dt>"] {
        assert_eq!(page.matches(text).count(), 1, "{text}: {page}");
    }
    assert!(!page.contains("Forget all devices") && !page.contains("Last used"), "{page}");
    // It is no factor, for nobody.
    let view = user.begin("settings", "").await.view.to_string();
    assert!(!view.contains("trusted") && !view.contains("Mozilla"), "{view}");
}

const MAIL: &str = "kim@app.example";
const DEVICE: &str = "__Host-trusted_device";

fn mail() -> Address {
    Address::email(MAIL).verified(true)
}

fn phone() -> Address {
    Address::sms("+4915112345678").verified(true)
}

/// A site that sends codes to these addresses of kim, and a browser on which kim has typed one and ticked the box.
async fn trusted_by_code(addresses: impl Into<Vec<Address>>) -> (Site, Postbox, Client) {
    let postbox = Postbox::default();
    let code = Code::new(postbox.clone());
    let site = Site::with(|builder| trusting(builder).factor(code));
    site.users.reach("kim", addresses);
    let mut user = site.browser("kim").await;
    let flow = user.begin("login", "?aal=aal2&return_to=/payments").await;
    if flow.view["state"] == "choose_method" {
        user.submit(&flow, &[("address", MAIL)]).await;
    }
    let page = user.get(&format!("/self-service/ui/login?flow={}", flow.id())).await.text;
    assert_eq!(page.matches(TICK).count(), 1, "{page}");
    let code = postbox.code();
    let passed = user.submit(&flow, &[("method", "code"), ("code", &code), ("trust_device", "true")]).await;
    assert_eq!(passed.location(), "https://bank.example/payments");
    assert!(device_cookie(&passed).is_some(), "{passed:?}");
    (site, postbox, user)
}

/// The next day at the same browser, by the password.
async fn signs_in_anew(site: &Site, user: &mut Client) {
    site.clock.advance(DAY);
    let again = site.browser("kim").await;
    user.cookies.insert("__Host-step_up_session".to_owned(), again.session_cookie().unwrap().to_owned());
}

/// Where the browser ends that wants to see the payments.
async fn is_led(user: &mut Client) -> Answer {
    let login = user.get("/payments").await.location().to_owned();
    user.get(&login).await
}

#[tokio::test]
async fn a_device_that_was_trusted_with_a_code_ends_with_the_address() {
    let (site, postbox, mut user) = trusted_by_code([mail(), phone()]).await;
    signs_in_anew(&site, &mut user).await;
    assert_eq!(is_led(&mut user).await.location(), "https://bank.example/payments");
    assert_eq!((user.get("/payments").await.text.as_str(), postbox.count()), ("payments", 1), "no code was sent");

    let copied = user.cookies[DEVICE].clone();
    site.users.reach("kim", [phone()]);
    site.clock.advance(Duration::from_secs(1));
    assert!(user.get("/payments").await.location().contains("/login/browser?aal=aal2"), "at once");
    signs_in_anew(&site, &mut user).await;
    let asked = is_led(&mut user).await;
    assert!(asked.location().contains("/ui/login?flow="), "{asked:?}");
    assert!(device_cookie(&asked).is_some_and(|cookie| cookie.ends_with("Max-Age=0")), "{asked:?}");
    assert_eq!((postbox.count(), postbox.last().channel), (2, Channel::Sms), "the other address is asked");

    // It was ended, so it does not come back with the address, not even for a copy of its cookie.
    assert_eq!(site.step_up.forget_devices(&Subject::new("kim").unwrap()).await.unwrap(), 0);
    user.cookies.insert(DEVICE.to_owned(), copied);
    site.users.reach("kim", [mail(), phone()]);
    signs_in_anew(&site, &mut user).await;
    assert!(is_led(&mut user).await.location().contains("/ui/login?flow="));
}

#[tokio::test]
async fn without_an_address_a_device_stands_for_nothing() {
    let (site, postbox, mut user) = trusted_by_code([mail()]).await;
    signs_in_anew(&site, &mut user).await;
    assert_eq!(is_led(&mut user).await.location(), "https://bank.example/payments");
    assert_eq!(user.get("/payments").await.text, "payments");
    site.users.reach("kim", []);
    site.clock.advance(Duration::from_secs(1));
    for anew in [false, true] {
        if anew {
            signs_in_anew(&site, &mut user).await;
        }
        let led = is_led(&mut user).await;
        assert!(led.location().contains("/ui/settings?flow="), "{anew}: {led:?}");
    }
    assert_eq!(postbox.count(), 1);
}

/// Whoever signs in by mail has proven one factor, and the device that was trusted with the same mailbox is no other.
#[tokio::test]
async fn a_device_stands_for_no_mailbox_that_was_the_first_factor() {
    for has_phone in [true, false] {
        let addresses = if has_phone { vec![mail(), phone()] } else { vec![mail()] };
        let (site, postbox, user) = trusted_by_code(addresses).await;
        let kim = Subject::new("kim").unwrap();
        let destination = Destination::parse(Channel::Email, MAIL).unwrap();
        let address = site.step_up.address_id(&kim, &destination).unwrap();
        site.clock.advance(DAY);
        let proof = Proof::new(Method::CodeRecovery, Aal::Aal1, site.clock.now()).with_address(address);
        let signed_in = site.step_up.sign_in_with(kim, vec![proof]).await.unwrap();
        let mut by_mail = site.stranger(Kind::Browser);
        by_mail.cookies.clone_from(&user.cookies);
        by_mail.keep_cookie(signed_in.cookie().to_str().unwrap());
        let led = is_led(&mut by_mail).await;
        assert!(led.location().contains(if has_phone { "/ui/login?flow=" } else { "/ui/settings?flow=" }), "{led:?}");
        let sent: Vec<_> = postbox.all().into_iter().map(|message| message.channel).collect();
        assert_eq!(sent, if has_phone { &[Channel::Email, Channel::Sms][..] } else { &[Channel::Email] });
        assert_eq!(by_mail.get("/payments").await.status, StatusCode::SEE_OTHER);
    }
}

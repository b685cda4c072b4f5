//! Devices on which users do not want to be asked: what they stand for, and who else has their cookie.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Method as HttpMethod, header},
    routing::get as route_get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_step_up::{
    CurrentSession, Method, RequiredAal, Requirement, RouterExt, StepUpBuilder,
    audit::{AuditEvent, AuditEventKind},
    clock::Clock,
    store::{Completed, Completion, Credential, CredentialChange, Revocation, SubjectStore},
};

use crate::{
    site::{Answer, Client, KINDS, Kind, SECRET, Site, code_of},
    witness,
    world::{World, as_program, assert_error, staggered, subject},
};

const DEVICE: &str = "__Host-trusted_device";
const BOX: (&str, &str) = ("trust_device", "true");
const DAY: Duration = Duration::from_secs(86_400);
/// Recovery codes.
const CODES: [&str; 2] = ["MFRGGZDFMZTWQ2LK", "NNWG23TPOBYXE43U"];
const MINUTE: Duration = Duration::from_secs(60);

/// What the audit has heard of devices.
type Heard = Arc<Mutex<Vec<AuditEventKind>>>;

fn trusting(heard: &Heard) -> impl Fn(StepUpBuilder) -> StepUpBuilder + use<> {
    let heard = Arc::clone(heard);
    move |builder| {
        let heard = Arc::clone(&heard);
        let hear = move |event: &AuditEvent| {
            witness::hear(event);
            if event.kind.name().starts_with("device_") {
                heard.lock().unwrap().push(event.kind.clone());
            }
        };
        builder.audit(hear).trusted_devices(30 * DAY).default_return_url("/account")
    }
}

/// Two nodes that trust devices, on each store. Their routes ask for everything that can be asked for.
fn worlds() -> Vec<(World, Heard)> {
    let heard = Heard::default();
    let worlds = World::on_every_store(trusting(&heard));
    let all = worlds.into_iter().map(|world| World { a: with_routes(&world.a), b: with_routes(&world.b), ..world });
    all.map(|world| (world, Arc::clone(&heard))).collect()
}

const ASKING: [&str; 6] = ["/transfer", "/key", "/code", "/strict", "/nested", "/strictly_highest"];

fn with_routes(site: &Site) -> Site {
    let counted = || {
        let calls = Arc::clone(&site.calls);
        move || async move {
            calls.fetch_add(1, Ordering::SeqCst);
            witness::handler_runs();
            "open"
        }
    };
    let strict = Requirement::aal2().without_trusted_devices();
    let router = Router::new()
        .route_requiring("/key", Requirement::aal2().phishing_resistant(), route_get(counted()))
        .route_requiring("/code", Requirement::aal2().any_of([Method::Totp]), route_get(counted()))
        .route_requiring("/strict", strict, route_get(counted()))
        .route_requiring(
            "/nested",
            Requirement::aal2(),
            route_get(counted()).layer(tower_step_up::RequireAal::new(strict)),
        )
        .route_requiring(
            "/strictly_highest",
            Requirement::highest_available().without_trusted_devices(),
            route_get(counted()),
        )
        .route(
            "/who",
            route_get(|user: CurrentSession| async move { format!("{} {}", user.aal(), user.is_on_trusted_device()) }),
        )
        .layer(site.step_up.layer());
    Site { router: router.merge(site.router.clone()), ..site.clone() }
}

fn take(heard: &Heard) -> Vec<&'static str> {
    std::mem::take(&mut *heard.lock().unwrap()).iter().map(AuditEventKind::name).collect()
}

/// Proves the code, and ticks the box.
async fn trust(site: &Site, user: &mut Client) -> Answer {
    let flow = user.begin("login", "?aal=aal2").await;
    let code = site.code();
    let answer = user.submit(&flow, &[("method", "totp"), ("totp_code", &code), BOX]).await;
    assert_eq!(answer.location(), "https://bank.example/account", "{answer:?}");
    assert!(user.cookies.contains_key(DEVICE), "{answer:?}");
    answer
}

/// A browser whose user is kim, and who is not asked on it. It has signed in anew since.
async fn on_device(world: &World) -> Client {
    world.a.enrol("kim").await;
    let mut user = world.a.browser("kim").await;
    world.advance(MINUTE);
    trust(&world.a, &mut user).await;
    signed_in_anew(world, "kim", &user).await
}

/// The next day, at the browser that has this cookie.
async fn signed_in_anew(world: &World, name: &str, browser: &Client) -> Client {
    world.advance(DAY);
    with_cookie_of(world, name, browser).await
}

/// Somebody with the password of this user and a copy of that browser's cookie of its device.
async fn with_cookie_of(world: &World, name: &str, browser: &Client) -> Client {
    let mut user = world.a.browser(name).await;
    user.cookies.insert(DEVICE.to_owned(), browser.cookies[DEVICE].clone());
    user
}

/// Goes where a refusal leads, as a browser does. Whether that leads back without a form.
async fn is_led_on(user: &mut Client, path: &str) -> bool {
    let refused = user.get(path).await;
    let login = refused.location().to_owned();
    assert!(login.starts_with("https://bank.example/self-service/login/browser?aal=aal2"), "{path}: {refused:?}");
    user.get(&login).await.location() == format!("https://bank.example{path}")
}

async fn is_asked(user: &mut Client, path: &str) {
    assert!(!is_led_on(user, path).await, "{path}: the device stood for it");
    assert_eq!(user.get(path).await.status, 303, "{path}: open all the same");
}

fn claims(user: &Client) -> Value {
    let payload = user.session_cookie().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn devices(world: &World) -> Vec<Credential> {
    let known = world.store.credentials(&subject("kim")).await.unwrap();
    known.into_iter().filter(|one| one.summary.method.custom_name() == Some("trusted_device")).collect()
}

/// The honest twin of all that follows.
#[tokio::test]
async fn a_trusted_device_stands_for_two_factors_and_for_nothing_else() {
    for (world, heard) in worlds() {
        let mut user = on_device(&world).await;
        assert_eq!(take(&heard), ["device_trusted"]);
        assert!(!user.pays(&world.a).await, "the guard does not read the cookie");
        let (session, cookie) = (user.session_cookie().unwrap().to_owned(), user.cookies[DEVICE].clone());
        let mut before = user.clone();
        assert!(is_led_on(&mut user, "/payments").await);
        assert_eq!(take(&heard), ["device_used"]);
        assert!(user.session_cookie() != Some(&session) && user.cookies[DEVICE] != cookie, "both are new");
        before.cookies.remove(DEVICE);
        before.assert_dead(&world.a).await;
        for site in [&world.a, &world.b] {
            for path in ["/payments", "/limits"] {
                assert!(user.opens(site, path).await, "{path}");
            }
            assert_eq!(user.at(site).get("/who").await.text, "aal1 true");
        }
        for path in ASKING {
            is_asked(&mut user, path).await;
        }
        // The strict gates ask as ever.
        let mut program = as_program(&user);
        assert_error(&program.whoami().await, 403, "session_aal2_required");
        assert_error(&program.get("/sessions").await, 403, "session_aal2_required");
        assert_error(&program.get("/self-service/settings/browser").await, 403, "session_aal2_required");
        is_asked(&mut user, "/self-service/ui/sessions").await;
        assert_eq!(
            user.get("/self-service/settings/browser").await.location(),
            "https://bank.example/self-service/login/browser?aal=aal2"
        );
        // The lax one shows a session of one factor, and so does the token.
        for site in [&world.a, &world.b] {
            site.step_up.set_whoami_required_aal(RequiredAal::Aal1);
            site.step_up.set_settings_required_aal(RequiredAal::Aal1);
        }
        let shown = program.whoami().await;
        let methods: Vec<_> = shown.json()["authentication_methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["method"].clone())
            .collect();
        assert_eq!(
            (&shown.json()["authenticator_assurance_level"], methods),
            (&json!("aal1"), vec![json!("password")])
        );
        let claims = claims(&user);
        assert_eq!(
            (&claims["acr"], &claims["amr"], claims["proofs"].as_array().unwrap().len()),
            (&json!("aal1"), &json!(["pwd"]), 1)
        );
        assert!(!shown.text.contains("device\"") && !claims.to_string().contains("device"), "{claims}");
        let page = user.get("/self-service/ui/sessions").await.text;
        assert!(page.contains("<dd>password</dd>") && !page.contains("another way"), "{page}");
        // No factor can be changed.
        let flow = user.begin("settings", "").await;
        let changed = user.submit(&flow, &[("totp_unlink", "true")]).await;
        assert!(changed.location().contains("aal=aal2&refresh=true"), "{changed:?}");
        assert_eq!(world.a.step_up.credentials(&subject("kim")).await.unwrap().len(), 1, "a device is no factor");
        // Logging out takes nothing from the device. What it was used in ends with the session.
        let logout = program.get("/self-service/logout/browser").await.json();
        user.get(logout["logout_url"].as_str().unwrap()).await;
        assert!(user.cookies.contains_key(DEVICE));
        let mut again = signed_in_anew(&world, "kim", &user).await;
        assert!(is_led_on(&mut again, "/payments").await && again.pays(&world.b).await);
        take(&heard);
    }
}

/// A second factor that was asked for by a guard that takes no device is a proof like any other.
#[tokio::test]
async fn a_trusted_device_is_no_way_around_a_proof_and_no_trap() {
    for (world, _) in worlds() {
        let mut user = on_device(&world).await;
        // First it is led on, and then, since that did not do, it is asked.
        assert!(is_led_on(&mut user, "/strict").await);
        is_asked(&mut user, "/strict").await;
        let flow = user.begin("login", "?aal=aal2").await;
        user.totp(&flow, &world.next_code()).await;
        for path in ["/strict", "/transfer", "/payments", "/code"] {
            assert!(user.opens(&world.a, path).await, "{path}");
        }
        assert_eq!(user.get("/who").await.text, "aal2 true");
        // The day after, the second factor has lapsed, and the device stands for what it can.
        user.cookies.remove(DEVICE);
        world.advance(Duration::from_secs(23 * 3600));
        assert!(user.pays(&world.a).await);
    }
}

#[tokio::test]
async fn a_cookie_of_another_users_device_is_worth_nothing() {
    for (world, heard) in worlds() {
        let mut kim = on_device(&world).await;
        world.a.enrol("eve").await;
        let mut eve = with_cookie_of(&world, "eve", &kim).await;
        is_asked(&mut eve, "/payments").await;
        assert_eq!(take(&heard), ["device_trusted"], "kim's device is as it was");
        assert!(is_led_on(&mut kim, "/payments").await);
        // Without a session it is worth nothing at all.
        let mut stranger = world.a.stranger(Kind::Browser);
        stranger.cookies.insert(DEVICE.to_owned(), kim.cookies[DEVICE].clone());
        let refused = stranger.get("/payments").await;
        assert!(refused.location().starts_with("https://bank.example/login"), "{refused:?}");
        let error = stranger.get("/self-service/login/browser?aal=aal2&return_to=/payments").await;
        assert!(error.location().contains("/error?id="), "{error:?}");
        assert!(!witness::hands_out_a_session(&error.headers));
        take(&heard);
    }
}

/// Whoever comes second shows that there are two of one cookie, and the device ends for both.
#[tokio::test]
async fn a_stolen_cookie_of_a_device_ends_it_when_it_was_used() {
    for (world, heard) in worlds() {
        for thief_is_first in [false, true] {
            let kim = on_device(&world).await;
            let eve = with_cookie_of(&world, "kim", &kim).await;
            let (mut first, mut second) = if thief_is_first { (eve, kim) } else { (kim, eve) };
            take(&heard);
            assert!(is_led_on(&mut first, "/payments").await && first.pays(&world.b).await);
            world.advance(MINUTE);
            assert!(!is_led_on(&mut second, "/payments").await);
            assert_eq!(take(&heard), ["device_used", "device_replayed"]);
            assert!(!second.cookies.contains_key(DEVICE), "its cookie goes");
            for user in [&mut first, &mut second] {
                user.assert_aal1(&world.a).await;
                world.advance(Duration::from_secs(2));
                user.assert_aal1(&world.b).await;
                is_asked(user, "/payments").await;
            }
            assert_eq!(devices(&world).await, []);
        }
    }
}

/// Values from long ago, changed ones, made up ones, and several.
#[tokio::test]
async fn a_forged_cookie_of_a_device_is_worth_nothing() {
    for (world, heard) in worlds() {
        let kim = on_device(&world).await;
        let value = kim.cookies[DEVICE].clone();
        let (id, secret) = value.split_once('.').unwrap();
        let other_id = format!("{}.{secret}", uuid::Uuid::new_v4());
        for forged in ["", ".", id, secret, &format!("{id}."), &format!("{id}.AAAA"), &other_id, &format!("{value}A")] {
            let mut eve = world.a.browser("kim").await;
            eve.cookies.insert(DEVICE.to_owned(), forged.to_owned());
            is_asked(&mut eve, "/payments").await;
        }
        assert_eq!(devices(&world).await.len(), 1, "none of them names the device");
        // Another host of the site has set one more.
        let tossed = world.a.browser("kim").await;
        let session = tossed.session_cookie().unwrap();
        let two = format!("__Host-step_up_session={session}; {DEVICE}={value}; {DEVICE}={value}");
        is_asked(&mut tossed.clone().sending(&[("cookie", two.as_bytes())]), "/payments").await;
        take(&heard);
        let mut eve = world.a.browser("kim").await;
        eve.cookies.insert(DEVICE.to_owned(), format!("{id}.{}", "A".repeat(43)));
        is_asked(&mut eve, "/payments").await;
        assert_eq!(take(&heard), ["device_replayed"], "who knows the id has had the cookie");
    }
}

/// Two values ago is no better than made up.
#[tokio::test]
async fn an_old_cookie_of_a_device_ends_it_at_any_age() {
    for (world, heard) in worlds() {
        let first = on_device(&world).await;
        let mut second = first.clone();
        assert!(is_led_on(&mut second, "/payments").await);
        let mut third = signed_in_anew(&world, "kim", &second).await;
        assert!(is_led_on(&mut third, "/payments").await);
        let mut eve = with_cookie_of(&world, "kim", &first).await;
        take(&heard);
        is_asked(&mut eve, "/payments").await;
        assert_eq!(take(&heard), ["device_replayed"]);
        third.assert_aal1(&world.a).await;
    }
}

#[tokio::test]
async fn a_device_ends_with_what_it_was_trusted_for() {
    type End = (&'static str, fn(&World) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>>);
    let ends: &[End] = &[
        ("the factor is replaced", |world| Box::pin(async { world.a.enrol("kim").await })),
        ("one more is added", |world| {
            Box::pin(async {
                world.b.step_up.import_lookup_secrets(&subject("kim"), &CODES).await.map(drop).unwrap();
            })
        }),
        ("the factor is removed, and is back", |world| {
            Box::pin(async {
                world.a.step_up.unbind(&subject("kim"), Method::Totp).await.unwrap();
                world.a.enrol("kim").await;
            })
        }),
        ("all sessions are ended", |world| {
            Box::pin(async { world.b.step_up.revoke_all(&subject("kim")).await.map(drop).unwrap() })
        }),
        ("all sessions of everybody are ended", |world| {
            Box::pin(async { world.b.step_up.revoke_everyone().await.map(drop).unwrap() })
        }),
        ("the store alone knows that all sessions are ended", |world| {
            Box::pin(async {
                let all = Revocation::All(world.a.clock.now());
                world.store.revoke(&subject("kim"), all).await.map(drop).unwrap();
            })
        }),
        ("devices are forgotten", |world| {
            Box::pin(async { assert_eq!(world.b.step_up.forget_devices(&subject("kim")).await.unwrap(), 1) })
        }),
        ("the user is deleted, and is back", |world| {
            Box::pin(async {
                world.a.step_up.delete(&subject("kim")).await.unwrap();
                world.a.enrol("kim").await;
            })
        }),
        ("its time is over", |world| Box::pin(async { world.advance(28 * DAY + Duration::from_secs(86_400)) })),
    ];
    for (name, end) in ends {
        for (world, _) in worlds() {
            let kim = on_device(&world).await;
            let mut on = kim.clone();
            assert!(is_led_on(&mut on, "/payments").await && on.pays(&world.b).await, "{name}");
            end(&world).await;
            world.advance(Duration::from_secs(2));
            for site in [&world.a, &world.b] {
                assert!(!on.pays(site).await, "{name}: in the session");
            }
            let mut again = with_cookie_of(&world, "kim", &on).await;
            is_asked(&mut again, "/payments").await;
            assert_eq!(devices(&world).await, [], "{name}");
            assert!(!again.cookies.contains_key(DEVICE) || *name != "its time is over", "{name}");
        }
    }
}

/// And none comes back: here with exactly the factors from before.
#[tokio::test]
async fn a_device_does_not_come_back_with_the_factors() {
    for (world, _) in worlds() {
        let kim = on_device(&world).await;
        world.a.step_up.import_lookup_secrets(&subject("kim"), &CODES).await.unwrap();
        world.a.step_up.unbind(&subject("kim"), Method::LookupSecret).await.unwrap();
        let mut again = with_cookie_of(&world, "kim", &kim).await;
        is_asked(&mut again, "/payments").await;
    }
}

/// An application that trusts no devices any more believes neither cookies nor what sessions note.
#[tokio::test]
async fn devices_that_were_trusted_before_are_not_where_none_are() {
    let heard = Heard::default();
    for store in crate::stores::every() {
        let site = |trusts: bool| {
            let configure = trusting(&heard);
            let site = Site::with(|builder| {
                let builder = store.give_to(builder);
                if trusts { configure(builder) } else { builder.default_return_url("/account") }
            });
            with_routes(&site)
        };
        let world = World { a: site(true), b: site(true), store: store.clone() };
        let mut kim = on_device(&world).await;
        assert!(is_led_on(&mut kim, "/payments").await && kim.pays(&world.b).await);
        let now = site(false);
        now.clock.advance(DAY + MINUTE);
        let mut there = kim.at(&now);
        assert!(!there.pays(&now).await);
        assert_eq!(there.get("/who").await.text, "aal1 false");
        is_asked(&mut there, "/payments").await;
    }
}

/// A row that somebody has put under another user fits that user's browser no better.
#[tokio::test]
async fn a_swapped_record_of_a_device_fits_no_cookie() {
    for (world, heard) in worlds() {
        let kim = on_device(&world).await;
        world.a.enrol("eve").await;
        let [row] = &devices(&world).await[..] else { panic!("one device") };
        let mut moved = Completion::new(subject("kim"), world.a.clock.now());
        moved.credentials = vec![CredentialChange::Remove(row.summary.id)];
        assert_eq!(world.store.complete(&moved).await.unwrap(), Completed::Done);
        moved = Completion::new(subject("eve"), world.a.clock.now());
        moved.credentials = vec![CredentialChange::Add(row.clone())];
        assert_eq!(world.store.complete(&moved).await.unwrap(), Completed::Done);
        take(&heard);
        for name in ["eve", "kim"] {
            let mut user = with_cookie_of(&world, name, &kim).await;
            is_asked(&mut user, "/payments").await;
        }
        assert_eq!(take(&heard), ["device_replayed"]);
    }
}

/// Tabs that a browser opens at once have one session and one cookie. All of them go on, and the device is used once.
#[tokio::test]
async fn tabs_at_once_use_a_device_once() {
    for (world, heard) in worlds() {
        let mut kim = on_device(&world).await;
        world.store.yields();
        for steps in 0..12 {
            kim = signed_in_anew(&world, "kim", &kim).await;
            take(&heard);
            let path = "/self-service/login/browser?aal=aal2&return_to=/payments";
            let (mut one, mut two) = (kim.clone(), kim.clone().at(&world.b));
            let mut other = None;
            let (answer, _) = staggered(steps, one.get(path), async { other = Some(two.get(path).await) }).await;
            for (answer, user) in [(answer, &mut one), (other.unwrap(), &mut two)] {
                assert_eq!(answer.location(), "https://bank.example/payments", "{steps} {answer:?}");
                assert!(user.pays(&world.a).await, "{steps}");
            }
            let events = take(&heard);
            assert_eq!(events, ["device_used"], "{steps}");
            // Whichever of them the browser keeps: its session goes on, and the newest cookie is the good one.
            let changed = [&one, &two].into_iter().find(|tab| tab.cookies[DEVICE] != kim.cookies[DEVICE]).unwrap();
            kim.cookies.insert(DEVICE.to_owned(), changed.cookies[DEVICE].clone());
        }
    }
}

/// A replaced session is not handed on for the device's sake, but to who has both from before, and only at once.
#[tokio::test]
async fn a_replaced_session_is_no_way_in_by_a_device() {
    for (world, _) in worlds() {
        let kim = on_device(&world).await;
        let path = "/self-service/login/browser?aal=aal2&return_to=/payments";
        let mut now = kim.clone();
        assert!(is_led_on(&mut now, "/payments").await);
        let without = Client {
            cookies: kim.cookies.clone().into_iter().filter(|(name, _)| name != DEVICE).collect(),
            ..kim.clone()
        };
        let newer = Client {
            cookies: kim
                .cookies
                .clone()
                .into_iter()
                .chain([(DEVICE.to_owned(), now.cookies[DEVICE].clone())])
                .collect(),
            ..kim.clone()
        };
        for mut thief in [without, newer] {
            let refused = thief.get(path).await;
            assert!(refused.location().contains("/error?id="), "{refused:?}");
        }
        assert_eq!(kim.clone().get(path).await.location(), "https://bank.example/payments", "the answer was lost");
        world.advance(Duration::from_secs(10));
        let refused = kim.clone().get(path).await;
        assert!(refused.location().contains("/error?id="), "{refused:?}");
        assert!(now.pays(&world.a).await);
        // Nor when its user has signed out.
        let logout = as_program(&now).get("/self-service/logout/browser").await.json();
        now.get(logout["logout_url"].as_str().unwrap()).await;
        let refused = kim.clone().get(path).await;
        assert!(refused.location().contains("/error?id="), "{refused:?}");
    }
}

/// Only the box of our own page, in a form for a second factor of any age.
#[tokio::test]
async fn only_our_own_page_trusts_a_device() {
    for (world, heard) in worlds() {
        world.a.enrol("kim").await;
        for kind in KINDS {
            let mut user = crate::world::client(&world.a, kind, "kim").await;
            for query in ["?aal=aal2", "?aal=aal2&refresh=true", "?aal=aal2&methods=totp"] {
                if kind == Kind::Browser && query == "?aal=aal2" {
                    continue;
                }
                let flow = user.begin("login", query).await;
                let code = world.next_code();
                let answer = user.submit(&flow, &[("method", "totp"), ("totp_code", &code), BOX]).await;
                assert!(answer.status == 200 || answer.status == 303, "{answer:?}");
                user.keep_token_if_any(&answer);
                assert!(user.pays(&world.a).await, "{kind:?} {query}");
                assert!(!user.cookies.contains_key(DEVICE) && devices(&world).await.is_empty(), "{kind:?} {query}");
            }
        }
        // A script that fills in the form of a browser, and a wrong code.
        let mut user = world.a.browser("kim").await;
        let flow = user.begin("login", "?aal=aal2").await;
        user.submit(&flow, &[("method", "totp"), ("totp_code", "000000"), BOX]).await;
        let code = world.next_code();
        let passed = as_program(&user).submit(&flow, &[("method", "totp"), ("totp_code", &code), BOX]).await;
        assert_eq!(passed.status, 200, "{passed:?}");
        // Without the token of the form, it is not even read.
        let mut user = world.a.browser("kim").await;
        let flow = user.begin("login", "?aal=aal2").await;
        let code = world.next_code();
        let forged =
            user.post(&flow.action(), &[("method", "totp"), ("totp_code", &code), BOX, ("csrf_token", "x")]).await;
        assert!(forged.location().contains("/error?id="), "{forged:?}");
        assert_eq!((take(&heard), devices(&world).await), (vec![], vec![]));
        trust(&world.a, &mut user).await;
        assert_eq!(take(&heard), ["device_trusted"]);
    }
    // A page of the application's has no box, so its forms cannot have one either. By default nobody has.
    for configure in
        [|builder: StepUpBuilder| builder.trusted_devices(30 * DAY).login_ui_url("/my/login"), |builder| builder]
    {
        let site = Site::with(configure);
        site.enrol("kim").await;
        let mut user = site.browser("kim").await;
        site.clock.advance(MINUTE);
        let flow = user.begin("login", "?aal=aal2").await;
        user.submit(&flow, &[("method", "totp"), ("totp_code", &site.code()), BOX]).await;
        assert!(user.pays(&site).await && !user.cookies.contains_key(DEVICE));
    }
}

/// A script is told where to go as ever. What it asks for in the background uses no device.
#[tokio::test]
async fn only_a_browser_that_shows_pages_uses_a_device() {
    for (world, heard) in worlds() {
        let kim = on_device(&world).await;
        take(&heard);
        let path = "/self-service/login/browser?aal=aal2";
        let mut spa = as_program(&kim);
        let flow = spa.get(path).await;
        assert_eq!((flow.status.as_u16(), flow.messages()), (200, vec![1_010_004]), "{flow:?}");
        let mut script = kim.clone().sending(&[("sec-fetch-mode", b"cors"), ("sec-fetch-dest", b"empty")]);
        assert_eq!(script.get(path).await.status, 200);
        let mut guess = kim.clone().sending(&[("sec-purpose", b"prefetch")]);
        assert_eq!(guess.get(path).await.status, 503);
        let mut image = kim.clone().sending(&[("sec-fetch-mode", b"no-cors"), ("sec-fetch-dest", b"image")]);
        assert_eq!(image.get(path).await.status, 406);
        for query in ["&refresh=true", "&methods=totp"] {
            let asked = kim.clone().get(&format!("{path}{query}")).await;
            assert!(asked.location().contains("/ui/login?flow="), "{query}: {asked:?}");
        }
        // A token beside the cookie.
        let mut native = world.a.native("kim").await;
        native.kind = Kind::Browser;
        native.cookies.insert(DEVICE.to_owned(), kim.cookies[DEVICE].clone());
        assert!(native.get(path).await.location().contains("/ui/login?flow="));
        assert_eq!(take(&heard), [""; 0]);
        assert!(is_led_on(&mut kim.clone(), "/payments").await);
    }
}

/// The list on the settings page, and who may change it.
#[tokio::test]
async fn forgetting_a_device_takes_a_recent_proof_and_the_token_of_the_page() {
    for (world, heard) in worlds() {
        let mut first = on_device(&world).await;
        let mut other = world.a.browser("kim").await.sending(&[("user-agent", b"Other <browser>")]);
        world.advance(MINUTE);
        trust(&world.a, &mut other).await;
        assert!(is_led_on(&mut first, "/payments").await);
        let page = other.get("/self-service/settings/browser").await.location().to_owned();
        let page = other.get(&page).await.text;
        assert_eq!(page.matches("Forget this device").count(), 2, "{page}");
        assert!(page.contains("Other &#60;browser&#62;") && page.contains("This device"), "{page}");
        let (_, form) = page.split_once("/self-service/ui/devices\"").expect("a form of devices");
        let token = crate::world::csrf_of(form);
        let [one, two] = &devices(&world).await[..] else { panic!("two devices") };
        assert!(page.contains(&one.summary.id.to_string()) && page.contains(&two.summary.id.to_string()));
        assert!(one.last_used_at.is_some() && two.last_used_at.is_none());
        let path = "/self-service/ui/devices";
        let (own, theirs) = (two.summary.id.to_string(), one.summary.id.to_string());
        take(&heard);
        // Another session, none, no token, no proof, another site, another method.
        world.a.enrol("eve").await;
        let mut eve = world.a.browser("eve").await;
        for (user, token) in [
            (&mut eve, token.as_str()),
            (&mut world.a.stranger(Kind::Browser), &token),
            (&mut other.clone(), ""),
            (&mut other.clone(), "x"),
        ] {
            let refused = user.post(path, &[("device", &theirs), ("csrf_token", token)]).await;
            assert_eq!(refused.status, 303, "{refused:?}");
            let to = refused.location();
            assert!(to.contains("/error?id=") || to.contains("/login/browser") || to.contains("/login?"), "{to}");
        }
        let (request, body) = other.filled(path, &[("device", "all"), ("csrf_token", &token)]);
        let mut cross = request.body(Body::from(body)).unwrap();
        cross.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
        assert!(other.send(cross).await.location().contains("/error?id="));
        let get = other.request(HttpMethod::GET, path).body(Body::empty()).unwrap();
        assert_eq!(other.send(get).await.status, 405);
        for bad in ["", "x", "others"] {
            let refused = other.post(path, &[("device", bad), ("csrf_token", &token)]).await;
            assert!(refused.location().contains("/error?id="), "{bad}: {refused:?}");
        }
        assert_eq!((take(&heard), devices(&world).await.len()), (vec![], 2));
        // Its user, at once, and later only after another proof.
        let done = other.post(path, &[("device", &theirs), ("csrf_token", &token)]).await;
        assert_eq!(done.location(), "https://bank.example/self-service/settings/browser");
        assert_eq!((take(&heard), devices(&world).await.len()), (vec!["device_forgotten"], 1));
        assert!(other.cookies.contains_key(DEVICE));
        first.assert_aal1(&world.a).await;
        world.advance(Duration::from_secs(3601));
        let late = other.post(path, &[("device", "all"), ("csrf_token", &token)]).await;
        assert!(late.location().contains("aal=aal2&refresh=true"), "{late:?}");
        assert_eq!(devices(&world).await.len(), 1);
        let flow = other.begin("login", "?aal=aal2&refresh=true").await;
        other.totp(&flow, &code_of(SECRET, world.a.seconds())).await;
        let own = [("device", own.as_str()), ("csrf_token", token.as_str())];
        assert_eq!(other.post(path, &own).await.status, 303);
        assert_eq!((take(&heard), devices(&world).await), (vec!["device_forgotten"], vec![]));
        assert!(!other.cookies.contains_key(DEVICE), "the browser forgets it too");
    }
}

/// However often somebody ticks the box.
#[tokio::test]
async fn devices_of_a_user_stay_few() {
    for (world, _) in worlds() {
        world.a.enrol("kim").await;
        let mut users = vec![];
        for _ in 0..22 {
            let mut user = world.a.browser("kim").await;
            world.advance(MINUTE);
            trust(&world.a, &mut user).await;
            users.push(user);
        }
        assert_eq!(devices(&world).await.len(), 20);
        let mut oldest = with_cookie_of(&world, "kim", &users[0]).await;
        is_asked(&mut oldest, "/payments").await;
        let mut newest = with_cookie_of(&world, "kim", &users[21]).await;
        assert!(is_led_on(&mut newest, "/payments").await);
        // The same browser again: one device, not two.
        let before = devices(&world).await.len();
        let mut again = with_cookie_of(&world, "kim", &newest).await;
        again.get("/payments").await;
        world.advance(MINUTE);
        let flow = again.begin("login", "?aal=aal2&refresh=true").await;
        again.totp(&flow, &world.a.code()).await;
        let mut once_more = world.a.browser("kim").await;
        once_more.cookies.insert(DEVICE.to_owned(), format!("{}.x", uuid::Uuid::new_v4()));
        world.advance(MINUTE);
        trust(&world.a, &mut once_more).await;
        assert_eq!(devices(&world).await.len(), before);
        // What a use writes besides is no session.
        let sessions = world.store.sessions(&subject("kim"), world.a.clock.now()).await.unwrap();
        assert!(sessions.iter().all(|session| !session.proofs().is_empty()));
        assert_eq!(world.a.step_up.revoke_all(&subject("kim")).await.unwrap(), u64::try_from(sessions.len()).unwrap());
    }
}

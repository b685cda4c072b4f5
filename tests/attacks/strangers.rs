//! Who has not signed in can begin any number of forms. They cost others nothing, and old ones take nothing back.

use axum::http::header;
use tower_step_up::{StepUpBuilder, factor::Password, store::MemoryStore};

use crate::{
    common::store::TestStore,
    site::{Answer, Client, KINDS, Kind, OpenFlow, Site},
    witness,
    world::{World, assert_error, assert_says},
};

const RIGHT: [(&str, &str); 3] = [("method", "password"), ("identifier", "kim"), ("password", "kim-password")];
const WRONG: [(&str, &str); 3] = [("method", "password"), ("identifier", "kim"), ("password", "x")];

/// How many wrong passwords a form takes.
const MOST: usize = 5;

fn with_password(builder: StepUpBuilder) -> StepUpBuilder {
    builder.factor(Password::default())
}

fn worlds() -> Vec<World> {
    World::on_every_store(with_password)
}

/// Sends the form with the client's own CSRF token, and takes over the answer's cookies, but no others: as a copy of the client would.
async fn sends(client: &Client, flow: &OpenFlow, fields: &[(&str, &str)]) -> Answer {
    client.clone().submit(flow, fields).await
}

fn has_signed_in(answer: &Answer) -> bool {
    answer.status == 200 || witness::hands_out_a_session(&answer.headers)
}

async fn sessions_of_kim(world: &World) -> usize {
    world.known("kim").await.sessions.len()
}

/// Number 28: ten thousand forms were kept, and a client made as many in ten seconds. Now nothing is stored before a password is compared.
#[tokio::test]
async fn strangers_push_out_no_open_form() {
    for world in worlds() {
        for kind in KINDS {
            let site = &world.a;
            world.store.take_calls();
            let mut kim = site.stranger(kind);
            let open = kim.begin("login", if kind == Kind::Native { "" } else { "?return_to=/pay&theirs=1" }).await;
            for number in 0..30 {
                let mut stranger = site.stranger(KINDS[number % KINDS.len()]);
                let flow = stranger.begin("login", "").await;
                for fields in
                    [&[][..], &[("x", "1")], &[("method", "password"), ("identifier", "kim")], &[("method", "totp")]]
                {
                    stranger.submit(&flow, fields).await;
                }
                stranger.read("login", flow.id()).await;
            }
            let calls = world.store.take_calls();
            assert!(calls.iter().all(|call| *call == "flow"), "{kind:?}: {calls:?}");

            // The form is as it was, on both nodes, and the message of what was missing stands in it.
            for site in [&world.a, &world.b] {
                let read = kim.at(site).read("login", open.id()).await.json();
                for member in ["id", "request_url", "return_to", "expires_at", "issued_at", "created_at", "state"] {
                    assert_eq!(read[member], open.view[member], "{kind:?} {member}");
                }
            }
            let missing = kim.submit(&open, &[("method", "password"), ("identifier", "kim")]).await;
            if kind != Kind::Native {
                let read = kim.at(&world.b).read("login", open.id()).await;
                assert_eq!(read.node_messages("password"), [4_000_002], "{missing:?}");
                assert_eq!(read.node("identifier")["attributes"]["value"], "kim");
            }
            let before = sessions_of_kim(&world).await;
            let answer = kim.at(&world.b).submit(&open, &RIGHT).await;
            assert!(has_signed_in(&answer), "{kind:?}: {answer:?}");
            assert_eq!(sessions_of_kim(&world).await, before + 1);
            if kind == Kind::Browser {
                assert!(answer.location().ends_with("/pay"), "{answer:?}");
            }
        }
    }
}

/// The same where passwords are compared: the rows that this makes push out each other, and no form.
#[tokio::test]
async fn strangers_who_guess_push_out_no_open_form() {
    let store = TestStore::over(MemoryStore::with_capacity(20));
    let site = Site::with(|builder| with_password(builder.store(store.clone())));
    for kind in KINDS {
        let (mut kim, mut lee) = (site.stranger(kind), site.stranger(kind));
        let (open, tried) = (kim.begin("login", "").await, lee.begin("login", "").await);
        assert!(!has_signed_in(&lee.submit(&tried, &WRONG).await));
        for _ in 0..40 {
            let mut stranger = site.stranger(Kind::Native);
            let flow = stranger.begin("login", "").await;
            assert_says(&stranger.submit(&flow, &WRONG).await, 4_000_006);
        }
        for (client, flow) in [(&mut kim, open), (&mut lee, tried)] {
            let answer = client.submit(&flow, &RIGHT).await;
            assert!(has_signed_in(&answer), "{kind:?}: {answer:?}");
        }
    }
}

/// What a browser keeps is sealed, and what the store says counts. So a copy of before resets no count, and begins no second session.
#[tokio::test]
async fn an_old_copy_of_a_form_takes_nothing_back() {
    for world in worlds() {
        for kind in KINDS {
            let mut eve = world.a.stranger(kind);
            let flow = eve.begin("login", "").await;
            let old = eve.clone();
            for number in 0..MOST {
                let node = if number % 2 == 0 { &world.a } else { &world.b };
                assert!(!has_signed_in(&sends(&old.at(node), &flow, &WRONG).await));
            }
            let before = sessions_of_kim(&world).await;
            for site in [&world.a, &world.b] {
                let answer = sends(&old.at(site), &flow, &RIGHT).await;
                assert!(!has_signed_in(&answer), "{kind:?}: wrong passwords were forgotten: {answer:?}");
            }
            assert_eq!(sessions_of_kim(&world).await, before);

            let mut kim = world.a.stranger(kind);
            let flow = kim.begin("login", "").await;
            let old = kim.clone();
            assert!(has_signed_in(&sends(&kim, &flow, &RIGHT).await));
            assert_eq!(sessions_of_kim(&world).await, before + 1);
            for site in [&world.a, &world.b] {
                for fields in [&RIGHT[..], &[RIGHT[2], RIGHT[1], RIGHT[0]], &[RIGHT[0], RIGHT[1], RIGHT[2], ("x", "1")]]
                {
                    sends(&old.at(site), &flow, fields).await;
                    assert_eq!(sessions_of_kim(&world).await, before + 1, "{kind:?}: a form signed in twice");
                }
            }
            kim.submit(&flow, &RIGHT).await;
        }
    }
}

/// At once, on both nodes: one session, and each wrong password counts.
#[tokio::test]
async fn copies_of_a_form_at_once_count_as_one_form() {
    for world in worlds() {
        for kind in [Kind::Spa, Kind::Native] {
            let mut kim = world.a.stranger(kind);
            let flow = kim.begin("login", "").await;
            let (before, ended) = (sessions_of_kim(&world).await, ["1", "2", "3", "4"]);
            let (a, b) = (kim.at(&world.a), kim.at(&world.b));
            world.store.yields();
            let all = ended.map(|x| [RIGHT[0], RIGHT[1], RIGHT[2], ("x", x)]);
            tokio::join!(
                sends(&a, &flow, &all[0]),
                sends(&b, &flow, &all[1]),
                sends(&a, &flow, &all[2]),
                sends(&b, &flow, &all[3])
            );
            world.store.works();
            assert_eq!(sessions_of_kim(&world).await, before + 1, "{kind:?}");

            let mut eve = world.a.stranger(kind);
            let flow = eve.begin("login", "").await;
            let (a, b) = (eve.at(&world.a), eve.at(&world.b));
            world.store.yields();
            for _ in 0..MOST.div_ceil(4) {
                tokio::join!(
                    sends(&a, &flow, &WRONG),
                    sends(&b, &flow, &WRONG),
                    sends(&a, &flow, &WRONG),
                    sends(&b, &flow, &WRONG)
                );
            }
            world.store.works();
            assert!(!has_signed_in(&sends(&eve, &flow, &RIGHT).await), "{kind:?}: more guesses than a form takes");
        }
    }
}

/// A form belongs to the browser that began it, though no store knows it.
#[tokio::test]
async fn a_form_is_of_no_use_in_another_browser() {
    let world = World::with(with_password);
    let site = &world.a;
    for kind in [Kind::Browser, Kind::Spa] {
        let (mut kim, mut eve) = (site.stranger(kind), site.stranger(kind));
        let (open, planted) = (kim.begin("login", "").await, eve.begin("login", "?return_to=/evil").await);
        let cookie_of = |client: &Client| {
            let mut own = client.cookies.iter().filter(|(name, _)| name.starts_with("__Host-login_flow_"));
            own.next().map(|(name, value)| (name.clone(), value.clone())).unwrap()
        };
        assert_error(&eve.read("login", open.id()).await, 403, "security_csrf_violation");
        let mut lured = kim.clone();
        let (name, value) = cookie_of(&eve);
        lured.cookies.insert(name, value.clone());
        assert_error(&lured.read("login", planted.id()).await, 403, "security_csrf_violation");
        assert!(!has_signed_in(&lured.submit(&planted, &RIGHT).await));
        // Nor under another name, or changed.
        let (own, sealed) = cookie_of(&kim);
        for value in
            [value, format!("{sealed}A"), sealed.replace(&sealed[..4], "AAAA"), String::new(), "x".repeat(5000)]
        {
            let mut kim = kim.clone();
            kim.cookies.insert(own.clone(), value);
            assert_error(&kim.read("login", open.id()).await, 403, "security_csrf_violation");
        }
        // Both it and the CSRF token must be there.
        let mut without = kim.clone();
        without.cookies.retain(|name, _| !name.contains("csrf"));
        assert_error(&without.read("login", open.id()).await, 403, "security_csrf_violation");
        assert_eq!(kim.read("login", open.id()).await.status, 200);
    }
    // An id of nobody is of nobody.
    let mut kim = site.stranger(Kind::Spa);
    assert_eq!(kim.read("login", &uuid::Uuid::new_v4().to_string()).await.status, 404);
    // No settings flow has such an id.
    let open = kim.begin("login", "").await;
    assert_ne!(site.spa("kim").await.read("settings", open.id()).await.status, 200);
}

/// What a browser keeps stays small: proxies and servers refuse long headers.
#[tokio::test]
async fn forms_of_strangers_fit_into_headers() {
    let world = World::with(with_password);
    let mut kim = world.a.stranger(Kind::Spa);
    let mut flows = vec![];
    for number in 0..12 {
        let long = "x".repeat(700 * number);
        let answer = kim
            .get(&format!("/self-service/login/browser?theirs={long}&return_to=/pay?{}", &long[..long.len().min(900)]))
            .await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            assert!(cookie.len() < 3000, "{}", cookie.len());
        }
        flows.push(answer.json());
        world.advance(std::time::Duration::from_secs(1));
        let own: Vec<_> = kim.cookies.iter().filter(|(name, _)| name.contains("login_flow")).collect();
        assert!(own.len() <= 4, "{own:?}");
    }
    assert!(kim.cookies.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() < 8000);
    for (number, flow) in flows.iter().enumerate() {
        let read = kim.read("login", flow["id"].as_str().unwrap()).await;
        assert_eq!(read.status == 200, number >= 8, "{number}: {read:?}");
        assert!(read.status != 200 || read.json()["return_to"] == flow["return_to"]);
    }
}

/// An expired form leads to a new one that says so, as a stored one does.
#[tokio::test]
async fn an_expired_form_of_a_stranger_leads_to_a_new_one() {
    for world in worlds() {
        for kind in KINDS {
            let mut kim = world.a.stranger(kind);
            let open = kim.begin("login", if kind == Kind::Native { "" } else { "?return_to=/pay" }).await;
            world.advance(std::time::Duration::from_secs(3600));
            assert_error(&kim.read("login", open.id()).await, 410, "self_service_flow_expired");
            let answer = kim.submit(&open, &RIGHT).await;
            let next = if kind == Kind::Browser {
                answer.location().rsplit_once("flow=").unwrap().1.to_owned()
            } else {
                assert_error(&answer, 410, "self_service_flow_expired");
                answer.json()["use_flow_id"].as_str().unwrap().to_owned()
            };
            let read = kim.at(&world.b).read("login", &next).await;
            assert_eq!(read.messages(), [4_010_001], "{kind:?}: {read:?}");
            assert_eq!(read.json()["return_to"], open.view["return_to"]);
            world.advance(std::time::Duration::from_secs(2 * 86_400));
            assert_eq!(kim.read("login", open.id()).await.status, 404, "{kind:?}: forgotten, as in the store");
        }
    }
}

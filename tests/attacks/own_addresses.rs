//! Addresses that users add: added by others, confirmed with other codes, guessed, flooded, brought back, or counted as two factors.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    http::{Method as HttpMethod, header},
};
use tower_step_up::{
    Aal, Method, RequiredAal, StepUpBuilder,
    aal::{CredentialId, Proof},
    clock::Clock as _,
    directory::{Address, Channel, Destination},
    factor::Code,
    seal::EncryptionKey,
    standing::CredentialSummary,
    store::{AttemptPolicy, Completed, Completion, Credential, CredentialChange, SubjectStore as _},
};

use crate::{
    address_page::{PATH, Page},
    postbox::Postbox,
    site::{Client, KINDS, Kind, SECRET, Site, code_of},
    stores,
    world::{World, assert_says, client, subject},
};

const OWN: &str = "kim@own.example";
const OTHER: &str = "kim@other.example";
const COOL_DOWN: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn worlds_with(configure: impl Fn(StepUpBuilder, Code) -> StepUpBuilder + Copy) -> Vec<(World, Postbox)> {
    let postbox = Postbox::default();
    let worlds = World::on_every_store(|builder| {
        configure(builder, Code::new(postbox.clone()).users_add_addresses()).settings_required_aal(RequiredAal::Aal1)
    });
    worlds.into_iter().map(|world| (world, postbox.clone())).collect()
}

fn worlds() -> Vec<(World, Postbox)> {
    worlds_with(StepUpBuilder::factor)
}

async fn count(world: &World, name: &str) -> usize {
    world.store.credentials(&subject(name)).await.unwrap().len()
}

/// A code that is none of these.
fn another(codes: &[String]) -> String {
    let mut guesses = (0..).map(|number: u32| format!("{number:06}"));
    guesses.find(|guess| !codes.contains(guess)).unwrap()
}

async fn steps_up(user: &mut Client, postbox: &Postbox, address: &str) -> u16 {
    let flow = user.begin("login", "?aal=aal2").await;
    if flow.messages() != [1_010_025] {
        user.submit(&flow, &[("address", address)]).await;
    }
    let answer = user.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
    user.keep_token_of(&answer);
    answer.status.as_u16()
}

/// What Ory's endpoints say and take of it: nothing.
#[tokio::test]
async fn no_flow_shows_an_address_and_no_wire_form_adds_one() {
    for (world, postbox) in worlds() {
        let mut owner = world.a.browser("kim").await;
        let page = Page::asks(&mut owner, OWN).await;
        let shown = owner.begin("settings", "").await.view.to_string();
        assert!(!shown.contains("own.example") && !shown.contains("user_address"), "{shown}");
        let own = page.confirms(&mut owner, &postbox).await.ids()[0].clone();
        let flow = owner.begin("settings", "").await;
        let shown = flow.view.to_string();
        assert!(!shown.contains("own.example") && !shown.contains(&own), "{shown}");
        assert!(!flow.nodes().iter().any(|node| node.starts_with("code")), "{:?}", flow.nodes());
        for kind in KINDS {
            let mut user = Client { kind, ..owner.clone() };
            if kind == Kind::Native {
                user = Client { token: user.session_cookie().map(str::to_owned), cookies: BTreeMap::default(), ..user };
            }
            let flow = user.begin("settings", "").await;
            let before = (postbox.count(), world.known("kim").await.credentials);
            for fields in [
                &[("method", "code"), ("user_address", OTHER)][..],
                &[("user_address", OTHER)],
                &[("method", "code"), ("address", OTHER)],
                &[("method", "code"), ("user_address_code", &postbox.code())],
                &[("remove", &own)],
                &[("method", "code"), ("remove", &own)],
            ] {
                let answer = user.submit(&flow, fields).await;
                let told = if kind == Kind::Browser { user.read("settings", flow.id()).await } else { answer };
                assert_eq!(told.messages(), [4_010_004], "{fields:?}");
            }
            assert_eq!((postbox.count(), world.known("kim").await.credentials), before);
        }
        assert_eq!(Page::open(&mut owner).await.ids(), [own], "the honest twin");
    }
}

#[tokio::test]
async fn confirming_code_is_good_for_its_session_user_and_address_alone() {
    for (world, postbox) in worlds() {
        let mut kim = world.a.browser("kim").await;
        let mut second = world.a.browser("kim").await.at(&world.b);
        let mut lee = world.a.browser("lee").await;
        let page = Page::asks(&mut kim, OWN).await;
        let code = postbox.code();
        let typed = [("user_address_code", code.as_str()), ("confirm", "true")];
        // Of nobody who was not sent one, with the same address begun or without.
        for user in [&mut second, &mut lee] {
            assert!(Page::open(user).await.does(user, &typed).await.says("wrong or has expired"));
        }
        let theirs = Page::asks(&mut lee, OWN).await;
        if postbox.code() != code {
            assert!(theirs.does(&mut lee, &typed).await.says("wrong or has expired"));
        }
        assert_eq!((count(&world, "kim").await, count(&world, "lee").await), (0, 0));
        // Another address takes the place of the first: its code is not good for it, nor the new one for the first.
        let page = page.does(&mut kim, &[("user_address", OTHER)]).await;
        assert!(page.waits_for(OTHER), "{}", page.section());
        if postbox.code() != code {
            assert!(page.does(&mut kim, &typed).await.says("wrong or has expired"));
        }
        let page = page.confirms(&mut kim, &postbox).await;
        assert!(page.section().contains(OTHER) && !page.section().contains(OWN), "{}", page.section());
        // Used once, it adds nothing again.
        let page = page.does(&mut kim, &[("remove", &page.ids()[0])]).await;
        let page = page.confirms(&mut kim, &postbox).await;
        assert!(page.says("wrong or has expired") && page.ids().is_empty(), "{}", page.text);
        assert_eq!(count(&world, "kim").await, 0);
    }
}

#[tokio::test]
async fn codes_of_logins_add_nothing_and_codes_that_add_prove_nothing() {
    for (world, postbox) in worlds() {
        world.a.users.reach("kim", [Address::email(OTHER).verified(true)]);
        let mut kim = world.a.browser("kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let login = postbox.code();
        assert_eq!(postbox.last().to, OTHER, "the honest twin");
        // The session must be recent to add one, so another factor lifts it: the code stays open.
        world.a.enrol("kim").await;
        world.advance(COOL_DOWN);
        let totp = kim.begin("login", "?aal=aal2").await;
        kim.totp(&totp, &code_of(SECRET, world.a.seconds())).await;
        let page = Page::asks(&mut kim, OWN).await;
        let adding = postbox.code();
        if login == adding {
            continue;
        }
        let told = page.does(&mut kim, &[("user_address_code", &login)]).await;
        assert!(told.says("wrong or has expired") && told.ids().is_empty(), "{}", told.text);
        let again = kim.begin("login", "?aal=aal2&refresh=true").await;
        let mut program = crate::world::as_program(&kim);
        assert_says(&program.submit(&again, &[("method", "code"), ("code", &adding)]).await, 4_010_008);
        // Each is still good for its own.
        assert_eq!(page.confirms(&mut kim, &postbox).await.ids().len(), 1);
        let answer = crate::world::as_program(&kim).submit(&again, &[("method", "code"), ("code", &login)]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        drop(flow);
    }
}

/// Five tries a code, and the count of the factor, which logins have too.
#[tokio::test]
async fn guessing_at_a_confirming_code_is_stopped() {
    let patient = AttemptPolicy { free: 50, hard_stop: 60, ..AttemptPolicy::default() };
    for (world, postbox) in worlds_with(|builder, code| builder.attempts(patient).factor(code)) {
        let mut kim = world.a.browser("kim").await;
        let page = Page::asks(&mut kim, OWN).await;
        let wrong = another(&[postbox.code()]);
        for _ in 0..5 {
            assert!(page.does(&mut kim, &[("user_address_code", &wrong)]).await.says("wrong or has expired"));
        }
        let told = page.confirms(&mut kim, &postbox).await;
        assert!(told.says("tried too often") && told.waits_for(OWN), "{}", told.text);
        assert_eq!(count(&world, "kim").await, 0);
        world.advance(COOL_DOWN);
        let page = told.does(&mut kim, &[("resend", "true")]).await;
        assert_eq!(page.confirms(&mut kim, &postbox).await.ids().len(), 1, "the honest twin");
    }
    for (world, postbox) in worlds() {
        let mut kim = world.a.browser("kim").await;
        let mut page = Page::asks(&mut kim, OWN).await;
        let wrong = another(&[postbox.code()]);
        for number in 0..5 {
            // In ever new sessions, on both nodes.
            if number == 3 {
                kim = world.a.browser("kim").await.at(&world.b);
                page = Page::asks(&mut kim, OTHER).await;
            }
            page.does(&mut kim, &[("user_address_code", &wrong)]).await;
        }
        let told = page.confirms(&mut kim, &postbox).await;
        assert!(told.says("Too many attempts") && told.ids().is_empty(), "{}", told.text);
        // It keeps nobody from anything else, and ends.
        assert!(told.does(&mut kim, &[("cancel", "true")]).await.takes_one());
        world.advance(COOL_DOWN);
        let page = Page::asks(&mut kim, OTHER).await;
        assert_eq!(page.confirms(&mut kim, &postbox).await.ids().len(), 1);
    }
}

#[tokio::test]
async fn forms_of_addresses_take_the_token_of_their_session() {
    for (world, postbox) in worlds() {
        let mut kim = world.a.browser("kim").await;
        let page = Page::add(&mut kim, &postbox, OWN).await;
        let own = page.ids()[0].clone();
        let sent = postbox.count();
        let mut second = world.a.browser("kim").await;
        let (theirs, wire) = (Page::open(&mut second).await.csrf(), kim.begin("settings", "").await.csrf());
        let mut eve = world.a.browser("eve").await;
        let eves = Page::open(&mut eve).await.csrf();
        for fields in [[("remove", own.as_str())], [("user_address", OTHER)], [("cancel", "true")]] {
            for token in ["", "x", &theirs, &wire, &eves] {
                let fields = [fields[0], ("csrf_token", token)];
                assert!(kim.clone().post(&page.action(), &fields).await.location().contains("/error?id="), "{token}");
            }
            // A planted cookie with its own token; another site; a stranger; another user's flow.
            let mut planted = kim.clone();
            planted.cookies.extend(
                eve.cookies
                    .iter()
                    .filter(|(name, _)| name.contains("csrf"))
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            let with_eves = [fields[0], ("csrf_token", eves.as_str())];
            assert!(planted.post(&page.action(), &with_eves).await.location().contains("/error?id="));
            let csrf = page.csrf();
            let honest = [fields[0], ("csrf_token", csrf.as_str())];
            let (request, body) = kim.filled(&page.action(), &honest);
            let mut cross = request.body(Body::from(body)).unwrap();
            cross.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
            assert!(kim.clone().send(cross).await.location().contains("/error?id="));
            let refused = world.a.stranger(Kind::Browser).post(&page.action(), &honest).await;
            assert!(refused.location().contains("/self-service/login/browser"), "{refused:?}");
            let refused = eve.post(&page.action(), &with_eves).await;
            assert!(refused.location().contains("/error?id="), "{refused:?}");
        }
        let get = kim.request(HttpMethod::GET, &page.action()).body(Body::empty()).unwrap();
        assert_eq!(kim.clone().send(get).await.status, 405);
        let without_flow = kim.clone().post(PATH, &[("cancel", "true"), ("csrf_token", &page.csrf())]).await;
        assert!(without_flow.location().contains("/error?id="), "{without_flow:?}");
        assert_eq!((count(&world, "kim").await, postbox.count()), (1, sent));
        // Nobody removes what is another's.
        let lees = Page::add(&mut eve, &postbox, "eve@own.example").await;
        let page = Page::open(&mut kim).await.does(&mut kim, &[("remove", &lees.ids()[0])]).await;
        assert!(page.says("removed already"), "{}", page.text);
        assert_eq!(count(&world, "eve").await, 1);
        assert_eq!(page.does(&mut kim, &[("remove", &own)]).await.ids(), [""; 0], "the honest twin");
    }
}

/// Who has only the password adds nothing and removes nothing, also by a page from the time before there was a second factor.
#[tokio::test]
async fn aal1_session_touches_no_address() {
    for (world, postbox) in worlds() {
        let mut thief = world.a.browser("kim").await;
        let before = Page::asks(&mut thief, OTHER).await;
        let stolen = postbox.code();
        let mut owner = world.a.browser("kim").await;
        let page = Page::add(&mut owner, &postbox, OWN).await;
        let sent = postbox.count();
        let own = page.ids()[0].clone();
        for thief_on in [&world.a, &world.b] {
            let mut thief = thief.at(thief_on);
            for fields in [
                [("user_address_code", stolen.as_str())],
                [("user_address", "third@own.example")],
                [("resend", "true")],
                [("remove", own.as_str())],
            ] {
                let refused = before.send(&mut thief, &fields).await;
                let to = refused.location();
                assert!(to.contains("/self-service/login/browser?") && to.contains("aal=aal2"), "{refused:?}");
            }
            thief.assert_aal1(thief_on).await;
        }
        assert_eq!((count(&world, "kim").await, postbox.count()), (1, sent));
        // Nor does a proof of long ago do.
        world.advance(HOUR);
        let refused = Page::open(&mut owner).await.send(&mut owner, &[("remove", &own)]).await;
        assert!(refused.location().contains("aal=aal2&refresh=true"), "{refused:?}");
        let flow = owner.begin("login", "?aal=aal2&refresh=true").await;
        owner.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
        let page = Page::open(&mut owner).await;
        assert_eq!(page.does(&mut owner, &[("remove", &own)]).await.ids(), [""; 0], "the honest twin");
    }
}

/// Everywhere at once, and it stays so when the address comes back.
#[tokio::test]
async fn what_a_removed_address_has_proven_never_counts_again() {
    for (world, postbox) in worlds() {
        let mut owner = world.a.browser("kim").await;
        let page = Page::add(&mut owner, &postbox, OWN).await;
        let mut thieves = Vec::new();
        for kind in [Kind::Spa, Kind::Native] {
            world.advance(COOL_DOWN);
            let mut thief = client(&world.a, kind, "kim").await;
            assert_eq!(steps_up(&mut thief, &postbox, OWN).await, 200);
            assert!(thief.pays(&world.b).await);
            thieves.push(thief);
        }
        world.advance(COOL_DOWN);
        let flow = thieves[0].begin("login", "?aal=aal2&refresh=true").await;
        let open = postbox.code();
        page.does(&mut owner, &[("remove", &page.ids()[0])]).await;
        world.advance(Duration::from_secs(1));
        for thief in &mut thieves {
            for site in [&world.a, &world.b] {
                thief.assert_aal1(site).await;
            }
        }
        let late = thieves[0].submit(&flow, &[("method", "code"), ("code", &open)]).await;
        assert_ne!(late.status, 200, "{late:?}");
        world.advance(COOL_DOWN);
        Page::add(&mut owner, &postbox, OWN).await;
        world.advance(Duration::from_secs(1));
        for thief in &mut thieves {
            for site in [&world.a, &world.b] {
                thief.assert_aal1(site).await;
            }
        }
        let mut honest = world.a.spa("kim").await;
        world.advance(COOL_DOWN);
        assert_eq!(steps_up(&mut honest, &postbox, OWN).await, 200, "the honest twin");
    }
}

/// One mailbox is one factor, under whatever key it has its names, and whoever has brought it.
#[tokio::test]
async fn address_that_proved_the_first_factor_is_no_second_one() {
    let key = |id: &str| EncryptionKey::new(id, format!("seals in tests and nowhere else {id}")).unwrap();
    for store in stores::every() {
        let postbox = Postbox::default();
        let site = |keys: &[&str]| {
            let code = Code::new(postbox.clone()).users_add_addresses();
            Site::with(|builder| {
                let builder = keys.iter().fold(store.give_to(builder), |builder, id| builder.encryption_key(key(id)));
                builder.factor(code).settings_required_aal(RequiredAal::Aal1)
            })
        };
        let kim = subject("kim");
        let by_mail = async |site: &Site, address: Option<&str>| {
            let proof = Proof::new(Method::LinkRecovery, Aal::Aal1, site.clock.now());
            let id = address.map(|address| {
                site.step_up.address_id(&kim, &Destination::parse(Channel::Email, address).unwrap()).unwrap()
            });
            let proof = id.into_iter().fold(proof, Proof::with_address);
            let signed_in = site.step_up.sign_in_with(kim.clone(), vec![proof]).await.unwrap();
            let mut user = site.stranger(Kind::Browser);
            user.keep_cookie(signed_in.cookie().to_str().unwrap());
            user
        };
        let old = site(&["old"]);
        let mut user = by_mail(&old, Some(OWN)).await;
        let page = Page::open(&mut user).await.does(&mut user, &[("user_address", OWN)]).await;
        assert!(page.says("would prove nothing more") && postbox.count() == 0, "{}", page.section());
        let mut unsaid = by_mail(&old, None).await;
        let page = Page::open(&mut unsaid).await.does(&mut unsaid, &[("user_address", OTHER)]).await;
        assert!(page.says("would prove nothing more") && postbox.count() == 0, "{}", page.section());
        // By another one it can be added, and by the password it counts.
        Page::add(&mut user, &postbox, OTHER).await;
        assert!(user.pays(&old).await, "another mailbox is another factor");
        let before = user;
        for (number, keys) in [&["old"][..], &["new", "old"], &["newer", "new", "old"]].into_iter().enumerate() {
            let site = site(keys);
            site.clock.advance(COOL_DOWN * 4 * (u32::try_from(number).unwrap() + 1));
            assert!(before.at(&site).pays(&site).await, "{keys:?}");
            for address in [Some(OTHER), None] {
                let mut thief = by_mail(&site, address).await;
                assert!(!thief.pays(&site).await, "{keys:?}");
                assert_eq!(thief.get("/limits").await.status, 200, "nothing is enrolled that would count");
                let sent = postbox.count();
                let begun = thief.get("/self-service/login/browser?aal=aal2").await;
                assert!(begun.location().ends_with("/self-service/settings/browser"), "{begun:?}");
                assert_eq!(postbox.count(), sent, "{keys:?}");
            }
            let mut honest = site.spa("kim").await;
            assert_eq!(steps_up(&mut honest, &postbox, OTHER).await, 200, "{keys:?}");
            // In a session that begins by it now, what was proven with it before counts neither.
            let known = store.credentials(&kim).await.unwrap()[0].summary.id;
            let proofs = |id: CredentialId| {
                let name = Destination::parse(Channel::Email, OTHER).unwrap();
                let name = site.step_up.address_id(&kim, &name).unwrap();
                let first = Proof::new(Method::LinkRecovery, Aal::Aal1, site.clock.now()).with_address(name);
                vec![first, Proof::new(Method::Code, Aal::Aal2, site.clock.now()).with_credential(id)]
            };
            assert!(site.step_up.sign_in_with(kim.clone(), proofs(known)).await.is_err());
        }
        // Sealed anew, the old key may go.
        let (both, new) = (site(&["new", "old"]), site(&["new"]));
        assert!(Page::open(&mut new.browser("kim").await).await.section().contains("cannot be read"));
        assert_eq!(both.step_up.reseal(&kim).await.unwrap(), 1);
        let mut thief = by_mail(&new, Some(OTHER)).await;
        thief.assert_aal1(&new).await;
        assert_eq!(thief.get("/limits").await.status, 200);
        new.clock.advance(HOUR);
        assert_eq!(steps_up(&mut new.spa("kim").await, &postbox, OTHER).await, 200, "the honest twin");
    }
}

/// Neither another session nor a factor that comes and goes begins the count anew: strangers get no floods.
#[tokio::test]
async fn floods_to_new_addresses_are_bounded() {
    for (world, postbox) in worlds() {
        let before = postbox.count();
        for round in 0..8 {
            let site = if round % 2 == 0 { &world.a } else { &world.b };
            let mut kim = site.browser("kim").await;
            let page = Page::open(&mut kim).await;
            for number in 0..3 {
                page.does(&mut kim, &[("user_address", &format!("stranger{round}-{number}@own.example"))]).await;
            }
            // Binding and removing a factor ends the flows of the user.
            let secret = kim.enrol_totp(site).await;
            assert!(!secret.is_empty());
            let flow = kim.begin("settings", "").await;
            kim.submit(&flow, &[("totp_unlink", "true")]).await;
            assert_eq!(count(&world, "kim").await, 0);
            world.advance(COOL_DOWN);
        }
        assert_eq!(postbox.count() - before, 10, "ten in the hour");
        world.advance(HOUR);
        Page::asks(&mut world.a.browser("kim").await, OWN).await;
        assert_eq!(postbox.count() - before, 11, "the honest twin");
        // Of an account that is deleted nothing is left, and another one of that name begins anew.
        world.a.step_up.delete(&subject("kim")).await.unwrap();
        Page::asks(&mut world.a.browser("kim").await, OWN).await;
    }
}

/// A row that was copied to another user, changed, or written by hand is no address.
#[tokio::test]
async fn forged_rows_get_no_codes() {
    for (world, postbox) in worlds() {
        let mut kim = world.a.browser("kim").await;
        Page::add(&mut kim, &postbox, OWN).await;
        let [stored] = &world.store.credentials(&subject("kim")).await.unwrap()[..] else { panic!("one") };
        let (kim, lee) = (subject("kim"), subject("lee"));
        let of = |data: Vec<u8>, id: CredentialId| {
            let summary = CredentialSummary { id, method: Method::Code, aal: Aal::Aal2 };
            Credential::new(summary, world.a.clock.now()).with_data(data)
        };
        let name = Destination::parse(Channel::Email, "eve@evil.example").unwrap();
        let named = world.a.step_up.address_id(&lee, &name).unwrap();
        for forged in [
            of(stored.data.clone(), CredentialId::random()),
            of(b"email:eve@evil.example".to_vec(), CredentialId::random()),
            of(b"email:eve@evil.example".to_vec(), named),
            of(Vec::new(), CredentialId::random()),
        ] {
            let mut completion = Completion::new(lee.clone(), world.a.clock.now());
            completion.credentials.push(CredentialChange::Add(forged.clone()));
            assert_eq!(world.store.complete(&completion).await.unwrap(), Completed::Done);
            let sent = postbox.count();
            let mut thief = world.a.browser("lee").await;
            let flow = thief.begin("login", "?aal=aal2").await;
            for fields in [[("address", "eve@evil.example")], [("address", OWN)]] {
                thief.submit(&flow, &fields).await;
            }
            assert_eq!(postbox.count(), sent);
            thief.assert_aal1(&world.a).await;
            world.a.step_up.unbind(&lee, Method::Code).await.unwrap();
        }
        world.advance(COOL_DOWN);
        assert_eq!(steps_up(&mut world.a.spa("kim").await, &postbox, OWN).await, 200, "the honest twin");
        drop(kim);
    }
}

/// However many confirm at once, a user has no more addresses than they may, and of one code comes one.
#[tokio::test]
async fn addresses_stay_few_though_many_are_confirmed_at_once() {
    for (world, postbox) in worlds_with(|builder, code| builder.factor(code.addresses_per_user(1))) {
        for round in 0..4 {
            let name = format!("kim{round}");
            let (mut one, mut other) = (world.a.browser(&name).await, world.b.browser(&name).await);
            let first = Page::asks(&mut one, &format!("{name}@own.example")).await;
            let codes = [postbox.code()];
            let second = Page::asks(&mut other, &format!("{name}@other.example")).await;
            let typed = [postbox.code()];
            let (typed, codes) =
                ([("user_address_code", typed[0].as_str())], [("user_address_code", codes[0].as_str())]);
            tokio::join!(first.send(&mut one, &codes), second.send(&mut other, &typed));
            assert_eq!(count(&world, &name).await, 1, "more than one");
        }
    }
}

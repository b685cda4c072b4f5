//! Section 7 of the list of attacks: several requests at once.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet};
use tower_step_up::{
    StepUpBuilder,
    clock::Clock,
    store::{AttemptPolicy, Revocation},
};

use crate::{
    site::{Answer, Client, Kind, ORIGIN, OpenFlow},
    tokens::claims_of,
    world::{WRONG, World, assert_error, assert_one_passed, assert_says, csrf_of, staggered, subject},
};

fn worlds() -> Vec<World> {
    World::on_every_store(|builder| builder)
}

/// Each client submits its field to its flow, all at once.
async fn at_once(sent: Vec<(Client, Arc<OpenFlow>)>, fields: [(&'static str, String); 2]) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    // Else the first are done on a busy machine before the last begin.
    let start = Arc::new(Barrier::new(sent.len()));
    for (mut client, flow) in sent {
        let (fields, start) = (fields.clone(), Arc::clone(&start));
        tasks.spawn(async move {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            start.wait().await;
            client.submit(&flow, &fields).await
        });
    }
    tasks.join_all().await
}

fn totp(code: &str) -> [(&'static str, String); 2] {
    [("method", "totp".to_owned()), ("totp_code", code.to_owned())]
}

/// All 50 in one session and flow, or each in its own; on one node or alternating between two.
async fn fifty(world: &World, one_session: bool, split: bool) -> Vec<(Client, Arc<OpenFlow>)> {
    let mut first = world.a.spa("kim").await;
    let flow = Arc::new(first.begin("login", "?aal=aal2").await);
    let mut sent = vec![];
    for number in 0..50 {
        let site = if split && number % 2 == 1 { &world.b } else { &world.a };
        if one_session {
            sent.push((first.at(site), Arc::clone(&flow)));
        } else {
            let mut own = site.spa("kim").await;
            let flow = Arc::new(own.begin("login", "?aal=aal2").await);
            sent.push((own, flow));
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_parallel_submissions_give_one_upgrade() {
    // With the usual limit most are locked out; with a wide one all are looked at.
    for policy in [AttemptPolicy::default(), AttemptPolicy { free: 99, ..AttemptPolicy::default() }] {
        let roomy = |builder: StepUpBuilder| builder.attempts(policy).store_timeout(std::time::Duration::from_secs(60));
        for world in World::on_every_store(roomy) {
            let site = &world.a;
            site.enrol("kim").await;
            let mut owner = site.spa("kim").await;
            assert_eq!(owner.step_up(&site.code()).await.status, 200);
            let codes = owner.enrol_lookup().await;
            let mut number = 0;
            for (one_session, split) in [(true, false), (true, true), (false, true)] {
                for by_code in [true, false] {
                    // A recovery code burns the open window of the app, too.
                    world.advance(std::time::Duration::from_secs(90));
                    for method in [tower_step_up::Method::Totp, tower_step_up::Method::LookupSecret] {
                        site.step_up.unlock(&subject("kim"), method).await.unwrap();
                    }
                    let sent = fifty(&world, one_session, split).await;
                    let before = world.known("kim").await;
                    let fields = if by_code {
                        totp(&site.code())
                    } else {
                        number += 1;
                        [("method", "lookup_secret".to_owned()), ("lookup_secret", codes[number].clone())]
                    };
                    let answers = at_once(sent, fields).await;
                    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
                    // In one session all send the same form, so the losers get the answer of the one that counted.
                    assert!(if one_session { !won.is_empty() } else { won.len() == 1 }, "{lost:?}");
                    for answer in lost {
                        let gone = ["session_aal1_required", "security_identity_mismatch"];
                        let right = match answer.status.as_u16() {
                            _ if answer.is_locked() => true,
                            400 => {
                                let ids = [4_000_001, 4_000_008, 4_000_012, 4_010_007];
                                answer.messages().iter().all(|id| ids.contains(id))
                            }
                            401 | 403 => gone.contains(&answer.error_id().as_str()),
                            _ => false,
                        };
                        assert!(right && answer.headers.get("set-cookie").is_none(), "{answer:?}");
                    }
                    let after = world.known("kim").await;
                    assert_eq!(after.sessions.len(), before.sessions.len(), "one in place of one");
                    let stepped_up = |known: &crate::world::Known| {
                        known.sessions.iter().filter(|session| session.proofs().len() > 1).count()
                    };
                    assert_eq!(stepped_up(&after), stepped_up(&before) + 1);
                    let used = |known: &crate::world::Known| {
                        let secrets = known.credentials.iter().flat_map(|credential| &credential.secrets);
                        secrets.filter(|secret| secret.used_at.is_some()).count()
                    };
                    assert_eq!(used(&after), used(&before) + usize::from(!by_code));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_guesses_cannot_beat_the_limit() {
    let patient = |builder: StepUpBuilder| builder.store_timeout(std::time::Duration::from_secs(60));
    for world in World::on_every_store(patient) {
        let site = &world.a;
        site.enrol("kim").await;
        let mut sent = fifty(&world, true, true).await;
        for _ in 0..2 {
            sent.extend(sent.clone());
        }
        let before = world.known("kim").await;
        let answers = at_once(sent, totp(WRONG)).await;
        assert_eq!(answers.len(), 200);
        let (locked, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_locked());
        let evaluated = others.iter().filter(|answer| answer.status == 400).count();
        assert_eq!((evaluated, locked.len()), (5, 195));
        assert_eq!(world.known("kim").await.credentials, before.credentials);
        let code = world.next_code();
        assert_eq!(site.spa("kim").await.step_up(&code).await.status, 200);
    }
}

#[tokio::test]
async fn logout_wins_over_a_step_up_in_flight() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for ending in ["logout", "api", "admin", "others", "one"] {
            for first in ["ending", "step-up"] {
                let mut kim = site.spa("kim").await;
                let mut keeper = site.spa("kim").await;
                assert_eq!(keeper.step_up(&world.next_code()).await.status, 200);
                let flow = kim.begin("login", "?aal=aal2").await;
                let code = world.next_code();
                let logout = kim.get("/self-service/logout/browser").await.json();
                let token = kim.session_cookie().unwrap().to_owned();
                let mut other = kim.clone();
                let end = async {
                    match ending {
                        "logout" => {
                            let answer = other.get(logout["logout_url"].as_str().unwrap()).await;
                            assert_eq!(answer.status, 204);
                        }
                        "api" => {
                            let body = format!(r#"{{"session_token":"{token}"}}"#);
                            let answer = site.stranger(Kind::Native).delete("/self-service/logout/api", &body).await;
                            assert_eq!(answer.status, 204);
                        }
                        "others" => assert_eq!(keeper.delete("/sessions", "").await.status, 200),
                        "one" => {
                            let id = claims_of(&token)["sid"].as_str().unwrap().to_owned();
                            assert_eq!(keeper.delete(&format!("/sessions/{id}"), "").await.status, 204);
                        }
                        _ => {
                            let which = Revocation::All(site.clock.now());
                            site.step_up.revoke(&subject("kim"), which).await.unwrap();
                        }
                    }
                };
                if first == "ending" {
                    let gate = world.store.hold("complete");
                    let (answer, ()) = tokio::join!(kim.totp(&flow, &code), async {
                        gate.reached().await;
                        end.await;
                        gate.open();
                    });
                    assert_error(&answer, 401, "session_aal1_required");
                    assert!(answer.headers.get("set-cookie").is_none(), "{answer:?}");
                } else {
                    let gate = world.store.hold("revoke");
                    let step = async {
                        gate.reached().await;
                        let answer = kim.totp(&flow, &code).await;
                        assert_eq!(answer.status, 200);
                        gate.open();
                    };
                    tokio::join!(end, step);
                }
                kim.assert_dead(site).await;
                kim.assert_dead(&world.b).await;
                site.step_up.unlock(&subject("kim"), tower_step_up::Method::Totp).await.unwrap();
            }
        }
        // At each moment of a submission.
        world.store.yields();
        for everything in [true, false] {
            let (mut ended, mut steps) = (false, 0);
            while !ended {
                let (mut kim, mut keeper) = (site.spa("kim").await, site.spa("kim").await);
                assert_eq!(keeper.step_up(&world.next_code()).await.status, 200);
                let flow = kim.begin("login", "?aal=aal2").await;
                let code = world.next_code();
                let end = async {
                    if everything {
                        let which = Revocation::All(site.clock.now());
                        site.step_up.revoke(&subject("kim"), which).await.unwrap();
                    } else {
                        assert_eq!(keeper.delete("/sessions", "").await.status, 200);
                    }
                };
                (_, ended) = staggered(steps, kim.totp(&flow, &code), end).await;
                kim.assert_dead(site).await;
                steps += 1;
                site.step_up.unlock(&subject("kim"), tower_step_up::Method::Totp).await.unwrap();
            }
            assert!(steps > 5, "{steps}");
        }
        world.store.works();
        let code = world.next_code();
        assert_eq!(site.spa("kim").await.step_up(&code).await.status, 200, "the honest twin");
    }
}

/// The browser of the tabs, one cookie jar for all.
fn share(to: &mut Client, from: &Client) {
    to.cookies = from.cookies.clone();
}

async fn open_tab(jar: &mut Client, query: &str) -> (OpenFlow, String) {
    let flow = jar.begin("login", query).await;
    let target = flow.view["return_to"].as_str().unwrap().to_owned();
    (flow, target)
}

#[tokio::test]
async fn two_tabs_do_not_mix() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        // In turn: both tabs' flows stay good through the other's rotation, each with its own target.
        let mut kim = site.spa("kim").await;
        let first = open_tab(&mut kim, "?aal=aal2&return_to=/first").await;
        let second = open_tab(&mut kim, "?aal=aal2&refresh=true&return_to=/second").await;
        for (flow, target) in [&first, &second] {
            let answer = kim.totp(flow, &world.next_code()).await;
            assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], target.as_str());
            assert!(kim.pays(site).await);
        }
        assert_eq!(second.1, format!("{ORIGIN}/second"));
        assert_eq!(world.known("kim").await.sessions.len(), 1);

        // At once: one of them wins, and the other's answer takes nothing away.
        let mut kim = site.spa("kim").await;
        let first = open_tab(&mut kim, "?aal=aal2&refresh=true&return_to=/first").await;
        let second = open_tab(&mut kim, "?aal=aal2&refresh=true&return_to=/second").await;
        let (mut tab_one, mut tab_two) = (kim.clone(), kim.clone());
        let code = world.next_code();
        let gate = world.store.hold("complete");
        let (late, early) = tokio::join!(tab_one.totp(&first.0, &code), async {
            gate.reached().await;
            let early = tab_two.totp(&second.0, &code).await;
            gate.open();
            early
        });
        assert_eq!(early.status, 200);
        assert_error(&late, 401, "session_aal1_required");
        assert!(late.headers.get("set-cookie").is_none(), "it neither deletes nor replaces the new cookie");
        share(&mut tab_one, &tab_two);
        assert!(tab_one.pays(site).await);
        // Other answers to the old cookie are as harmless.
        for path in ["/account", "/payments", "/sessions/whoami", "/self-service/login/browser?aal=aal2"] {
            let answer = kim.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.headers.get("set-cookie")), (401, None));
        }
        // No loop: the first tab's flow goes on with the new cookie.
        let answer = tab_one.totp(&first.0, &world.next_code()).await;
        assert_eq!(answer.json()["continue_with"][0]["redirect_browser_to"], first.1.as_str());
        assert_eq!(world.known("kim").await.sessions.len(), 2, "of the two sign-ins, one each");

        // Quite at once, each with a code of its own.
        let mut kim = site.spa("kim").await;
        let first = open_tab(&mut kim, "?aal=aal2&refresh=true&return_to=/first").await;
        let second = open_tab(&mut kim, "?aal=aal2&refresh=true&return_to=/second").await;
        let (mut tab_one, mut tab_two) = (kim.clone(), kim.clone());
        let (older, newer) = (world.next_code(), world.next_code());
        let answers = tokio::join!(tab_one.totp(&first.0, &older), tab_two.totp(&second.0, &newer));
        assert_one_passed(&answers.0, &answers.1);
        assert_eq!(world.known("kim").await.sessions.len(), 3, "one more sign-in, one more session");
    }
}

#[tokio::test]
async fn password_change_voids_ceremonies_and_sessions() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        let mut thief = site.spa("kim").await;
        let mut others = [site.native("kim").await, site.spa("kim").await];
        let code = world.next_code();
        assert_eq!(others[0].step_up(&code).await.status, 200);
        let flow = thief.begin("login", "?aal=aal2").await;
        thief.assert_aal1(&world.b).await;
        let before = world.known("kim").await.steps;

        // What the application does when a password was changed.
        world.advance(std::time::Duration::from_secs(30));
        site.step_up.revoke(&subject("kim"), Revocation::All(site.clock.now())).await.unwrap();
        let mut kim = site.spa("kim").await;

        let code = site.code();
        assert_error(&thief.totp(&flow, &code).await, 401, "session_aal1_required");
        world.b.clock.advance(std::time::Duration::from_secs(1));
        for client in others.iter_mut().chain([&mut thief]) {
            client.assert_dead(&world.a).await;
            client.assert_dead(&world.b).await;
        }
        // The flow is nobody's now, not even the owner's.
        kim.cookies.extend(thief.cookies.clone().into_iter().filter(|(name, _)| name.contains("csrf")));
        assert_error(&kim.totp(&flow, &code).await, 403, "security_identity_mismatch");
        assert_eq!(world.known("kim").await.steps, before, "the code was not used up");
        let mut kim = site.spa("kim").await;
        let own = kim.begin("login", "?aal=aal2").await;
        assert_says(&kim.totp(&own, WRONG).await, 4_000_008);
        assert_eq!(kim.totp(&own, &code).await.status, 200);
    }
}

const SESSIONS: &str = "/self-service/ui/sessions";

/// Ends all other sessions, as a program or on the page. Returns whether it was done.
async fn end_others(client: &mut Client, csrf: Option<&str>) -> bool {
    match csrf {
        None => client.delete("/sessions", "").await.status == 200,
        Some(csrf) => {
            let answer = client.post(SESSIONS, &[("csrf_token", csrf), ("session", "others")]).await;
            answer.status == 303 && answer.location().ends_with(SESSIONS)
        }
    }
}

/// 33: somebody throws everybody else out, and the own session becomes another one at the same moment. It stays, and nobody else does.
#[tokio::test]
async fn ending_the_others_keeps_the_own_session_though_it_is_replaced_meanwhile() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for on_page in [false, true] {
            // The one that was looked at first, and then at each moment.
            let (mut steps, mut late) = (None, false);
            while !late {
                let (mut kim, mut thief) = (site.spa("kim").await, site.spa("kim").await);
                assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
                let csrf = csrf_of(&kim.get(SESSIONS).await.text);
                let csrf = on_page.then_some(csrf.as_str());
                let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
                let code = world.next_code();
                let mut tab = kim.clone();
                let mut done = false;
                let answer = if let Some(steps) = steps {
                    world.store.yields();
                    let end = async { done = end_others(&mut tab, csrf).await };
                    let (answer, ended) = staggered(steps, kim.totp(&flow, &code), end).await;
                    late = ended;
                    world.store.works();
                    answer
                } else {
                    let gate = world.store.hold("revoke");
                    let step = async {
                        gate.reached().await;
                        let answer = kim.totp(&flow, &code).await;
                        gate.open();
                        answer
                    };
                    let (ended, answer) = tokio::join!(end_others(&mut tab, csrf), step);
                    assert!(ended);
                    done = ended;
                    answer
                };
                assert_eq!(answer.status, 200, "{answer:?}");
                for site in [&world.a, &world.b] {
                    assert!(kim.pays(site).await, "the own session ended, {steps:?}");
                }
                // With the old cookie, nothing is done, and the answer says so.
                if done {
                    thief.assert_dead(site).await;
                    assert_eq!(world.known("kim").await.sessions.len(), 1);
                } else {
                    assert!(late || steps.is_some());
                    site.step_up.sign_out(&world.known("kim").await.sessions[0]).await.unwrap();
                    site.step_up.revoke_all(&subject("kim")).await.unwrap();
                    world.advance(std::time::Duration::from_millis(1));
                }
                steps = Some(steps.map_or(0, |steps| steps + 1));
            }
            assert!(steps > Some(5), "{steps:?}");
        }
    }
}

/// 33: a session that is listed, replaced, and then ended by the id that was listed. Whoever has it cannot keep it by stepping up.
#[tokio::test]
async fn ending_one_session_ends_the_one_that_has_replaced_it() {
    for world in worlds() {
        let site = &world.a;
        site.enrol("kim").await;
        for (on_page, during) in [(false, false), (false, true), (true, false), (true, true)] {
            let (mut kim, mut thief) = (site.spa("kim").await, site.spa("kim").await);
            let mut bystander = site.spa("kim").await;
            assert_eq!(kim.step_up(&world.next_code()).await.status, 200);
            let csrf = csrf_of(&kim.get(SESSIONS).await.text);
            let listed = claims_of(thief.session_cookie().unwrap())["sid"].as_str().unwrap().to_owned();
            let end = async {
                if on_page {
                    let fields = [("csrf_token", csrf.as_str()), ("session", &listed)];
                    assert!(kim.post(SESSIONS, &fields).await.location().ends_with(SESSIONS));
                } else {
                    assert_eq!(kim.delete(&format!("/sessions/{listed}"), "").await.status, 204);
                }
            };
            if during {
                let gate = world.store.hold("revoke");
                let step = async {
                    gate.reached().await;
                    assert_eq!(thief.step_up(&world.next_code()).await.status, 200);
                    gate.open();
                };
                tokio::join!(end, step);
            } else {
                assert_eq!(thief.step_up(&world.next_code()).await.status, 200);
                assert_eq!(thief.enrol_lookup().await.len(), 12);
                end.await;
            }
            thief.assert_dead(site).await;
            thief.assert_dead(&world.b).await;
            assert!(kim.pays(site).await, "the honest twin");
            bystander.assert_aal1(site).await;
            // The own session has an id that is as old: to end it is to sign out, which is not asked here.
            let own = claims_of(kim.session_cookie().unwrap())["sid"].as_str().unwrap().to_owned();
            let flow = kim.begin("login", "?aal=aal2&refresh=true").await;
            assert_eq!(kim.totp(&flow, &world.next_code()).await.status, 200);
            let answer = kim.delete(&format!("/sessions/{own}"), "").await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(kim.pays(site).await);
            site.step_up.revoke_all(&subject("kim")).await.unwrap();
            world.advance(std::time::Duration::from_millis(1));
        }
    }
}

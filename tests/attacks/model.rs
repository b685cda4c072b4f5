//! Random walks of two users with two sessions each, against a plain model of who may do what. After each step no request may pass that
//! the model forbids, and none be refused that it allows.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tower_step_up::{clock::Clock, store::Revocation};

use crate::{
    site::{Client, Kind, code_of},
    world::{World, secret_of, subject},
};

const NAMES: [&str; 2] = ["kim", "lee"];
const DAY: u64 = 86_400;
const PRIVILEGED: u64 = 3600;
const RECENT: u64 = 300;

#[derive(Clone, Copy, Debug)]
enum Step {
    SignIn(usize, usize),
    /// Proves the second factor, anew if need be.
    Prove(usize, usize),
    Guess(usize, usize),
    Enrol(usize, usize),
    Remove(usize, usize),
    RevokeOthers(usize, usize),
    RevokeAll(usize),
    Logout(usize, usize),
    Pass(u64),
}

/// A session that has begun and was not ended.
#[derive(Clone, Copy, Debug)]
struct Alive {
    password_at: u64,
    /// When, and with which of the user's factors over time.
    second: Option<(u64, usize)>,
    ends: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Person {
    sessions: [Option<Alive>; 2],
    factor: Option<usize>,
    /// How many factors there have been.
    factors: usize,
}

#[derive(Clone, Debug, Default)]
struct Model {
    now: u64,
    people: [Person; 2],
}

impl Model {
    fn session(&self, who: usize, which: usize) -> Option<Alive> {
        self.people[who].sessions[which].filter(|alive| self.now < alive.ends)
    }

    /// When the second factor that still exists was proven.
    fn second_at(&self, who: usize, which: usize) -> Option<u64> {
        let (at, factor) = self.session(who, which)?.second?;
        (self.people[who].factor == Some(factor)).then_some(at)
    }

    fn may_enrol(&self, who: usize, which: usize) -> bool {
        let fresh = |alive: Alive| self.now < alive.password_at + PRIVILEGED;
        self.people[who].factor.is_none() && self.session(who, which).is_some_and(fresh)
    }

    fn may_remove(&self, who: usize, which: usize) -> bool {
        self.second_at(who, which).is_some_and(|at| self.now < at + PRIVILEGED)
    }

    /// A thief of a first factor must not sign the owner out.
    fn may_end_others(&self, who: usize, which: usize) -> bool {
        self.session(who, which).is_some() && (self.people[who].factor.is_none() || self.may_remove(who, which))
    }

    /// Which of the application's pages are open.
    fn open(&self, who: usize, which: usize) -> [bool; 4] {
        let alive = self.session(who, which).is_some();
        let second = self.second_at(who, which);
        // The greatest age is one that is still allowed.
        let recent = second.is_some_and(|at| self.now <= at + RECENT);
        [alive, second.is_some(), recent, alive && (second.is_some() || self.people[who].factor.is_none())]
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let session = || (0..2usize, 0..2usize);
        prop_oneof![
            4 => session().prop_map(|(who, which)| Step::SignIn(who, which)),
            4 => session().prop_map(|(who, which)| Step::Prove(who, which)),
            1 => session().prop_map(|(who, which)| Step::Guess(who, which)),
            4 => session().prop_map(|(who, which)| Step::Enrol(who, which)),
            2 => session().prop_map(|(who, which)| Step::Remove(who, which)),
            1 => session().prop_map(|(who, which)| Step::RevokeOthers(who, which)),
            1 => (0..2usize).prop_map(Step::RevokeAll),
            1 => session().prop_map(|(who, which)| Step::Logout(who, which)),
            3 => prop_oneof![Just(1), Just(RECENT - 30), Just(RECENT), Just(PRIVILEGED), Just(DAY / 2)].prop_map(Step::Pass),
        ]
        .boxed()
    }

    fn apply(mut model: Self, step: &Step) -> Self {
        match *step {
            Step::SignIn(who, which) => {
                let alive = Alive { password_at: model.now, second: None, ends: model.now + DAY };
                model.people[who].sessions[which] = Some(alive);
            }
            Step::Prove(who, which) => {
                model.now += 30;
                let factor = model.people[who].factor;
                if let (Some(mut alive), Some(factor)) = (model.session(who, which), factor) {
                    alive.second = Some((model.now, factor));
                    alive.ends = model.now + DAY;
                    model.people[who].sessions[which] = Some(alive);
                }
            }
            Step::Guess(..) => {}
            Step::Enrol(who, which) => {
                if model.may_enrol(who, which) {
                    let now = model.now;
                    let person = &mut model.people[who];
                    person.factors += 1;
                    person.factor = Some(person.factors);
                    let second = Some((now, person.factors));
                    person.sessions[which] =
                        person.sessions[which].map(|alive| Alive { second, ends: now + DAY, ..alive });
                }
            }
            Step::Remove(who, which) => {
                if model.may_remove(who, which) {
                    model.people[who].factor = None;
                }
            }
            Step::RevokeOthers(who, which) => {
                if model.may_end_others(who, which) {
                    model.people[who].sessions[1 - which] = None;
                }
            }
            Step::RevokeAll(who) => model.people[who].sessions = [None; 2],
            Step::Logout(who, which) => model.people[who].sessions[which] = None,
            Step::Pass(seconds) => model.now += seconds,
        }
        model
    }
}

/// The real thing.
struct System {
    runtime: Arc<tokio::runtime::Runtime>,
    world: World,
    clients: [[Client; 2]; 2],
    secrets: [String; 2],
}

impl System {
    async fn step(&mut self, step: Step) {
        let site = &self.world.a;
        let lift = async |who: usize| {
            site.step_up.unlock(&subject(NAMES[who]), tower_step_up::Method::Totp).await.unwrap();
        };
        match step {
            Step::SignIn(who, which) => self.clients[who][which] = site.spa(NAMES[who]).await,
            Step::Prove(who, which) => {
                self.world.advance(Duration::from_secs(30));
                let code = code_of(&self.secrets[who], site.seconds());
                let client = &mut self.clients[who][which];
                let begun = client.get("/self-service/login/browser?aal=aal2&refresh=true").await;
                if begun.status == 200 {
                    let flow = client.begin("login", "?aal=aal2&refresh=true").await;
                    client.totp(&flow, &code).await;
                    lift(who).await;
                }
            }
            Step::Guess(who, which) => {
                let code = code_of(&self.secrets[1 - who], site.seconds());
                let client = &mut self.clients[who][which];
                if client.get("/self-service/login/browser?aal=aal2&refresh=true").await.status == 200 {
                    let flow = client.begin("login", "?aal=aal2&refresh=true").await;
                    assert_ne!(client.totp(&flow, &code).await.status, 200, "somebody else's code");
                    lift(who).await;
                }
            }
            Step::Enrol(who, which) => {
                let client = &mut self.clients[who][which];
                let begun = client.get("/self-service/settings/browser").await;
                if begun.status == 200 && begun.text.contains("totp_secret_key") {
                    let flow = client.begin("settings", "").await;
                    let secret = secret_of(&flow.view);
                    if client.totp(&flow, &code_of(&secret, site.seconds())).await.status == 200 {
                        self.secrets[who] = secret;
                    }
                }
            }
            Step::Remove(who, which) => {
                let client = &mut self.clients[who][which];
                if client.get("/self-service/settings/browser").await.status == 200 {
                    let flow = client.begin("settings", "").await;
                    client.submit(&flow, &[("totp_unlink", "true")]).await;
                }
            }
            Step::RevokeOthers(who, which) => {
                self.clients[who][which].delete("/sessions", "").await;
            }
            Step::RevokeAll(who) => {
                let which = Revocation::All(site.clock.now());
                site.step_up.revoke(&subject(NAMES[who]), which).await.unwrap();
            }
            Step::Logout(who, which) => {
                let client = &mut self.clients[who][which];
                let copy = client.clone();
                let begun = client.get("/self-service/logout/browser").await;
                if begun.status == 200 {
                    client.get(begun.json()["logout_url"].as_str().unwrap()).await;
                }
                // What a thief would have kept.
                *client = copy;
            }
            Step::Pass(seconds) => self.world.advance(Duration::from_secs(seconds)),
        }
    }

    async fn open(&self, who: usize, which: usize) -> [bool; 4] {
        let mut open = [false; 4];
        for (path, open) in ["/account", "/payments", "/transfer", "/limits"].into_iter().zip(&mut open) {
            *open = self.clients[who][which].clone().get(path).await.status == 200;
        }
        open
    }
}

impl StateMachineTest for System {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World::new();
        let client = || world.a.stranger(Kind::Spa);
        let clients = [[client(), client()], [client(), client()]];
        // Nobody's, until one is enrolled.
        let secrets = ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"].map(str::to_owned);
        Self { runtime: Arc::new(runtime), world, clients, secrets }
    }

    fn apply(mut system: Self, _: &Model, step: Step) -> Self {
        let runtime = Arc::clone(&system.runtime);
        runtime.block_on(system.step(step));
        system
    }

    fn check_invariants(system: &Self, model: &Model) {
        for (who, name) in NAMES.into_iter().enumerate() {
            for which in 0..2 {
                let open = system.runtime.block_on(system.open(who, which));
                assert_eq!(open, model.open(who, which), "{name} {which} in {model:?}");
            }
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_walk_is_as_the_model_says(sequential 10..40 => System);
}

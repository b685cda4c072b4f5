//! Any order of logins, logouts, changes, step-ups, thefts and slow requests, beside a model that is a few lines long.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::{client::Browser, common::COOKIE, host::Record, site::Site};

const USERS: [&str; 2] = ["kim", "lee"];

#[derive(Clone, Debug)]
enum Step {
    LogIn(usize, usize),
    LogOut(usize),
    Become(usize, usize),
    ChangePassword(usize),
    Cart(usize),
    ProveSecond(usize),
    /// The host's cookie of one browser, and that alone, comes to another.
    Steal(usize, usize),
    /// All cookies.
    StealAll(usize, usize),
    /// A slow request loads the record of this browser..
    Load(usize),
    /// ..and saves it.
    Save,
    /// Both, with this in between.
    Over(usize, Box<Step>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (browser, user) = (0..2usize, 0..2usize);
    let ends = prop_oneof![
        browser.clone().prop_map(Step::LogOut),
        browser.clone().prop_map(Step::ChangePassword),
        (browser.clone(), user.clone()).prop_map(|(browser, user)| Step::Become(browser, user)),
        browser.clone().prop_map(Step::ProveSecond),
    ];
    prop_oneof![
        3 => (browser.clone(), ends).prop_map(|(browser, step)| Step::Over(browser, Box::new(step))),
        3 => (browser.clone(), user.clone()).prop_map(|(browser, user)| Step::LogIn(browser, user)),
        1 => browser.clone().prop_map(Step::LogOut),
        1 => (browser.clone(), user).prop_map(|(browser, user)| Step::Become(browser, user)),
        1 => browser.clone().prop_map(Step::ChangePassword),
        1 => browser.clone().prop_map(Step::Cart),
        4 => browser.clone().prop_map(Step::ProveSecond),
        1 => (browser.clone(), browser.clone()).prop_map(|(from, to)| Step::Steal(from, to)),
        2 => (browser.clone(), browser.clone()).prop_map(|(from, to)| Step::StealAll(from, to)),
        2 => browser.prop_map(Step::Load),
        2 => Just(Step::Save),
    ]
}

/// A login, until something ends it. `None`: nobody.
type Login = Option<(usize, u32)>;

#[derive(Default)]
struct Model {
    /// Whether the host tells at once who is signed in.
    tells: bool,
    logins: u32,
    /// By the id of the host's session.
    sessions: BTreeMap<String, Login>,
    loaded: Option<(String, Record, Login)>,
    /// The login that each token was made in.
    tokens: BTreeMap<String, u32>,
    /// The tokens that count.
    alive: BTreeSet<String>,
}

impl Model {
    fn login_of(&self, browser: &Browser) -> Login {
        self.sessions.get(browser.cookies.get(crate::host::COOKIE)?).copied().flatten()
    }

    fn end(&mut self, login: u32) {
        self.alive.retain(|token| self.tokens[token] != login);
    }

    fn is_stepped_up(&self, browser: &Browser) -> bool {
        let Some((_, login)) = self.login_of(browser) else { return false };
        browser.cookies.get(COOKIE).is_some_and(|token| self.alive.contains(token) && self.tokens[token] == login)
    }

    /// What the host's session of this browser is from now on, and what ended with that.
    fn becomes(&mut self, browser: &Browser, before: Option<&String>, login: Login) {
        let was = before.and_then(|id| self.sessions.remove(id)).flatten();
        if let Some((_, old)) = was.filter(|was| Some(*was) != login) {
            self.end(old);
        }
        if let Some(id) = browser.cookies.get(crate::host::COOKIE) {
            self.sessions.insert(id.clone(), login);
        }
    }

    fn new_login(&mut self, user: usize) -> (usize, u32) {
        self.logins += 1;
        (user, self.logins)
    }
}

async fn take(site: &Site, model: &mut Model, browsers: &mut [Browser], step: Step) {
    match step {
        Step::LogIn(at, user) | Step::Become(at, user) => {
            let way = if matches!(step, Step::LogIn(..)) { "login" } else { "become" };
            let was = model.login_of(&browsers[at]);
            let browser = &mut browsers[at];
            let presented = browser.cookies.get(COOKIE).cloned();
            let before = browser.cookies.get(crate::host::COOKIE).cloned();
            // A change of the user alone begins no session where there is none.
            if way == "become" && was.is_none() {
                return;
            }
            assert_eq!(browser.post(&site.app, &format!("/{way}/{}", USERS[user])).await.status, 200);
            let login = match was {
                Some((same, login)) if same == user => Some((user, login)),
                _ => Some(model.new_login(user)),
            };
            model.becomes(browser, before.as_ref(), login);
            end_presented(model, presented, login);
        }
        Step::LogOut(at) => {
            let was = model.login_of(&browsers[at]);
            let browser = &mut browsers[at];
            let presented = browser.cookies.get(COOKIE).cloned();
            let before = browser.cookies.remove(crate::host::COOKIE);
            browser.cookies.extend(before.clone().map(|id| (crate::host::COOKIE.to_owned(), id)));
            assert_eq!(browser.post(&site.app, "/logout").await.status, 200);
            browser.cookies.remove(crate::host::COOKIE);
            if was.is_some() && model.tells {
                model.becomes(browser, before.as_ref(), None);
            } else if let Some(before) = before {
                // Nothing is left that says whose it was, but perhaps our token.
                model.sessions.remove(&before);
            }
            end_presented(model, presented, None);
        }
        Step::ChangePassword(at) => {
            let was = model.login_of(&browsers[at]);
            let browser = &mut browsers[at];
            let Some((user, _)) = was else { return };
            let before = browser.cookies.get(crate::host::COOKIE).cloned();
            let changes = site.records.get(before.as_ref().unwrap()).unwrap().password != "new";
            let presented = browser.cookies.get(COOKIE).cloned();
            assert_eq!(browser.post(&site.app, "/password").await.status, 200);
            let login = if changes { Some(model.new_login(user)) } else { was };
            model.becomes(browser, before.as_ref(), login);
            end_presented(model, presented, login);
        }
        Step::Cart(at) => {
            let was = model.login_of(&browsers[at]);
            let browser = &mut browsers[at];
            let presented = browser.cookies.get(COOKIE).cloned();
            assert_eq!(browser.post(&site.app, "/cart").await.status, 200);
            let id = browser.host_id();
            model.sessions.insert(id, was);
            end_presented(model, presented, was);
        }
        Step::ProveSecond(at) => {
            let Some((_, login)) = model.login_of(&browsers[at]) else { return };
            if model.is_stepped_up(&browsers[at]) {
                return;
            }
            let browser = &mut browsers[at];
            let answer = site.step_up(browser).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            model.end(login);
            let token = browser.cookies[COOKIE].clone();
            model.alive.insert(token.clone());
            model.tokens.insert(token, login);
        }
        Step::Steal(from, to) => {
            if from != to
                && let Some(id) = browsers[from].cookies.get(crate::host::COOKIE).cloned()
            {
                browsers[to].cookies.insert(crate::host::COOKIE.to_owned(), id);
            }
        }
        Step::StealAll(from, to) => browsers[to].cookies = browsers[from].cookies.clone(),
        Step::Load(at) => {
            let id = browsers[at].cookies.get(crate::host::COOKIE);
            model.loaded =
                id.and_then(|id| Some((id.clone(), site.records.get(id)?, model.sessions.get(id).copied().flatten())));
        }
        Step::Over(at, step) => {
            for step in [Step::Load(at), *step, Step::Save] {
                Box::pin(take(site, model, browsers, step)).await;
            }
        }
        Step::Save => {
            if let Some((id, record, login)) = model.loaded.take() {
                site.records.put(&id, record);
                model.sessions.insert(id, login);
            }
        }
    }
}

/// A token that is sent to where the session changes, and is of another login, ends with what the session was.
fn end_presented(model: &mut Model, presented: Option<String>, login: Login) {
    let of = presented.and_then(|token| model.tokens.get(&token).copied());
    if let Some(of) = of.filter(|of| login.map(|(_, login)| login) != Some(*of)) {
        model.end(of);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_stepped_up_but_who_the_model_says(
        tells in any::<bool>(),
        steps in prop::collection::vec(any_step(), 1..24),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let site = Site::with(tells, |builder| builder);
            for user in USERS {
                site.enrol(user).await;
            }
            let (mut model, mut browsers) = (Model { tells, ..Model::default() }, vec![Browser::default(); 2]);
            for step in steps {
                take(&site, &mut model, &mut browsers, step.clone()).await;
                for (position, browser) in browsers.iter().enumerate() {
                    let mut browser = browser.clone();
                    let seen = browser.get(&site.app, "/me").await;
                    let expected = model.login_of(&browser).map(|(user, _)| USERS[user]);
                    let user = (seen.status == 200).then(|| String::from_utf8(seen.body.to_vec()).unwrap());
                    assert_eq!(user.as_deref(), expected, "browser {position} after {step:?}");
                    let passes = browser.get(&site.app, "/pay").await.status == 200;
                    assert_eq!(passes, model.is_stepped_up(&browser), "browser {position} after {step:?}");
                }
            }
        });
    }
}

//! Addresses that users add on the settings page. The attacks are in `tests/attacks/own_addresses.rs`.

use std::time::Duration;

use tower_step_up::{
    Aal, Method, RequiredAal, StepUp, StepUpBuilder, Subject,
    clock::Clock,
    directory::{Address, Channel},
    factor::{Code, Message, MessagePurpose, SenderFuture},
    store::SubjectStore,
};

use crate::{
    address_page::{PATH, Page, flow_of},
    postbox::{Condition, Postbox},
    site::{Client, Kind, Site},
    store::TestStore,
};

const MAIL: &str = "kim@own.example";
const PHONE: &str = "+4915112345678";
const COOL_DOWN: Duration = Duration::from_secs(30);

fn kim() -> Subject {
    Subject::new("kim").unwrap()
}

fn with(configure: impl FnOnce(Code) -> Code) -> (Site, Postbox) {
    let postbox = Postbox::default();
    let code = configure(Code::new(postbox.clone()).users_add_addresses());
    (Site::with(|builder| builder.factor(code).application_name("Example Bank")), postbox)
}

fn site() -> (Site, Postbox) {
    with(|code| code)
}

/// Steps up with the code that goes to this address.
async fn confirm(user: &mut Client, postbox: &Postbox, address: &str) -> u16 {
    let flow = user.begin("login", "?aal=aal2").await;
    if flow.messages() != [1_010_025] {
        user.submit(&flow, &[("address", address)]).await;
    }
    assert_eq!(postbox.last().to, address);
    let answer = user.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
    user.keep_token_of(&answer);
    answer.status.as_u16()
}

async fn level(user: &mut Client) -> String {
    let answer = user.get("/payments").await;
    if answer.status == 200 { "aal2".to_owned() } else { answer.status.as_u16().to_string() }
}

#[tokio::test]
async fn a_user_adds_an_address_and_confirms_with_it() {
    let (site, postbox) = site();
    let mut user = site.browser("kim").await;
    let mut elsewhere = site.spa("kim").await;
    assert_eq!(elsewhere.get("/limits").await.status, 200, "there is no second factor");
    let page = Page::open(&mut user).await;
    assert!(page.takes_one() && page.ids().is_empty(), "{}", page.section());
    assert!(page.section().contains("autocomplete=\"email\" inputmode=\"email\""), "{}", page.section());

    let page = page.does(&mut user, &[("user_address", " KIM@Own.example")]).await;
    assert!(page.waits_for(MAIL) && page.says("A code is on its way"), "{}", page.text);
    assert!(page.section().contains("autocomplete=\"one-time-code\" inputmode=\"numeric\""), "{}", page.section());
    let sent = postbox.last();
    assert_eq!((sent.to.as_str(), sent.channel, sent.minutes), (MAIL, Channel::Email, 10));
    assert_eq!(sent.purpose, MessagePurpose::AddAddress);
    assert_eq!(elsewhere.get("/limits").await.status, 200, "nothing is saved yet");

    let typed = format!(" {} {} ", &sent.code[..3], &sent.code[3..]);
    let page = page.does(&mut user, &[("user_address_code", &typed), ("confirm", "true")]).await;
    assert!(page.says("Your change was saved.") && page.section().contains(MAIL), "{}", page.text);
    // The first second factor lifts the session, as an authenticator app does, and all others are asked for it.
    assert_eq!(level(&mut user).await, "aal2");
    assert_eq!(elsewhere.get("/limits").await.error_id(), "session_aal2_required");
    let [known] = &site.step_up.credentials(&kim()).await.unwrap()[..] else { panic!("one credential") };
    assert_eq!((known.method, known.aal), (Method::Code, Aal::Aal2));

    site.clock.advance(COOL_DOWN);
    assert_eq!(confirm(&mut elsewhere, &postbox, MAIL).await, 200);
    assert_eq!((postbox.last().purpose, level(&mut elsewhere).await.as_str()), (MessagePurpose::Confirm, "aal2"));
    let [known] = &site.step_up.credentials(&kim()).await.unwrap()[..] else { panic!("one credential") };
    assert_eq!(known.last_used_at, Some(site.clock.now()));

    // Another phone number beside it. It adds no proof.
    let page = Page::add(&mut user, &postbox, PHONE).await;
    assert_eq!((page.ids().len(), postbox.last().channel), (2, Channel::Sms));
    let flow = elsewhere.begin("login", "?aal=aal2&refresh=true").await;
    assert_eq!(flow.nodes(), ["default: csrf_token", "code: address", "code: address"]);

    // Who removes the one that was proven loses what it has proven, everywhere.
    let first = page.ids()[0].clone();
    assert_eq!(page.send(&mut user, &[("remove", &first)]).await.location(), page.url);
    assert_eq!(site.step_up.credentials(&kim()).await.unwrap().len(), 1);
    assert_eq!((level(&mut user).await.as_str(), level(&mut elsewhere).await.as_str()), ("303", "403"));
    site.clock.advance(COOL_DOWN);
    let mut left = site.spa("kim").await;
    assert_eq!(confirm(&mut left, &postbox, PHONE).await, 200);
}

#[tokio::test]
async fn what_is_typed_wrongly_is_told_at_its_field() {
    struct Only(Postbox, Channel);
    impl tower_step_up::factor::Sender for Only {
        fn reaches(&self, channel: Channel) -> bool {
            channel == self.1
        }

        fn send<'a>(&'a self, message: Message<'a>) -> SenderFuture<'a> {
            self.0.send(message)
        }
    }
    let postbox = Postbox::default();
    let both = Code::new(postbox.clone());
    let mail = Code::new(Only(postbox.clone(), Channel::Email));
    let sms = Code::new(Only(postbox.clone(), Channel::Sms));
    for (code, label, wrong, told, good) in [
        (
            both,
            "Mail address, or phone number",
            &["kim", "kim@", "015112345678", "@", "a b@c.example"][..],
            "neither",
            MAIL,
        ),
        (
            mail,
            ">Mail address<",
            &["kim", "kim@own", PHONE, "kim@own.example\r\nBcc: x@y.example"],
            "no mail address",
            MAIL,
        ),
        (sms, ">Phone number", &["kim", MAIL, "015112345678", "+49"], "no phone number", PHONE),
    ] {
        let site = Site::with(|builder| builder.factor(code.users_add_addresses()));
        let mut user = site.browser("kim").await;
        let mut page = Page::open(&mut user).await;
        assert!(page.section().contains(label), "{}", page.section());
        let before = postbox.count();
        for typed in wrong.iter().chain(&["", " "]) {
            page = page.does(&mut user, &[("user_address", typed)]).await;
            let told = if typed.trim().is_empty() && typed.is_empty() { "fill in this field" } else { told };
            assert!(page.says(told), "{typed:?}: {}", page.section());
            assert!(page.section().contains("aria-describedby=\"user_address-message-1 \""), "{}", page.section());
        }
        assert_eq!(postbox.count(), before);
        page = page.does(&mut user, &[("user_address", good)]).await;
        assert!(page.waits_for(good) && !page.says(told), "{}", page.section());
    }
}

#[tokio::test]
async fn wrong_codes_are_told_and_another_can_be_sent() {
    let (site, postbox) = site();
    let mut user = site.browser("kim").await;
    let page = Page::asks(&mut user, MAIL).await;
    let first = postbox.code();
    let page = page.does(&mut user, &[("confirm", "true")]).await;
    assert!(page.waits_for(MAIL) && page.says("fill in this field"), "{}", page.section());
    let page = page.does(&mut user, &[("user_address_code", &postbox.wrong_code())]).await;
    assert!(page.waits_for(MAIL) && page.says("wrong or has expired"), "{}", page.section());
    assert!(page.section().contains("user_address_sent user_address_code-message-1"), "{}", page.section());
    // Within the cool-down, no other; a new form shows the step all the same, and its code is still good.
    let page = page.does(&mut user, &[("resend", "true")]).await;
    assert!(page.says("try again in 30 seconds") && page.waits_for(MAIL), "{}", page.text);
    site.clock.advance(COOL_DOWN);
    let page = Page::open(&mut user).await;
    assert!(page.waits_for(MAIL), "it belongs to the session");
    let page = page.does(&mut user, &[("resend", "true"), ("user_address_code", &first)]).await;
    assert_eq!(postbox.count(), 2);
    if postbox.code() != first {
        let page = page.does(&mut user, &[("user_address_code", &first)]).await;
        assert!(page.says("wrong or has expired"), "the new one has ended it");
    }
    // It ends with its time.
    site.clock.advance(Duration::from_secs(600));
    let page = page.does(&mut user, &[("user_address_code", &postbox.code())]).await;
    assert!(page.says("wrong or has expired") && page.takes_one(), "{}", page.text);
    let page = page.does(&mut user, &[("resend", "true")]).await;
    assert!(page.says("No address waits for a code any more"), "{}", page.text);
    // Given up, and begun anew with another one.
    let page = page.does(&mut user, &[("user_address", MAIL)]).await;
    let code = postbox.code();
    let page = page.does(&mut user, &[("cancel", "true")]).await;
    assert!(page.takes_one() && !page.section().contains(MAIL), "{}", page.section());
    let page = page.does(&mut user, &[("user_address_code", &code)]).await;
    assert!(page.says("wrong or has expired"), "{}", page.text);
    let page = page.does(&mut user, &[("user_address", PHONE)]).await;
    assert!(page.waits_for(PHONE), "{}", page.section());
    page.confirms(&mut user, &postbox).await;
    assert_eq!(level(&mut user).await, "aal2");
}

#[tokio::test]
async fn an_address_is_added_once_and_few_are() {
    let (site, postbox) = with(|code| code.addresses_per_user(2).unverified_addresses());
    site.users.reach("kim", [Address::email("kim@directory.example")]);
    site.enrol("kim").await;
    let mut user = site.browser("kim").await;
    user.step_up(&site.code()).await;
    let page = Page::open(&mut user).await;
    assert!(page.section().contains("kim@directory.example") && page.ids().is_empty(), "{}", page.section());
    for typed in ["kim@directory.example", "KIM@directory.example"] {
        let page = page.does(&mut user, &[("user_address", typed)]).await;
        assert!(page.says("You have this address already"), "{}", page.section());
    }
    Page::add(&mut user, &postbox, MAIL).await;
    let page = page.does(&mut user, &[("user_address", MAIL)]).await;
    assert!(page.says("You have this address already"), "{}", page.section());
    // One that comes into the directory while its code is on its way.
    let page = page.does(&mut user, &[("user_address", "late@own.example")]).await;
    site.users.reach("kim", [Address::email("late@own.example")]);
    let page = page.does(&mut user, &[("user_address_code", &postbox.code())]).await;
    assert!(page.says("You have this address already") && page.ids().len() == 1, "{}", page.text);
    let page = Page::add(&mut user, &postbox, PHONE).await;
    assert!(!page.takes_one() && page.section().contains("Please remove one first"), "{}", page.section());
    let full = page.does(&mut user, &[("user_address", "more@own.example")]).await;
    assert!(full.says("Please remove one first"), "{}", full.section());
    assert_eq!(site.step_up.credentials(&kim()).await.unwrap().len(), 3, "the app and two addresses");
    // What the directory has too is one factor: offered once, and it stays when the user's own copy goes.
    site.users.reach("kim", [Address::email(MAIL)]);
    site.clock.advance(COOL_DOWN);
    let mut other = site.spa("kim").await;
    let flow = other.begin("login", "?aal=aal2").await;
    let offered = flow.nodes().iter().filter(|node| *node == "code: address").count();
    assert_eq!(offered, 2, "{}", flow.view);
    let page = Page::open(&mut user).await;
    assert!(page.section().matches(MAIL).count() == 1 && page.ids().len() == 2, "{}", page.section());
    let page = page.does(&mut user, &[("remove", &page.ids()[0])]).await;
    assert!(page.section().contains(MAIL) && page.ids().len() == 1, "{}", page.section());
    let flow = other.begin("login", "?aal=aal2").await;
    assert_eq!(flow.nodes().iter().filter(|node| *node == "code: address").count(), 2, "{}", flow.view);
}

/// As every change of factors: with a second factor that was proven a moment ago, where there is one.
#[tokio::test]
async fn a_change_takes_a_recent_proof() {
    let (site, postbox) = site();
    // In the lax model the page opens. The change takes the same as in the strict one.
    site.step_up.set_settings_required_aal(RequiredAal::Aal1);
    let mut user = site.browser("kim").await;
    site.clock.advance(Duration::from_secs(3600));
    // Without a second factor, the first one. The user comes back to the same page.
    let page = Page::open(&mut user).await;
    let refused = page.send(&mut user, &[("user_address", MAIL)]).await;
    assert!(refused.location().contains("/self-service/login/browser?refresh=true&return_to="), "{refused:?}");
    assert!(refused.location().ends_with(&flow_of(&page)), "{refused:?}");
    assert_eq!(postbox.count(), 0);
    let mut user = site.browser("kim").await;
    let page = Page::add(&mut user, &postbox, MAIL).await;
    let mut low = site.browser("kim").await;
    let own = Page { url: page.url.clone(), text: page.text.clone() };
    let (remove, add) = ([("remove", own.ids()[0].clone())], [("user_address", PHONE.to_owned())]);
    let all = [remove, add];
    for fields in &all {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = Page::open(&mut low).await.send(&mut low, &fields).await;
        assert!(refused.location().contains("aal=aal2"), "{refused:?}");
        site.clock.advance(Duration::from_secs(3600));
        let late = Page::open(&mut user).await.send(&mut user, &fields).await;
        assert!(late.location().contains("aal=aal2&refresh=true"), "{late:?}");
        let flow = user.begin("login", "?aal=aal2&refresh=true").await;
        user.submit(&flow, &[("method", "code"), ("code", &postbox.code())]).await;
    }
    assert_eq!(postbox.all().iter().filter(|sent| sent.to == PHONE).count(), 0);
    let page = Page::open(&mut user).await;
    assert_eq!(page.does(&mut user, &[("remove", &page.ids()[0])]).await.ids(), [""; 0], "the honest twin");
}

/// One count for codes of every kind.
#[tokio::test]
async fn sends_are_limited_together_with_those_of_logins() {
    let (site, postbox) = with(|code| code.sends_per_hour(4));
    let mut user = site.browser("kim").await;
    let page = Page::add(&mut user, &postbox, MAIL).await;
    // The address has just got one.
    let mut other = site.spa("kim").await;
    let flow = other.begin("login", "?aal=aal2").await;
    assert_eq!((flow.messages().contains(&1_010_025), postbox.count()), (false, 1), "{}", flow.view);
    assert!(other.submit(&flow, &[("address", MAIL)]).await.is_locked());
    let page = page.does(&mut user, &[("remove", &page.ids()[0])]).await;
    let page = page.does(&mut user, &[("user_address", MAIL)]).await;
    assert!(page.says("try again in 30 seconds") && page.takes_one(), "{}", page.text);
    // And the subject has its hour.
    let mut page = page;
    for number in 1..4 {
        page = page.does(&mut user, &[("user_address", &format!("kim{number}@own.example"))]).await;
    }
    assert_eq!(postbox.count(), 4);
    let page = page.does(&mut user, &[("user_address", "kim9@own.example")]).await;
    assert!(page.says("Too many attempts") && page.waits_for("kim3@own.example"), "{}", page.text);
    let page = page.confirms(&mut user, &postbox).await;
    assert_eq!(page.ids().len(), 1, "what waits is still good");
}

#[tokio::test]
async fn an_outage_of_the_sender_costs_nothing() {
    let (site, postbox) = site();
    let mut user = site.browser("kim").await;
    let page = Page::asks(&mut user, MAIL).await;
    let code = postbox.code();
    postbox.is(Condition::Down);
    for _ in 0..8 {
        let told = page.does(&mut user, &[("user_address", PHONE)]).await;
        assert!(told.says("could not be sent") && told.waits_for(MAIL), "{}", told.text);
    }
    postbox.is(Condition::Breaks);
    let perhaps = page.does(&mut user, &[("user_address", PHONE)]).await;
    assert!(perhaps.says("may not have been sent") && perhaps.waits_for(PHONE), "{}", perhaps.text);
    postbox.is(Condition::Works);
    if code != postbox.code() {
        let told = page.does(&mut user, &[("user_address_code", &code)]).await;
        assert!(told.says("wrong or has expired"), "{}", told.text);
    }
    let page = page.confirms(&mut user, &postbox).await;
    assert!(page.section().contains(PHONE) && page.ids().len() == 1, "{}", page.section());
}

/// A double click is answered twice with the same, and signs nobody out.
#[tokio::test]
async fn a_form_that_is_sent_twice_is_answered_alike() {
    let (site, postbox) = site();
    let mut user = site.browser("kim").await;
    let page = Page::asks(&mut user, MAIL).await;
    let mut again = user.clone();
    let fields = [("user_address_code", postbox.code()), ("confirm", "true".to_owned()), ("csrf_token", page.csrf())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(user.post(&page.action(), &fields).await.location(), page.url);
    let second = again.post(&page.action(), &fields).await;
    assert_eq!(second.location(), page.url, "{second:?}");
    assert_eq!((level(&mut user).await.as_str(), level(&mut again).await.as_str()), ("aal2", "aal2"));
    assert_eq!(site.step_up.credentials(&kim()).await.unwrap().len(), 1);
    // At once: one address, and no session is lost.
    let page = Page::asks(&mut user, PHONE).await;
    let mut twin = user.clone();
    let code = postbox.code();
    let typed = [("user_address_code", code.as_str())];
    let answers = tokio::join!(page.send(&mut user, &typed), page.send(&mut twin, &typed));
    assert_eq!((answers.0.location(), answers.1.location()), (page.url.as_str(), page.url.as_str()));
    assert!(level(&mut user).await == "aal2" || level(&mut twin).await == "aal2");
    assert_eq!(site.step_up.credentials(&kim()).await.unwrap().len(), 2);
}

/// Switched off: an unknown page, and what was added before does not count, until it is on again.
#[tokio::test]
async fn without_the_switch_there_is_nothing() {
    let (store, postbox) = (TestStore::default(), Postbox::default());
    let on = |users: bool| {
        let code = Code::new(postbox.clone());
        let code = if users { code.users_add_addresses() } else { code };
        Site::with(|builder| store.give_to(builder).factor(code))
    };
    let (with, without) = (on(true), on(false));
    let mut user = with.browser("kim").await;
    Page::add(&mut user, &postbox, MAIL).await;
    with.clock.advance(COOL_DOWN);
    without.clock.advance(COOL_DOWN);
    assert_eq!(level(&mut user).await, "aal2");
    let mut there = Client { router: without.router.clone(), ..user.clone() };
    assert_eq!(there.get("/payments").await.status, 303, "it proves nothing");
    assert_eq!(there.get("/limits").await.status, 200, "there is no second factor");
    let page = there.get("/self-service/settings/browser").await.location().to_owned();
    let text = there.get(&page).await.text;
    assert!(!text.contains("Codes by message") && !text.contains(MAIL), "{text}");
    let (unknown, answer) =
        (there.post("/self-service/ui/nothing", &[]).await, there.post(PATH, &[("user_address", PHONE)]).await);
    assert_eq!((answer.status, &answer.text), (unknown.status, &unknown.text));
    assert_eq!(answer.status, 404);
    assert_eq!(there.begin("settings", "").await.nodes().iter().filter(|node| node.starts_with("code")).count(), 0);
    // The support desk can still take it away.
    assert_eq!(level(&mut user).await, "aal2");
    without.step_up.unbind(&kim(), Method::Code).await.unwrap();
    assert_eq!(without.step_up.credentials(&kim()).await.unwrap(), []);
    with.clock.advance(Duration::from_secs(1));
    assert_eq!(level(&mut user).await, "303");
}

#[tokio::test]
async fn addresses_are_masked_and_sealed() {
    let (store, postbox) = (TestStore::default(), Postbox::default());
    let code = Code::new(postbox.clone()).users_add_addresses().mask_addresses();
    let site = Site::with(|builder| store.give_to(builder).factor(code));
    let mut user = site.browser("kim").await;
    let page = Page::open(&mut user).await.does(&mut user, &[("user_address", MAIL)]).await;
    assert!(page.waits_for("k***@own.example") && !page.text.contains(MAIL), "{}", page.text);
    let page = page.confirms(&mut user, &postbox).await;
    let page = page.does(&mut user, &[("user_address", "kit@own.example")]).await.confirms(&mut user, &postbox).await;
    assert!(page.section().contains("k***@own.example (2)") && !page.text.contains(MAIL), "{}", page.text);
    for stored in store.credentials(&kim()).await.unwrap() {
        let data = String::from_utf8_lossy(&stored.data);
        assert!(!data.contains("own.example") && !data.contains("email"), "{data}");
    }
}

/// What every change of factors does: devices are trusted no more, and backup codes go with the last factor.
#[tokio::test]
async fn a_change_of_addresses_is_a_change_of_factors() {
    let (store, postbox) = (TestStore::default(), Postbox::default());
    let trusting = |builder: StepUpBuilder| {
        let builder = store.give_to(builder);
        builder.trusted_devices(Duration::from_secs(86_400)).factor(Code::new(postbox.clone()).users_add_addresses())
    };
    let site = Site::with(trusting);
    let mut user = site.browser("kim").await;
    Page::add(&mut user, &postbox, MAIL).await;
    let devices = async |step_up: &StepUp| {
        store.credentials(&kim()).await.unwrap().len() - step_up.credentials(&kim()).await.unwrap().len()
    };
    let trust = async |postbox: &Postbox| {
        site.clock.advance(COOL_DOWN);
        let mut user = site.browser("kim").await;
        let flow = user.begin("login", "?aal=aal2").await;
        user.submit(&flow, &[("address", MAIL)]).await;
        let fields = [("method", "code"), ("code", &postbox.code()), ("trust_device", "true")];
        user.submit(&flow, &fields).await;
        user
    };
    let mut user = trust(&postbox).await;
    assert_eq!(devices(&site.step_up).await, 1);
    let page = Page::add(&mut user, &postbox, PHONE).await;
    assert_eq!(devices(&site.step_up).await, 0, "one more factor");
    site.step_up.import_lookup_secrets(&kim(), &["MFRGGZDFMZTWQ2LK"]).await.unwrap();
    let mut user_again = trust(&postbox).await;
    assert_eq!(devices(&site.step_up).await, 1);
    let page = Page { url: page.url, text: Page::open(&mut user_again).await.text };
    let page = Page::open(&mut user_again).await.does(&mut user_again, &[("remove", &page.ids()[1])]).await;
    assert_eq!((devices(&site.step_up).await, page.ids().len()), (0, 1));
    assert_eq!(site.step_up.credentials(&kim()).await.unwrap().len(), 2, "the codes stay beside the other");
    let page = page.does(&mut user_again, &[("remove", &page.ids()[0])]).await;
    assert!(page.says("Your recovery codes were removed too"), "{}", page.text);
    assert_eq!(site.step_up.credentials(&kim()).await.unwrap(), []);
    drop(user);
}

/// Programs have no such form, and the flow says nothing of it.
#[tokio::test]
async fn only_browsers_have_it() {
    let (site, postbox) = site();
    let mut user = site.browser("kim").await;
    Page::add(&mut user, &postbox, MAIL).await;
    for kind in [Kind::Spa, Kind::Browser] {
        let mut user = Client { kind, ..user.clone() };
        let flow = user.begin("settings", "").await;
        assert!(!flow.view.to_string().contains("own.example"), "{}", flow.view);
    }
}

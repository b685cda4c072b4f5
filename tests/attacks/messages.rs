//! Codes by mail and text message: sent to strangers, in floods, guessed, used twice, or used by somebody else.

use std::time::Duration;

use tokio::task::JoinSet;
use tower_step_up::{
    StepUpBuilder,
    directory::Address,
    factor::{Code, LogSender},
    store::AttemptPolicy,
};

use crate::{
    postbox::{Condition, Postbox},
    site::{Answer, Client, KINDS, Kind, OpenFlow},
    world::{World, assert_error, assert_says, client},
};

const KIM: &str = "kim@app.example";
const LEE: &str = "lee@app.example";
const PROGRAMS: [Kind; 2] = [Kind::Spa, Kind::Native];
const RESEND: [(&str, &str); 2] = [("method", "code"), ("resend", "code")];

fn mail(address: &str) -> Address {
    Address::email(address).verified(true)
}

/// Kim has two addresses and lee one, on every store.
fn worlds_with(
    configure: impl Fn(Code) -> Code + Copy,
    builder: impl Fn(StepUpBuilder) -> StepUpBuilder + Copy,
) -> Vec<(World, Postbox)> {
    let postbox = Postbox::default();
    let worlds = World::on_every_store(|site| builder(site.factor(configure(Code::new(postbox.clone())))));
    worlds
        .into_iter()
        .map(|world| {
            world.a.users.reach("kim", [mail(KIM), Address::sms("+4915112345678").verified(true)]);
            world.a.users.reach("lee", [mail(LEE), mail("lee@other.example")]);
            (world, postbox.clone())
        })
        .collect()
}

fn worlds() -> Vec<(World, Postbox)> {
    worlds_with(|code| code, |builder| builder)
}

async fn enters(user: &mut Client, flow: &OpenFlow, code: &str) -> Answer {
    user.submit(flow, &[("method", "code"), ("code", code)]).await
}

/// A form that asks for the code that was just sent to kim.
async fn asked_for(user: &mut Client, postbox: &Postbox) -> (OpenFlow, String) {
    let flow = user.begin("login", "?aal=aal2").await;
    let before = postbox.count();
    user.submit(&flow, &[("address", KIM)]).await;
    assert_eq!(postbox.count(), before + 1, "the honest twin");
    (flow, postbox.code())
}

/// Ory/Kratos sends codes to whatever address a plain aal2 form names.
#[tokio::test]
async fn foreign_address_gets_no_code() {
    for (world, postbox) in worlds() {
        for kind in PROGRAMS {
            let mut kim = client(&world.a, kind, "kim").await;
            for query in ["?aal=aal2", "?aal=aal2&refresh=true"] {
                let flow = kim.begin("login", query).await;
                for name in ["address", "identifier"] {
                    for stranger in
                        [LEE, "stranger@app.example", "+4915100000000", "kim@app.example\r\nBcc: lee@app.example"]
                    {
                        let before = postbox.count();
                        let fields = [("method", "code"), (name, stranger)];
                        assert_says(&kim.submit(&flow, &fields).await, 4_000_035);
                        assert_says(&kim.submit(&flow, &[fields[0], fields[1], RESEND[1]]).await, 4_000_035);
                        assert_eq!(postbox.count(), before, "{stranger}");
                    }
                }
            }
            asked_for(&mut kim, &postbox).await;
            kim.assert_aal1(&world.a).await;
            world.advance(Duration::from_secs(30));
        }
    }
}

/// Known and unknown addresses of others look the same, masked or not.
#[tokio::test]
async fn forms_tell_no_address_of_anybody() {
    for (world, postbox) in worlds_with(Code::mask_addresses, |builder| builder) {
        for kind in PROGRAMS {
            let mut kim = client(&world.a, kind, "kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            let mut told = Vec::new();
            // Of lee, of nobody, and their own in full: a mask must not be a way to try whole addresses.
            for guess in [LEE, "nobody@app.example", KIM, "l***@app.example"] {
                let answer = kim.submit(&flow, &[("address", guess)]).await;
                assert_says(&answer, 4_000_035);
                let mut body = answer.json();
                for changing in ["updated_at", "expires_at"] {
                    body[changing].take();
                }
                body["ui"]["nodes"][0].take();
                told.push(body);
            }
            assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:#?}");
            assert!(!told[0].to_string().contains(KIM), "the address is shown");
            let before = postbox.count();
            kim.submit(&flow, &[("address", "k***@app.example")]).await;
            assert_eq!((postbox.count(), postbox.last().to.as_str()), (before + 1, KIM));
            world.advance(Duration::from_secs(30));
        }
    }
}

/// However many forms, sessions and nodes: an address gets one code in the cool-down, and a subject ten in the hour.
#[tokio::test]
async fn floods_of_codes_are_bounded() {
    for (world, postbox) in worlds() {
        let begun = postbox.count();
        world.store.yields();
        for round in 0..8 {
            let before = postbox.count();
            let mut flood = JoinSet::new();
            for number in 0..12 {
                let site = if number % 2 == 0 { world.a.clone() } else { world.b.clone() };
                flood.spawn(async move {
                    let mut kim = client(&site, PROGRAMS[number % 4 / 2], "kim").await;
                    let flow = kim.begin("login", "?aal=aal2").await;
                    for fields in [&[("address", KIM)][..], &RESEND, &[("method", "code"), ("identifier", KIM)]] {
                        kim.submit(&flow, fields).await;
                    }
                });
            }
            flood.join_all().await;
            let sent = postbox.count() - before;
            assert_eq!(sent, 1, "in round {round}");
            world.advance(Duration::from_secs(30));
        }
        assert_eq!(postbox.count() - begun, 8, "the honest one of each round");
        let mut last = client(&world.a, Kind::Spa, "kim").await;
        let flow = last.begin("login", "?aal=aal2").await;
        for address in [KIM, "+4915112345678", KIM, "+4915112345678"] {
            last.submit(&flow, &[("address", address)]).await;
            world.advance(Duration::from_secs(30));
        }
        assert_eq!(postbox.count() - begun, 10, "over all addresses");
        // Who has used up their own has not used up that of others.
        let mut lee = client(&world.b, Kind::Spa, "lee").await;
        let flow = lee.begin("login", "?aal=aal2").await;
        assert_eq!(lee.submit(&flow, &[("address", LEE)]).await.messages(), [1_010_025]);
    }
}

/// A page of another site opens the form: it has no code sent, which would use up what the user may get.
#[tokio::test]
async fn other_sites_have_no_code_sent() {
    for (world, postbox) in worlds() {
        world.a.users.reach("kim", [mail(KIM)]);
        for kind in [Kind::Browser, Kind::Spa] {
            let kim = client(&world.a, kind, "kim").await;
            let navigates: [(&str, &[u8]); 2] = [("sec-fetch-mode", b"navigate"), ("sec-fetch-dest", b"document")];
            let (before, headers) = (postbox.count(), if kind == Kind::Browser { &navigates[..] } else { &[] });
            let mut led = kim.clone().sending(&[headers, &[("sec-fetch-site", b"cross-site")]].concat());
            led.get("/self-service/login/browser?aal=aal2").await;
            assert_eq!(postbox.count(), before, "{kind:?}");
            for site in [&b"same-origin"[..], b"same-site", b"none"] {
                world.advance(Duration::from_secs(30));
                let mut own = kim.clone().sending(&[headers, &[("sec-fetch-site", site)]].concat());
                own.get("/self-service/login/browser?aal=aal2").await;
            }
            assert_eq!(postbox.count(), before + 3, "the honest twin");
            world.advance(Duration::from_secs(30));
        }
    }
}

/// A new code gives no new guesses: they are counted for the user, whatever was sent.
#[tokio::test]
async fn guessing_across_new_codes_is_stopped() {
    for (world, postbox) in worlds() {
        for kind in PROGRAMS {
            let name = if kind == Kind::Spa { "kim" } else { "lee" };
            let address = if kind == Kind::Spa { KIM } else { LEE };
            let mut guesses = 0;
            'out: for _ in 0..8 {
                // Each in a session and a form of its own.
                let mut user = client(&world.b, kind, name).await;
                let flow = user.begin("login", "?aal=aal2").await;
                user.submit(&flow, &[("address", address)]).await;
                for _ in 0..3 {
                    let answer = enters(&mut user, &flow, &postbox.wrong_code()).await;
                    if answer.is_locked() {
                        break 'out;
                    }
                    assert_says(&answer, 4_010_008);
                    guesses += 1;
                }
                user.assert_aal1(&world.a).await;
                world.advance(Duration::from_secs(1));
            }
            assert!((4..=6).contains(&guesses), "{guesses} guesses");
        }
    }
}

/// Five tries, even if many come at once and the lock is generous.
#[tokio::test]
async fn one_code_takes_five_tries() {
    let many = AttemptPolicy { free: 60, hard_stop: 100, ..AttemptPolicy::default() };
    for (world, postbox) in worlds_with(|code| code, |builder| builder.attempts(many)) {
        let mut kim = client(&world.a, Kind::Native, "kim").await;
        let (flow, code) = asked_for(&mut kim, &postbox).await;
        // Each in a form of its own, which says what became of it.
        let mut forms = Vec::new();
        for _ in 0..16 {
            forms.push(kim.begin("login", "?aal=aal2").await);
        }
        world.store.yields();
        let wrong = postbox.wrong_code();
        let mut guesses = JoinSet::new();
        for (number, form) in forms.into_iter().enumerate() {
            let (mut kim, wrong) = (kim.at(if number % 2 == 0 { &world.a } else { &world.b }), wrong.clone());
            guesses.spawn(async move { enters(&mut kim, &form, &wrong).await });
        }
        let answers = guesses.join_all().await;
        let compared = answers.iter().filter(|answer| answer.status == 400 && answer.messages() == [4_010_008]).count();
        assert_eq!(compared.clamp(1, 5), compared, "so many were compared");
        assert_says(&enters(&mut kim, &flow, &code).await, 4_000_001);
        kim.assert_aal1(&world.a).await;
    }
}

/// A code is good for the session that it was sent in.
#[tokio::test]
async fn code_of_another_session_or_user_is_refused() {
    for (world, postbox) in worlds() {
        for kind in PROGRAMS {
            let mut kim = client(&world.a, kind, "kim").await;
            let mut again = client(&world.a, kind, "kim").await;
            let mut lee = client(&world.b, kind, "lee").await;
            let (flow, code) = asked_for(&mut kim, &postbox).await;
            let other = again.begin("login", "?aal=aal2").await;
            assert_says(&enters(&mut again, &other, &code).await, 4_010_008);
            let theirs = lee.begin("login", "?aal=aal2").await;
            assert_says(&enters(&mut lee, &theirs, &code).await, 4_010_008);
            // Nor with the form of the one whose code it is.
            assert_error(&enters(&mut lee, &flow, &code).await, 403, "security_identity_mismatch");
            assert_error(&enters(&mut again, &flow, &code).await, 403, "security_identity_mismatch");
            for user in [&mut again, &mut lee] {
                user.assert_aal1(&world.a).await;
            }
            // The honest twin: in another form of the same session, on the other node.
            let second = kim.at(&world.b).begin("login", "?aal=aal2").await;
            let answer = enters(&mut kim.at(&world.b), &second, &code).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            world.advance(Duration::from_secs(30));
        }
    }
}

/// Fifty at once, in one form and in many, on two nodes: one session comes of it.
#[tokio::test]
async fn code_is_accepted_once() {
    for (world, postbox) in worlds() {
        for kind in PROGRAMS {
            let mut kim = client(&world.a, kind, "kim").await;
            let (flow, code) = asked_for(&mut kim, &postbox).await;
            let mut forms = vec![flow];
            for _ in 0..3 {
                forms.push(kim.begin("login", "?aal=aal2").await);
            }
            world.store.yields();
            let mut flood = JoinSet::new();
            for number in 0..24 {
                let form = &forms[number % forms.len()];
                // Each with a body of its own, so that none is the repetition of another.
                let (action, csrf, code, stray) = (form.action(), form.csrf(), code.clone(), number.to_string());
                let mut kim = kim.at(if number % 2 == 0 { &world.a } else { &world.b });
                flood.spawn(async move {
                    let mut fields = vec![("method", "code"), ("code", code.as_str()), ("stray", stray.as_str())];
                    if kim.kind != Kind::Native {
                        fields.push(("csrf_token", &csrf));
                    }
                    kim.post(&action, &fields).await
                });
            }
            let answers = flood.join_all().await;
            let passed = answers.iter().enumerate().filter(|(_, answer)| answer.status == 200);
            let passed: Vec<_> = passed.map(|(number, _)| number).collect();
            assert_eq!(passed.len(), 1, "{kind:?}");
            if passed[0] % 2 == 1 {
                // It was the other node that let one in, and this one believes for a second what it has read.
                world.advance(Duration::from_secs(1));
            }
            kim.assert_dead(&world.a).await;
            // Later neither, in a session of the same user.
            let mut later = client(&world.a, kind, "kim").await;
            let form = later.begin("login", "?aal=aal2").await;
            assert_says(&enters(&mut later, &form, &code).await, 4_010_008);
            world.advance(Duration::from_secs(30));
        }
    }
}

/// Between the code and its answer the application takes the address away.
#[tokio::test]
async fn code_of_an_address_that_is_gone_proves_nothing() {
    for (world, postbox) in worlds() {
        for kind in PROGRAMS {
            let mut kim = client(&world.a, kind, "kim").await;
            let (flow, code) = asked_for(&mut kim, &postbox).await;
            world.a.users.reach("kim", [mail("kim@new.example"), mail("kim@other.example")]);
            assert_says(&enters(&mut kim, &flow, &code).await, 4_010_008);
            assert_says(&kim.submit(&flow, &[("address", KIM)]).await, 4_000_035);
            kim.assert_aal1(&world.a).await;
            world.a.users.reach("kim", []);
            assert_says(&enters(&mut kim, &flow, &code).await, 4_000_035);
            world.a.users.reach("kim", [mail(KIM), mail("kim@other.example")]);
            assert_eq!(enters(&mut kim, &flow, &code).await.status, 200, "the honest twin");
            world.advance(Duration::from_secs(30));
        }
    }
}

/// A later code ends the earlier, also if it goes to another address or is asked for in another form.
#[tokio::test]
async fn older_code_is_refused_after_a_newer_one() {
    for (world, postbox) in worlds() {
        for kind in PROGRAMS {
            let mut kim = client(&world.a, kind, "kim").await;
            let (flow, old) = asked_for(&mut kim, &postbox).await;
            let other = kim.begin("login", "?aal=aal2").await;
            kim.submit(&other, &[("address", "+4915112345678")]).await;
            if postbox.code() != old {
                assert_says(&enters(&mut kim, &flow, &old).await, 4_010_008);
                kim.assert_aal1(&world.b).await;
            }
            let answer = enters(&mut kim, &flow, &postbox.code()).await;
            assert_eq!(answer.status, 200, "the honest twin: {answer:?}");
            world.advance(Duration::from_secs(30));
        }
    }
}

/// What the sender cannot send counts no attempt, ends no other code, and opens nothing.
#[tokio::test]
async fn outage_of_the_sender_opens_and_costs_nothing() {
    for (world, postbox) in worlds() {
        for kind in KINDS {
            let mut kim = client(&world.a, kind, "kim").await;
            let flow = kim.begin("login", "?aal=aal2").await;
            postbox.is(Condition::Down);
            for _ in 0..15 {
                kim.submit(&flow, &[("address", KIM)]).await;
            }
            for code in ["", "000000"] {
                kim.submit(&flow, &[("method", "code"), ("code", code)]).await;
            }
            kim.assert_aal1(&world.a).await;
            postbox.is(Condition::Works);
            kim.submit(&flow, &[("address", KIM)]).await;
            let answer = enters(&mut kim, &flow, &postbox.code()).await;
            kim.keep_token_if_any(&answer);
            assert!(kim.pays(&world.a).await, "{answer:?}");
            world.advance(Duration::from_secs(30));
        }
    }
}

/// What the store keeps of a code finds no code: it is sealed, and below that a digest under a key.
#[tokio::test]
async fn codes_are_in_no_log_and_no_answer() {
    let (log, _guard) = crate::common::log::Log::begin();
    for (world, postbox) in worlds() {
        let mut kim = client(&world.a, Kind::Spa, "kim").await;
        let flow = kim.begin("login", "?aal=aal2").await;
        let answer = kim.submit(&flow, &[("address", KIM)]).await;
        let code = postbox.code();
        postbox.is(Condition::Breaks);
        world.advance(Duration::from_secs(30));
        let broken = kim.submit(&flow, &RESEND).await;
        postbox.is(Condition::Works);
        let logged = log.take().join("\n");
        for text in [&answer.text, &broken.text, &logged] {
            assert!(!text.contains(&format!("\"{code}\"")) && !text.contains(&format!(": {code}")), "{text}");
        }
        assert!(logged.contains("connection reset") && !logged.contains(KIM), "{logged}");
    }
}

#[test]
fn sender_that_only_logs_is_refused_in_production() {
    use tower_step_up::{SigningKey, StepUp, store::MemoryStore};
    let build = |url: &str, code: Code| {
        let mut builder = StepUp::builder(url)
            .signing_key(SigningKey::generate("2026-11").unwrap())
            .store(MemoryStore::default())
            .factor(code);
        if url.starts_with("http:") {
            builder = builder.insecure_http_on_loopback();
        }
        builder.build().map(drop).map_err(|error| error.to_string())
    };
    let logs = || Code::new(LogSender::default());
    assert_eq!(build("http://localhost:3000", logs()), Ok(()));
    assert!(build("https://bank.example", logs()).unwrap_err().contains("LogSender"));
    assert!(build("https://bank.example", Code::new(Postbox::default()).sender(LogSender::default())).is_err());
    assert_eq!(build("https://bank.example", Code::new(LogSender::whoever_reads_the_log_gets_in())), Ok(()));
    // Nor are limits lifted, or stretched to where they limit nothing.
    let code = || Code::new(Postbox::default());
    assert_eq!(build("http://127.0.0.1:3000", code().no_send_limits_on_loopback()), Ok(()));
    for bad in [
        code().no_send_limits_on_loopback(),
        code().users_add_addresses().addresses_per_user(0),
        code().addresses_per_user(21),
        code().cool_down(Duration::ZERO),
        code().cool_down(Duration::from_secs(3601)),
        code().sends_per_hour(0),
        code().sends_per_hour(101),
        code().lifespan(Duration::from_secs(601)),
        code().lifespan(Duration::from_secs(59)),
        code().send_timeout(Duration::from_secs(46)),
        code().send_timeout(Duration::ZERO),
    ] {
        assert!(build("https://bank.example", bad.clone()).unwrap_err().contains("Code::"), "{bad:?}");
    }
    assert_eq!(build("https://bank.example", code()), Ok(()));
}

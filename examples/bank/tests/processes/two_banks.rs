//! Two banks on one PostgreSQL and one Redis: any of them serves any step.

use std::time::{Duration, Instant};

use crate::{
    bank::{ALICE, CAROL},
    client::{Client, messages},
    program::{Program, code},
    servers::{free_port, postgres::Postgres, redis::Redis},
};

/// Both banks and what they share. They start at the same moment on an empty store.
pub(crate) struct Two {
    pub(crate) banks: [Program; 2],
    pub(crate) urls: [String; 2],
    settings: Vec<(&'static str, String)>,
    _redis: Redis,
}

impl Two {
    /// `None` if a server is not installed. Clients reach the banks at the public URL.
    pub(crate) fn start(public_url: &str) -> Option<Self> {
        let (postgres, redis) = (Postgres::shared()?, Redis::start(free_port())?);
        let settings = vec![
            ("BANK_STORE", postgres.url()),
            ("BANK_FLOWS", redis.url()),
            ("BANK_PUBLIC_URL", public_url.to_owned()),
        ];
        let mut banks = [start(&settings), start(&settings)];
        let urls = [banks[0].url(), banks[1].url()];
        Some(Self { banks, urls, settings, _redis: redis })
    }

    /// Starts a bank once more where it listened before.
    pub(crate) fn restart(&mut self, number: usize) {
        let mut settings = self.settings.clone();
        settings.push(("BANK_ADDR", self.urls[number].trim_start_matches("http://").to_owned()));
        self.banks[number] = start(&settings);
        self.banks[number].url();
    }
}

fn start(settings: &[(&str, String)]) -> Program {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Program::bank(&settings)
}

/// `standing_max_age` of the bank, which is the crate's default.
const STANDING: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn any_bank_serves_any_step() {
    let public_url = format!("http://127.0.0.1:{}", free_port());
    let Some(two) = Two::start(&public_url) else { return };
    let [one, other] = &two.urls;

    let mut alice = Client::log_in(one, "alice").await;
    let before = alice.clone();
    assert_eq!(alice.get(&format!("{other}/api/payments")).await.0, 403, "her second factor is known there too");
    let flow = alice.begin(other).await;
    let shown = code(ALICE);
    let (status, body) = alice.submit(one, &flow, &shown).await;
    assert_eq!(status, 200, "{body}");
    alice.take_token(&body);
    for bank in [other, one] {
        assert_eq!(alice.get(&format!("{bank}/api/payments")).await.0, 200);
    }

    // The code is used up everywhere, and so is the flow.
    let again = Client::log_in(one, "alice").await;
    let second = again.begin(one).await;
    let (status, body) = again.submit(other, &second, &shown).await;
    assert_eq!((status, messages(&body)), (400, vec![4_000_008]), "{body}");
    let (status, body) = alice.submit(other, &flow, &shown).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(again.get(&format!("{one}/api/payments")).await.0, 403);

    // The session that was replaced is dead, at once where it was replaced.
    assert_eq!(before.get(&format!("{one}/account")).await.0, 401);
    tokio::time::sleep(STANDING).await;
    assert_eq!(before.get(&format!("{other}/account")).await.0, 401);

    // Attempts are counted together.
    let carol = Client::log_in(other, "carol").await;
    let flow = carol.begin(one).await;
    let wrong = "000000";
    let mut statuses = Vec::new();
    for number in 0..7 {
        statuses.push(carol.submit(&two.urls[number % 2], &flow, wrong).await.0);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429, 429]);
    let right = code(CAROL);
    assert_eq!(carol.submit(other, &flow, &right).await.0, 429);

    let mut longest = Duration::ZERO;
    for round in 0..5 {
        let bob = Client::log_in(one, "bob").await;
        let account = |bank: &str| format!("{bank}/account");
        for bank in [one, other] {
            assert_eq!(bob.get(&account(bank)).await.0, 200);
        }
        bob.log_out(one).await;
        let begun = Instant::now();
        assert_eq!(bob.get(&account(one)).await.0, 401, "it is dead at once where it ended");
        while bob.get(&account(other)).await.0 == 200 {
            assert!(begun.elapsed() < STANDING + Duration::from_millis(1500), "round {round}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        longest = longest.max(begun.elapsed());
    }
    println!("a logout was seen by the other bank after {longest:?} at most");
}

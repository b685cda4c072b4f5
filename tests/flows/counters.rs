//! Counters, as a recorder of the application gets them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Recorder, SharedString, Unit};

use crate::{
    log::Log,
    site::Site,
    store::{self, TestStore},
};

/// Keeps what is counted, under the name and the labels.
#[derive(Clone, Default)]
struct Counted(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn decisions_events_and_errors_of_the_store_are_counted() {
    let counted = Counted::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    metrics::with_local_recorder(&counted, || {
        runtime.block_on(async {
            let store = TestStore::default();
            let site = Site::on(store.clone(), |builder| builder.changes_interval(Duration::ZERO));
            site.enrol("kim").await;
            let mut kim = site.native("kim").await;
            kim.get("/payments").await;
            kim.step_up("000000").await;
            kim.step_up(&site.code()).await;
            for _ in 0..3 {
                kim.get("/payments").await;
            }
            store.is_down();
            assert!(site.step_up.ready().await.is_err());
        });
    });
    let counted = counted.0.lock().unwrap();
    let expected = [
        ("tower_step_up_decisions_total outcome=level_too_low", 1),
        ("tower_step_up_decisions_total outcome=passed", 3),
        ("tower_step_up_events_total event=challenged method=none reason=level_too_low", 1),
        ("tower_step_up_events_total event=enrolled method=totp reason=none", 1),
        ("tower_step_up_events_total event=failed method=totp reason=wrong", 1),
        ("tower_step_up_events_total event=passed method=totp reason=none", 1),
        ("tower_step_up_events_total event=rotated method=none reason=none", 1),
        ("tower_step_up_events_total event=signed_in method=password reason=none", 1),
        ("tower_step_up_store_errors_total kind=unavailable", 1),
    ];
    let found: Vec<_> = counted.iter().map(|(name, count)| (name.as_str(), count.load(Ordering::SeqCst))).collect();
    assert_eq!(found, expected);
}

/// Each reading of the log of changes is counted. That it is no longer believed is logged once, and that it is again once more.
#[test]
fn readings_of_the_log_are_counted_and_outages_are_told_once() {
    let counted = Counted::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (log, _guard) = Log::begin();
    let told = || -> Vec<String> {
        let lines = log.take().into_iter().filter(|line| line.starts_with("tower_step_up::sessions"));
        lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let count = |outcome: &str| {
        let counted = counted.0.lock().unwrap();
        let name = format!("tower_step_up_change_readings_total outcome={outcome}");
        counted.get(&name).map_or(0, |count| count.load(Ordering::SeqCst))
    };
    metrics::with_local_recorder(&counted, || {
        runtime.block_on(async {
            let (store, often) = (TestStore::default(), Duration::from_millis(50));
            let site = Site::on(store.clone(), |builder| {
                builder.changes_interval(often).standing_max_age(Duration::from_secs(3))
            });
            let mut kim = site.native("kim").await;
            assert_eq!(kim.get("/account").await.status, 200);
            let until = async |outcome: &str, at_least: u64| {
                let before = count(outcome);
                while count(outcome) < before + at_least {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            until("read", 2).await;
            assert_eq!(count("cut"), 1, "it begins");
            assert_eq!(told(), [""; 0]);
            store.log_is(store::Log::Down);
            let mut lines = Vec::new();
            while lines.is_empty() {
                until("failed", 1).await;
                lines.extend(told());
            }
            until("failed", 3).await;
            lines.extend(told());
            assert_eq!(lines, ["tower_step_up::sessions WARN"]);
            store.log_is(store::Log::AsItIs);
            until("read", 3).await;
            assert_eq!(told(), ["tower_step_up::sessions INFO"]);
            store.log_is(store::Log::Cut);
            until("cut", 2).await;
            assert_eq!(told(), [""; 0]);
        });
    });
}

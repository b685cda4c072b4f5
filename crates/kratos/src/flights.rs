//! One question at a time for each session, however many requests wait for its answer.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};

use crate::credential::Key;

type Question<T> = Shared<Pin<Box<dyn Future<Output = T> + Send>>>;
type UnderWay<T> = Arc<Mutex<HashMap<Key, Asked<T>>>>;

/// A question. All who wait for it hold it, and any of them carries it on. When the last one gives up, it ends.
struct Flight<T> {
    id: u64,
    /// When it was asked; empty as long as it is not.
    began: Arc<OnceLock<Instant>>,
    question: WeakShared<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T> Flight<T> {
    /// Whether its answer is young enough for who arrived then.
    fn suits(&self, arrived: Instant, staleness: Duration) -> bool {
        let is_young = |began: &Instant| *began >= arrived || arrived.duration_since(*began) < staleness;
        self.began.get().is_none_or(is_young)
    }
}

/// What is asked about one session: now, and after that.
struct Asked<T> {
    now: Flight<T>,
    next: Option<Flight<T>>,
}

/// The questions that are under way. There are never more than requests that wait.
pub(crate) struct Flights<T> {
    under_way: UnderWay<T>,
    next_id: AtomicU64,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(crate) fn new() -> Self {
        Self { under_way: Arc::default(), next_id: AtomicU64::new(0) }
    }

    /// The answer to a question about this session. A question that is under way is joined if it was asked less than `staleness` ago, so that
    /// no answer is older than that. Otherwise a new one follows it, for all who have come meanwhile.
    pub(crate) async fn join<F>(&self, key: Key, staleness: Duration, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.board(key, Instant::now(), staleness, ask).await
    }

    fn board<F>(&self, key: Key, arrived: Instant, staleness: Duration, ask: impl FnOnce() -> F) -> Question<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        // Declared first, so that they are dropped last: the end of a question takes the lock.
        let (now, next);
        let mut under_way = lock(&self.under_way);
        let asked = under_way.get(&key);
        now = asked.and_then(|asked| Some((asked.now.question.upgrade()?, asked.now.suits(arrived, staleness))));
        next = asked.and_then(|asked| asked.next.as_ref()?.question.upgrade());
        match (&now, &next) {
            (Some((now, true)), _) => now.clone(),
            // It is asked when the one before has ended, so it suits everybody.
            (_, Some(next)) => next.clone(),
            (Some((now, false)), None) => {
                let (flight, question) = self.flight(key, Some(now.clone()), ask());
                if let Some(asked) = under_way.get_mut(&key) {
                    asked.next = flight;
                }
                question
            }
            (None, None) => {
                let (flight, question) = self.flight(key, None, ask());
                under_way.extend(flight.map(|now| (key, Asked { now, next: None })));
                question
            }
        }
    }

    /// A question that is asked when the one before it has ended.
    fn flight<F>(&self, key: Key, before: Option<Question<T>>, asked: F) -> (Option<Flight<T>>, Question<T>)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (began, landing) = (Arc::default(), Landing { under_way: Arc::clone(&self.under_way), key, id });
        let begins: Arc<OnceLock<Instant>> = Arc::clone(&began);
        let question: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(async move {
            let _landing = landing;
            if let Some(before) = before {
                before.await;
            }
            begins.get_or_init(Instant::now);
            asked.await
        });
        let question = question.shared();
        // Always there: it has no answer yet.
        let flight = question.downgrade().map(|question| Flight { id, began, question });
        (flight, question)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        lock(&self.under_way).len()
    }
}

/// No code panics while it holds the lock, and the map is whole after each step.
fn lock<T>(under_way: &UnderWay<T>) -> MutexGuard<'_, HashMap<Key, Asked<T>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Part of a question: goes with it, answered or given up.
struct Landing<T> {
    under_way: UnderWay<T>,
    key: Key,
    id: u64,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        let Some(asked) = under_way.get_mut(&self.key) else { return };
        if asked.now.id == self.id {
            match asked.next.take() {
                Some(next) => asked.now = next,
                None => drop(under_way.remove(&self.key)),
            }
        } else if asked.next.as_ref().is_some_and(|next| next.id == self.id) {
            asked.next = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Context, Poll, Waker},
    };

    use tokio::sync::{Semaphore, watch};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const KEY: Key = [1; 32];

    /// A service that answers when it is told to, and counts.
    #[derive(Clone)]
    struct Service {
        asked: Arc<AtomicUsize>,
        answered: Arc<AtomicUsize>,
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
        may_answer: Arc<Semaphore>,
    }

    struct Asking(Arc<AtomicUsize>);

    impl Drop for Asking {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Service {
        fn new() -> Self {
            let count = Arc::<AtomicUsize>::default;
            let may_answer = Arc::new(Semaphore::new(0));
            Self { asked: count(), answered: count(), now: count(), most: count(), may_answer }
        }

        /// The number of the question.
        fn ask(&self) -> impl Future<Output = usize> + Send + 'static {
            let this = self.clone();
            async move {
                let number = this.asked.fetch_add(1, Ordering::SeqCst);
                let before = this.now.fetch_add(1, Ordering::SeqCst);
                this.most.fetch_max(before.saturating_add(1), Ordering::SeqCst);
                let _asking = Asking(Arc::clone(&this.now));
                this.may_answer.acquire().await.unwrap().forget();
                this.answered.fetch_add(1, Ordering::SeqCst);
                number
            }
        }
    }

    fn is_pending<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> bool {
        matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
    }

    #[tokio::test]
    async fn all_who_come_meanwhile_wait_for_one_answer() {
        let (flights, service) = (Flights::new(), Service::new());
        let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(flights.join(KEY, LONG, || service.ask()))).collect();
        assert!(waiting.iter_mut().all(is_pending));
        let mut other = Box::pin(flights.join([2; 32], LONG, || service.ask()));
        assert!(is_pending(&mut other), "another session does not wait for it");
        assert_eq!((service.asked.load(Ordering::SeqCst), flights.count()), (2, 2));
        service.may_answer.add_permits(2);
        for answer in waiting {
            assert_eq!(answer.await, 0);
        }
        assert_eq!(other.await, 1);
        assert_eq!(flights.count(), 0);
        service.may_answer.add_permits(1);
        assert_eq!(flights.join(KEY, LONG, || service.ask()).await, 2, "nothing is kept");
    }

    #[tokio::test]
    async fn whoever_gives_up_takes_no_answer_from_the_others() {
        let (flights, service) = (Flights::new(), Service::new());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(flights.join(KEY, LONG, || service.ask()))).collect();
        assert!(waiting.iter_mut().all(is_pending));
        drop(waiting.remove(0));
        drop(waiting.remove(1));
        service.may_answer.add_permits(1);
        assert_eq!(waiting.remove(0).await, 0);
        assert_eq!(service.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn when_all_give_up_the_question_ends_and_the_next_one_begins() {
        let (flights, service) = (Flights::new(), Service::new());
        let mut first = Box::pin(flights.join(KEY, LONG, || service.ask()));
        assert!(is_pending(&mut first));
        drop(first);
        assert_eq!((service.now.load(Ordering::SeqCst), flights.count()), (0, 0));
        service.may_answer.add_permits(1);
        assert_eq!(flights.join(KEY, LONG, || service.ask()).await, 1);
    }

    #[tokio::test]
    async fn what_may_not_be_stale_is_not_answered_by_what_was_asked_before() {
        let (flights, service) = (Flights::new(), Service::new());
        let join = || Box::pin(flights.join(KEY, Duration::ZERO, || service.ask()));
        let mut first = join();
        assert!(is_pending(&mut first));
        // So that none comes in the same instant.
        let began = Instant::now();
        while Instant::now() == began {}
        let mut later: Vec<_> = (0..20).map(|_| join()).collect();
        assert!(later.iter_mut().all(is_pending));
        assert_eq!(service.asked.load(Ordering::SeqCst), 1, "they wait");
        service.may_answer.add_permits(2);
        assert_eq!(first.await, 0);
        for answer in later {
            assert_eq!(answer.await, 1);
        }
        assert_eq!((service.asked.load(Ordering::SeqCst), service.most.load(Ordering::SeqCst)), (2, 1));
    }

    #[tokio::test]
    async fn who_waits_for_the_next_question_may_give_up_too() {
        let (flights, service) = (Flights::new(), Service::new());
        let join = || Box::pin(flights.join(KEY, Duration::ZERO, || service.ask()));
        let mut first = join();
        assert!(is_pending(&mut first));
        let began = Instant::now();
        while Instant::now() == began {}
        let mut second = join();
        assert!(is_pending(&mut second));
        drop(second);
        let mut third = join();
        assert!(is_pending(&mut third));
        assert_eq!(service.asked.load(Ordering::SeqCst), 1, "the first is still under way");
        // The first gives up; the third carries it to its end.
        drop(first);
        service.may_answer.add_permits(2);
        assert_eq!(third.await, 1);
        assert_eq!((service.most.load(Ordering::SeqCst), flights.count()), (1, 0));
    }

    /// On several threads, with requests that give up at any point: never two questions at once, nothing is left, and none waits for a lock
    /// that it holds.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn there_is_never_more_than_one_question() {
        let (flights, service) = (Arc::new(Flights::new()), Service::new());
        service.may_answer.add_permits(100_000);
        let (go, ready) = watch::channel(false);
        let tasks: Vec<_> = (0..4000_u64)
            .map(|number| {
                let (flights, service, mut ready) = (Arc::clone(&flights), service.clone(), ready.clone());
                tokio::spawn(async move {
                    ready.wait_for(|go| *go).await.unwrap();
                    let staleness = if number % 2 == 0 { Duration::ZERO } else { LONG };
                    let ask = || {
                        let asked = service.ask();
                        async move {
                            tokio::task::yield_now().await;
                            let number = asked.await;
                            tokio::task::yield_now().await;
                            number
                        }
                    };
                    let joined = flights.join(KEY, staleness, ask);
                    if number % 3 == 0 {
                        let mut joined = Box::pin(joined);
                        std::future::poll_fn(|context| Poll::Ready(joined.as_mut().poll(context).is_ready())).await;
                    } else {
                        joined.await;
                    }
                })
            })
            .collect();
        go.send(true).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((service.most.load(Ordering::SeqCst), flights.count()), (1, 0));
        assert!(service.answered.load(Ordering::SeqCst) > 0);
    }
}

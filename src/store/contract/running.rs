//! How checks are run: under their names, and many calls at once.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

/// Names the check that the store fails.
pub(super) async fn named(name: &str, check: impl Future<Output = ()>) {
    let mut check = Box::pin(check);
    let outcome = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await;
    if let Err(panic) = outcome {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panics");
        panic!("the store fails {name}: {said}");
    }
}

/// Makes this many calls at once, and returns all results.
///
/// Several tasks run side by side, and each polls a few of the calls in turn. So a store that reads, awaits and then writes is
/// caught on a machine with one processor too: all calls of a task have read before the first of them writes.
pub(super) async fn at_once<T, Fut>(calls: usize, call: impl Fn(usize) -> Fut) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    const TOGETHER: usize = 4;
    let start = Arc::new(tokio::sync::Barrier::new(calls.div_ceil(TOGETHER)));
    let mut calls: Vec<_> = (0..calls).map(|number| Box::pin(call(number))).collect();
    let mut tasks = Vec::new();
    while !calls.is_empty() {
        let start = Arc::clone(&start);
        let together: Vec<_> = calls.drain(..TOGETHER.min(calls.len())).collect();
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            in_turn(together).await
        }));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.extend(task.await.expect("a task that does not panic"));
    }
    outcomes
}

async fn in_turn<Fut: Future + Unpin>(mut calls: Vec<Fut>) -> Vec<Fut::Output> {
    let mut outcomes: Vec<_> = calls.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ready) = Pin::new(call).poll(context)
            {
                *outcome = Some(ready);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

//! All cases in turn, a short batch of each, again and again: what the machine does meanwhile meets all of them alike. A round's ratio is
//! to the bare server of the same round, and the result is the median over all rounds.

use std::{convert::Infallible, time::Instant};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt as _};

/// Something to measure. What `prepare` does is not.
pub trait Work {
    /// Makes ready for so many operations.
    fn prepare(&mut self, count: usize, runtime: &Runtime);
    /// Carries them out.
    fn run(&mut self, runtime: &Runtime);
}

/// One case of the table.
pub struct Case {
    pub name: String,
    /// Operations in a row. Few where one takes long.
    pub batch: usize,
    /// Takes part only in every so many rounds.
    pub every: usize,
    pub work: Box<dyn Work>,
}

impl Case {
    pub fn new(name: impl Into<String>, work: impl Work + 'static) -> Self {
        Self { name: name.into(), batch: 256, every: 1, work: Box::new(work) }
    }

    pub fn slow(self, batch: usize, every: usize) -> Self {
        Self { batch, every, ..self }
    }
}

/// Requests through a router, as `axum::serve` passes them.
pub struct Requests<S> {
    service: S,
    make: Box<dyn FnMut() -> Request<Body>>,
    count: usize,
}

impl<S, B> Requests<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    /// The first answer must have this status.
    pub fn new(
        service: S,
        runtime: &Runtime,
        expected: StatusCode,
        mut make: impl FnMut() -> Request<Body> + 'static,
    ) -> Self {
        for _ in 0..3 {
            let response = runtime.block_on(service.clone().oneshot(make())).unwrap();
            assert_eq!(response.status(), expected);
        }
        Self { service, make: Box::new(make), count: 0 }
    }
}

impl<S, B> Work for Requests<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
{
    fn prepare(&mut self, count: usize, _: &Runtime) {
        self.count = count;
    }

    /// Making the request is a part of each, as reading it is for a server; a store of ready ones would be cold.
    fn run(&mut self, runtime: &Runtime) {
        runtime.block_on(async {
            for _ in 0..self.count {
                let request = (self.make)();
                let response = self.service.clone().oneshot(request).await;
                std::hint::black_box(response.is_ok());
            }
        });
    }
}

/// A function.
pub struct Function<F>(pub F, pub usize);

impl<F: FnMut()> Work for Function<F> {
    fn prepare(&mut self, count: usize, _: &Runtime) {
        self.1 = count;
    }

    fn run(&mut self, _: &Runtime) {
        for _ in 0..self.1 {
            (self.0)();
        }
    }
}

/// What a case came to.
pub struct Line {
    pub name: String,
    /// Median of the ratios to the bare server.
    pub ratio: f64,
    /// Half of the rounds lie between these.
    pub quartiles: (f64, f64),
    pub nanoseconds: f64,
    pub over_bare: f64,
}

/// How often the bare server is measured in each round. The others stand between.
const BARE: usize = 5;

fn time(case: &mut Case, runtime: &Runtime) -> f64 {
    case.work.prepare(case.batch, runtime);
    let begun = Instant::now();
    case.work.run(runtime);
    begun.elapsed().as_nanos() as f64 / case.batch as f64
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at).round() as usize]
}

/// Measures the cases against the first, which is the bare server.
pub fn alternate(cases: &mut [Case], runtime: &Runtime, rounds: usize) -> Vec<Line> {
    let (bare, others) = cases.split_first_mut().expect("a bare server");
    let mut times: Vec<Vec<(f64, f64)>> = others.iter().map(|_| Vec::new()).collect();
    let mut bares = Vec::new();
    let length = others.len().max(1);
    for round in 0..rounds {
        let mut bare_times = Vec::new();
        let mut taken = Vec::new();
        for place in 0..others.len() {
            if place % length.div_ceil(BARE) == 0 {
                bare_times.push(time(bare, runtime));
            }
            // Another order each time.
            let index = (place + round * 7) % others.len();
            if round % others[index].every == 0 {
                taken.push((index, time(&mut others[index], runtime)));
            }
        }
        bare_times.push(time(bare, runtime));
        let bare_time = quantile(&mut bare_times, 0.5);
        bares.push(bare_time);
        for (index, taken) in taken {
            times[index].push((taken, bare_time));
        }
    }
    let bare_time = quantile(&mut bares, 0.5);
    let mut lines = vec![Line {
        name: bare.name.clone(),
        ratio: 1.0,
        quartiles: (1.0, 1.0),
        nanoseconds: bare_time,
        over_bare: 0.0,
    }];
    for (case, times) in others.iter().zip(times) {
        let mut ratios: Vec<_> = times.iter().map(|(time, bare)| time / bare).collect();
        let ratio = quantile(&mut ratios, 0.5);
        let quartiles = (quantile(&mut ratios, 0.25), quantile(&mut ratios, 0.75));
        lines.push(Line {
            name: case.name.clone(),
            ratio,
            quartiles,
            nanoseconds: ratio * bare_time,
            over_bare: (ratio - 1.0) * bare_time,
        });
    }
    lines
}

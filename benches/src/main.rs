//! The tables. See `README.md`.

use std::{env, process::Command};

use tower_step_up_bench::{
    cases, changes, contention, growth,
    measure::{Line, alternate},
    rows, sockets, step_ups,
    world::World,
};

const USAGE: &str = "\
bench table [FILTER] [ROUNDS]   every case of requests in one process, against bare axum
bench growth                    the warm path and memory, with 10 to 1 000 000 sessions
bench contention                one thread and two, on one token and on many
bench sockets                   servers over sockets, loaded by wrk
bench step-ups [STORE]          step-ups over sockets, on every store
bench changes [COUNT] [SECONDS] [EACH] [STORE]
                                reads of the store with the log of changes and without, beside axum-login, and what the log costs
bench rows [COUNTS] [FLOWS] [STORE]
                                calls on a database with so many sessions (10000,1000000), and FLOWS expired flows for each
bench one NAME COUNT            one case alone, for a profiler";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |place: usize| arguments.get(place).map(String::as_str);
    match argument(0) {
        Some("table") => table(argument(1).unwrap_or(""), argument(2).map_or(600, |rounds| rounds.parse().unwrap())),
        Some("growth") => growth::table(),
        Some("contention") => contention::table(),
        Some("sockets") => sockets::table(),
        Some("step-ups") => step_ups::table(argument(1).unwrap_or("")),
        Some("serve") => sockets::serve(argument(1).unwrap()),
        Some("serve-step-ups") => step_ups::serve(argument(1).unwrap(), argument(2).unwrap()),
        Some("changes") => changes::table(
            argument(1).map_or(20_000, |text| text.parse().unwrap()),
            argument(2).map_or(30, |text| text.parse().unwrap()),
            argument(3).map_or(10.0, |text| text.parse().unwrap()),
            argument(4).unwrap_or(""),
        ),
        Some("serve-changes") => changes::serve(
            argument(1).unwrap(),
            argument(2).unwrap(),
            argument(3).unwrap().parse().unwrap(),
            argument(4).unwrap().parse().unwrap(),
            argument(5).unwrap().parse().unwrap(),
            argument(6).unwrap(),
        ),
        Some("rows") => {
            let sessions: Vec<u64> =
                argument(1).unwrap_or("10000,1000000").split(',').map(|count| count.parse().unwrap()).collect();
            rows::table(&sessions, argument(2).map_or(5, |flows| flows.parse().unwrap()), argument(3).unwrap_or(""));
        }
        Some("one") => one(argument(1).unwrap(), argument(2).unwrap().parse().unwrap()),
        _ => println!("{USAGE}"),
    }
}

fn table(filter: &str, rounds: usize) {
    // Counted by another program, since counting makes each allocation dearer.
    let counts = Command::new(env::current_exe().unwrap().with_file_name("allocations")).arg(filter).output().unwrap();
    let counts = String::from_utf8(counts.stdout).unwrap();
    let count =
        |name: &str| counts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t')?.parse::<i64>().ok());
    let world = World::new();
    let mut cases = cases::all(&world, filter);
    let lines = alternate(&mut cases, &world.runtime, rounds);
    let bare = count(&lines[0].name);
    println!("| case | x bare | half of the rounds | us | us over bare | allocations over bare |");
    println!("|---|---|---|---|---|---|");
    for Line { name, ratio, quartiles: (low, high), nanoseconds, over_bare } in &lines {
        let allocations = count(name).zip(bare).map_or_else(|| "?".to_owned(), |(own, bare)| (own - bare).to_string());
        let (own, over) = (nanoseconds / 1e3, over_bare / 1e3);
        println!("| {name} | {ratio:.2} | {low:.2}-{high:.2} | {own:.2} | {over:.2} | {allocations} |");
    }
}

fn one(name: &str, count: usize) {
    let world = World::new();
    let mut cases = cases::all(&world, name);
    let case = cases.iter_mut().find(|case| case.name == name).expect("a case of this name");
    for _ in 0..count.div_ceil(case.batch) {
        case.work.prepare(case.batch, &world.runtime);
        case.work.run(&world.runtime);
    }
}

//! How many allocations each case makes, once it is warm. A program of its own: counting costs time.

use allocation_counter::measure;
use tokio::runtime::Runtime;
use tower_step_up_bench::{cases, measure::Case, world::World};

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let world = World::new();
    for mut case in cases::all(&world, &filter) {
        let count = allocations(&mut case, &world.runtime);
        println!("{}\t{count}", case.name);
    }
}

/// The difference that one operation more makes.
fn allocations(case: &mut Case, runtime: &Runtime) -> u64 {
    let mut count = |operations: usize| {
        case.work.prepare(operations, runtime);
        measure(|| case.work.run(runtime)).count_total
    };
    count(2);
    let mut counts: Vec<u64> = (0..5).map(|_| count(3).saturating_sub(count(2))).collect();
    counts.sort_unstable();
    counts[2]
}

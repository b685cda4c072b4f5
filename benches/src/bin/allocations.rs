//! How many allocations each case makes. A program of its own: counting costs time.

use tower_step_up_bench::{cases, measure::allocations, world::World};

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let world = World::new();
    for mut case in cases::all(&world, &filter) {
        let count = allocations(&mut case, &world.runtime);
        println!("{}\t{count}", case.name);
    }
}

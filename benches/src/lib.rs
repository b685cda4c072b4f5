//! What the crate costs, beside what else a user could take, and beside the limit. `README.md` has the commands.

pub mod cases;
pub mod change_costs;
pub mod changes;
pub mod contention;
pub mod growth;
pub mod logged_in;
pub mod measure;
pub mod requests;
pub mod rows;
pub mod sockets;
pub mod step_ups;
pub mod world;

#[path = "../../tests/servers/mod.rs"]
pub mod servers;

#[path = "../../tests/common/store.rs"]
pub mod store;

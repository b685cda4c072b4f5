//! The seams of the layers, used as a stranger uses them: one door to every verdict, sessions of others, answers of one's own, any type
//! of body.

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod door;
mod refusal;
mod source;

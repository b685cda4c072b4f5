mod app;
mod auth;
mod protected;

pub use app::App;

//! The command line: what a person types first, and what they get when it is wrong.

#[path = "../common/mod.rs"]
mod common;

mod bucket;
mod detect;
mod jobs;
mod migrate;
mod model;
mod settings;
mod settings_table;
mod up;

//! `app serve` over HTTP.

#[path = "../common/mod.rs"]
mod common;

mod contract;
mod create;
mod failures;
mod memory;
mod v1;

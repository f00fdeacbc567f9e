//! `app serve` over HTTP.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod contract;
mod create;
mod exports;
mod failures;
mod flat;
mod limits;
mod media;
mod memory;
mod openapi;
mod outbound;
mod runs;
mod snapshots;
mod uploads;
mod v1;

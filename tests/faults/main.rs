//! What happens when everything goes wrong at once. `CHAOS_DOCUMENTS=200` makes it longer.

#[path = "../common/mod.rs"]
mod common;

mod apalis;
mod chaos;
mod disk;
mod hosts;
mod outage;
mod transaction;

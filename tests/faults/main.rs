//! What happens when everything goes wrong at once. `CHAOS_DOCUMENTS=200` makes it longer.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/jobs.rs"]
mod jobs;

mod chaos;
mod disk;
mod hosts;
mod outage;
mod remedies;
mod transaction;

//! Faults of apalis-postgres 1.0 and sqlx 0.9 that docreader has remedies for, shown on them as they come.
//! `make check-canaries` runs these. One that fails says that a fault is mended and its remedy may go; `make test` does not
//! depend on it. The remedies are tested in tests/faults/.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/jobs.rs"]
mod jobs;

mod death;
mod delivery;
mod transaction;
mod upkeep;

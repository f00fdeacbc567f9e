//! PostgreSQL and S3 for `app up` and for tests: the real things, with nothing to set up and nothing on the network but loopback.

mod binaries;
mod folder;
mod owner;
mod postgres;
mod process;
mod s3;

pub use postgres::Postgres;
pub use process::die_with_parent;
pub use s3::S3Server;

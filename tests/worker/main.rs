//! `app work`: from a queued document to rows and objects.

#[path = "../common/mod.rs"]
mod common;

mod bad_documents;
mod chunks;
mod handover;
mod results;

//! The pages for people: accounts over HTTP, and everything in a browser.

#[path = "../common/mod.rs"]
mod common;

mod accounts;
mod browser;
mod commands;
mod csrf;
mod flows;
mod load;
mod pages;
mod person;
mod roles;
mod screenshots;
mod sessions;
mod views;
mod world;

//! docreader finds titles, text, lists, tables and figures in documents: a Detectron2 model behind a REST API.
//!
//! The modules stand in the order of docs/ARCHITECTURE.md: each imports only from those below it. [`rcnn`] is usable by itself.

pub mod accounts;
pub mod admin;
pub mod api;
pub mod commands;
pub mod config;
pub mod database;
pub mod documents;
pub mod embedded;
pub mod kernels;
pub mod outbound;
pub mod pipeline;
pub mod queue;
pub mod rcnn;
pub mod render;
pub mod storage;
pub mod telemetry;

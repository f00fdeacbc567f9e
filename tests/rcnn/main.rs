//! docreader against Detectron2 itself: the fixtures hold its inputs, intermediate tensors and results.

#[path = "../common/skip.rs"]
mod skip;

mod checkpoints;
mod fidelity;

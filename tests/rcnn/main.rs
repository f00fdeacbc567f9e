//! docreader against Detectron2 itself: the fixtures hold its inputs, intermediate tensors and results.

mod checkpoints;
mod fidelity;

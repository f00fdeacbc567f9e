//! Every stage of a network, for comparison with a reference.

use super::detection::Instances;
use super::proposals::Proposals;

/// What each stage made of one image.
#[derive(Debug)]
pub struct Trace {
    /// p2 … p6.
    pub features: Vec<HostTensor>,
    pub proposals: Proposals,
    /// Of the first proposals that the heads took, eight at most.
    pub box_pooled: HostTensor,
    /// For each proposal K + 1 class logits, background last.
    pub box_logits: Vec<f32>,
    /// For each proposal 4K, or 4.
    pub box_deltas: Vec<f32>,
    pub instances: Instances,
    /// For each instance the probabilities of its mask, row by row, if the network makes masks.
    pub masks: Option<Vec<Vec<f32>>>,
}

/// A map in memory.
#[derive(Debug)]
pub struct HostTensor {
    /// [N, C, H, W]
    pub shape: [usize; 4],
    pub data: Vec<f32>,
}

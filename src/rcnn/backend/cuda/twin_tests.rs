//! Kernels, as the network calls them, against the code for the CPU that they follow, over random shapes.

mod detections;
mod maps;
mod proposals;

use std::sync::Arc;

use super::dtype::Dtype;
use super::heads::Ranked;
use super::layer::{FeatureMap, Ops};
use super::runtime::{Buffer, Context, Number};
use super::twin::TwinRuntime;
use crate::rcnn::geometry::boxes::Box2;

fn ops(dtype: Dtype) -> Ops {
    Ops { context: Context(Arc::new(TwinRuntime::default())), dtype }
}

impl Ops {
    fn buffer_of<T: Number>(&self, values: &[T]) -> Buffer {
        self.context.upload(values).unwrap()
    }

    fn map_of(&self, values: &[f32], [count, height, width, channels]: [usize; 4]) -> FeatureMap {
        assert_eq!(values.len(), count * height * width * channels);
        FeatureMap { buffer: self.context.upload_as(values, self.dtype).unwrap(), count, height, width, channels }
    }

    fn values<T: Number + Default>(&self, buffer: &Buffer, count: usize) -> Vec<T> {
        self.context.download(buffer.address, count).unwrap()
    }

    /// Lists with room for `most` boxes, of which there are so many, and scores that nobody reads.
    fn ranked(&self, boxes: &[Box2], counts: &[i32], most: usize) -> Ranked {
        let scores = self.buffer_of::<f32>(&[]);
        Ranked { boxes: self.buffer_of(boxes), scores, counts: self.buffer_of(counts), lists: counts.len(), most }
    }

    /// Width and height of each image.
    fn sizes(&self, sizes: &[(usize, usize)]) -> Buffer {
        self.buffer_of(&sizes.iter().map(|&(w, h)| [w as f32, h as f32]).collect::<Vec<_>>())
    }

    /// Boxes, scores and counts.
    fn lists(&self, of: &Ranked) -> (Vec<Box2>, Vec<f32>, Vec<i32>) {
        let places = of.lists * of.most;
        (self.values(&of.boxes, places), self.values(&of.scores, places), self.values(&of.counts, of.lists))
    }
}

/// Numbers that are the same each time.
pub struct Random(u32);

impl Random {
    /// In 0..1.
    fn value(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + self.value() * (high - low)
    }

    /// `low` to `high`, both included.
    fn integer(&mut self, low: usize, high: usize) -> usize {
        low + (self.value() * (high - low + 1) as f32) as usize
    }

    fn is(&mut self, probability: f32) -> bool {
        self.value() < probability
    }

    /// Mostly ordinary.
    fn odd_value(&mut self, low: f32, high: f32) -> f32 {
        let odd = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MAX, f32::MIN_POSITIVE];
        if self.is(0.01) { odd[self.integer(0, odd.len() - 1)] } else { self.between(low, high) }
    }
}

/// As bits, of which each is compared.
fn bits<const N: usize>(boxes: &[[f32; N]]) -> Vec<[u32; N]> {
    boxes.iter().map(|b| b.map(f32::to_bits)).collect()
}

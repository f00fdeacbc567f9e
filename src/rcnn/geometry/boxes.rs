//! Boxes as `[x0, y0, x1, y1]` in pixels: decoding, clipping and non-maximum suppression.

use crate::kernels::vectorized;

pub type Box2 = [f32; 4];

/// The largest growth that a predicted log-size may ask for: `ln(1000/16)`, Detectron2's `_DEFAULT_SCALE_CLAMP`.
const SCALE_CLAMP: f32 = 4.135_166_6;

/// Applies deltas (dx, dy, dw, dh) to a box (`Box2BoxTransform.apply_deltas`).
pub fn apply_deltas(b: &Box2, deltas: [f32; 4], weights: &[f32; 4]) -> Box2 {
    let (w, h) = (b[2] - b[0], b[3] - b[1]);
    let (cx, cy) = (b[0] + 0.5 * w, b[1] + 0.5 * h);
    let [dx, dy] = [deltas[0] / weights[0], deltas[1] / weights[1]];
    let [dw, dh] = [deltas[2] / weights[2], deltas[3] / weights[3]].map(|d| d.min(SCALE_CLAMP));
    let (px, py) = (dx * w + cx, dy * h + cy);
    let (pw, ph) = (dw.exp() * w, dh.exp() * h);
    [px - 0.5 * pw, py - 0.5 * ph, px + 0.5 * pw, py + 0.5 * ph]
}

/// Cuts a box at the edges of an image of `width` × `height` pixels.
pub fn clip(b: Box2, width: f32, height: f32) -> Box2 {
    [b[0].clamp(0.0, width), b[1].clamp(0.0, height), b[2].clamp(0.0, width), b[3].clamp(0.0, height)]
}

/// A box of an image of the size `from` (width, height) in the same image at the size `to`, cut at its edges; `None` if nothing of it is left.
pub fn rescale(b: &Box2, from: (f32, f32), to: (f32, f32)) -> Option<Box2> {
    let [x, y] = [to.0 / from.0, to.1 / from.1];
    let b = clip([b[0] * x, b[1] * y, b[2] * x, b[3] * y], to.0, to.1);
    (b[2] > b[0] && b[3] > b[1]).then_some(b)
}

pub fn area(b: &Box2) -> f32 {
    (b[2] - b[0]) * (b[3] - b[1])
}

/// A candidate of non-maximum suppression; `group` is its level or class, within which it competes.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    pub bounds: Box2,
    pub score: f32,
    pub group: usize,
}

/// Indices of the candidates that survive, best first: one is dropped when a better one of its group overlaps it with an
/// intersection over union above `threshold` (torchvision's `batched_nms`). Equal scores keep their order.
pub fn batched_nms(candidates: &[Candidate], threshold: f32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| candidates[b].score.total_cmp(&candidates[a].score));
    let groups = candidates.iter().map(|c| c.group + 1).max().unwrap_or(0);
    let mut kept: Vec<Kept> = (0..groups).map(|_| Kept::default()).collect();
    vectorized(|| order.retain(|&i| kept[candidates[i].group].take(&candidates[i].bounds, threshold)));
    order
}

/// A group's boxes that survived, side by side.
#[derive(Default)]
struct Kept {
    blocks: Vec<[[f32; BLOCK]; 5]>,
    count: usize,
}

const BLOCK: usize = 16;

impl Kept {
    /// Takes a box unless one that is there overlaps it.
    #[inline(always)]
    fn take(&mut self, bounds: &Box2, threshold: f32) -> bool {
        let own = area(bounds);
        for [x0, y0, x1, y1, areas] in &self.blocks {
            let mut suppressed = false;
            for i in 0..BLOCK {
                let w = (bounds[2].min(x1[i]) - bounds[0].max(x0[i])).max(0.0);
                let h = (bounds[3].min(y1[i]) - bounds[1].max(y0[i])).max(0.0);
                let inter = w * h;
                suppressed |= inter / (own + areas[i] - inter) > threshold;
            }
            if suppressed {
                return false;
            }
        }
        let (block, at) = (self.count / BLOCK, self.count % BLOCK);
        if at == 0 {
            // Far from any box, so that nothing overlaps it.
            self.blocks.push([
                [f32::MAX; BLOCK],
                [f32::MAX; BLOCK],
                [f32::MIN; BLOCK],
                [f32::MIN; BLOCK],
                [0.0; BLOCK],
            ]);
        }
        for (values, value) in self.blocks[block].iter_mut().zip(bounds.iter().copied().chain([own])) {
            values[at] = value;
        }
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nms_is_per_group_and_best_first() {
        let c = |x: f32, score, group| Candidate { bounds: [x, 0., x + 10., 10.], score, group };
        // 1 overlaps 0 by 9/11 and is worse; 2 is another group; 3 overlaps 0 by 5/15 only
        let kept = batched_nms(&[c(0., 0.9, 0), c(1., 0.8, 0), c(1., 0.95, 1), c(5., 0.5, 0)], 0.5);
        assert_eq!(kept, [2, 0, 3]);
    }

    /// Against the definition, box by box.
    #[test]
    fn nms_of_many() {
        let mut seed = 1u32;
        let mut value = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32
        };
        let candidates: Vec<Candidate> = (0..600)
            .map(|_| {
                let (x, y) = (value() * 60.0, value() * 60.0);
                let bounds = [x, y, x + value() * 40.0, y + value() * 40.0];
                Candidate { bounds, score: value(), group: (value() * 3.0) as usize }
            })
            .collect();
        for threshold in [0.0, 0.3, 0.7] {
            let overlap = |a: &Box2, b: &Box2| {
                let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
                let inter = side(0) * side(1);
                inter / (area(a) + area(b) - inter)
            };
            let mut order: Vec<usize> = (0..candidates.len()).collect();
            order.sort_by(|&a, &b| candidates[b].score.total_cmp(&candidates[a].score));
            let mut kept: Vec<usize> = vec![];
            for i in order {
                let same = kept.iter().filter(|&&j| candidates[j].group == candidates[i].group);
                if same.clone().all(|&j| overlap(&candidates[i].bounds, &candidates[j].bounds) <= threshold) {
                    kept.push(i);
                }
            }
            assert_eq!(batched_nms(&candidates, threshold), kept);
        }
    }

    #[test]
    fn growth_is_clamped() {
        let b = apply_deltas(&[0., 0., 16., 16.], [0., 0., 100., 0.], &[1.; 4]);
        assert!((b[2] - b[0] - 1000.0).abs() < 0.1, "{b:?}");
    }
}

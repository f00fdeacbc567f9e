//! Instance masks: pasted into the image (`detectron2/layers/mask_ops.py`) and kept as COCO run-length encoding.

use serde::{Deserialize, Serialize};

use crate::rcnn::geometry::boxes::Box2;

/// A binary mask in COCO's compressed run-length encoding, column by column, as `pycocotools.mask` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rle {
    /// Height, then width, in pixels.
    pub size: [u32; 2],
    pub counts: String,
}

/// Pastes a `side` × `side` mask of probabilities into its box in an image of `width` × `height` pixels; a pixel belongs to
/// the mask where the bilinear sample at its centre is at least one half.
pub fn paste(mask: &[f32], side: usize, bounds: &Box2, width: u32, height: u32) -> Rle {
    let range = |low: f32, high: f32, limit: u32| {
        let start = (low.floor() - 1.0).max(0.0) as u32;
        start..((high.ceil() + 1.0).max(0.0) as u32).min(limit)
    };
    let (rows, columns) = (range(bounds[1], bounds[3], height), range(bounds[0], bounds[2], width));
    // Positions in mask cells, as grid_sample (align_corners=False) computes them.
    let position = |pixel: u32, low: f32, high: f32| {
        let unit = (pixel as f32 + 0.5 - low) / (high - low) * 2.0 - 1.0;
        ((unit + 1.0) * side as f32 - 1.0) / 2.0
    };
    let ys: Vec<f32> = rows.clone().map(|y| position(y, bounds[1], bounds[3])).collect();
    let mut runs = Runs::default();
    for x in columns {
        let sx = position(x, bounds[0], bounds[2]);
        for (y, &sy) in rows.clone().zip(&ys) {
            if sample(mask, side, sx, sy) >= 0.5 {
                runs.set(u64::from(x) * u64::from(height) + u64::from(y));
            }
        }
    }
    Rle { size: [height, width], counts: compress(&runs.finish(u64::from(width) * u64::from(height))) }
}

/// Bilinear sample with zeros outside.
fn sample(mask: &[f32], side: usize, x: f32, y: f32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let at = |cx: f32, cy: f32| {
        let inside = |v: f32| (0.0..side as f32).contains(&v);
        if inside(cx) && inside(cy) { mask[cy as usize * side + cx as usize] } else { 0.0 }
    };
    at(x0, y0) * (1.0 - fx) * (1.0 - fy)
        + at(x0 + 1.0, y0) * fx * (1.0 - fy)
        + at(x0, y0 + 1.0) * (1.0 - fx) * fy
        + at(x0 + 1.0, y0 + 1.0) * fx * fy
}

/// Collects set pixels, in order, as alternating lengths of zeros and ones.
#[derive(Default)]
struct Runs {
    counts: Vec<u64>,
    end: u64,
}

impl Runs {
    fn set(&mut self, at: u64) {
        self.set_all(at, at + 1);
    }

    fn set_all(&mut self, start: u64, end: u64) {
        match self.counts.last_mut() {
            Some(last) if start == self.end => *last += end - start,
            _ => self.counts.extend([start - self.end, end - start]),
        }
        self.end = end;
    }

    fn finish(mut self, total: u64) -> Vec<u64> {
        if self.end < total {
            self.counts.push(total - self.end);
        }
        self.counts
    }
}

/// COCO's text form: differences to the count before last, in groups of five bits, little end first.
fn compress(counts: &[u64]) -> String {
    let mut text = String::new();
    for (i, &count) in counts.iter().enumerate() {
        let mut x = count as i64 - if i > 2 { counts[i - 2] as i64 } else { 0 };
        loop {
            let mut bits = (x & 0x1f) as u8;
            x >>= 5;
            let more = if bits & 0x10 != 0 { x != -1 } else { x != 0 };
            if more {
                bits |= 0x20;
            }
            text.push((bits + 48) as char);
            if !more {
                break;
            }
        }
    }
    text
}

impl Rle {
    /// Of runs of set pixels, in order: where they begin and end, in turn, as column · height + row.
    #[cfg(feature = "cuda")]
    pub(in crate::rcnn) fn from_bounds(bounds: &[u32], width: u32, height: u32) -> Self {
        let mut runs = Runs::default();
        for run in bounds.chunks_exact(2) {
            runs.set_all(u64::from(run[0]), u64::from(run[1]));
        }
        Self { size: [height, width], counts: compress(&runs.finish(u64::from(width) * u64::from(height))) }
    }

    /// Lengths of alternating runs of zeros and ones; `None` if the text is not a valid encoding of a mask of this size.
    pub fn runs(&self) -> Option<Vec<u64>> {
        let mut counts: Vec<u64> = vec![];
        let mut bytes = self.counts.bytes();
        while bytes.len() > 0 {
            let (mut x, mut shift) = (0i64, 0u32);
            loop {
                let bits = bytes.next()?.checked_sub(48).filter(|&b| b < 64)?;
                x |= i64::from(bits & 0x1f).checked_shl(shift).filter(|_| shift < 60)?;
                shift += 5;
                if bits & 0x20 == 0 {
                    if bits & 0x10 != 0 {
                        x |= -1 << shift;
                    }
                    break;
                }
            }
            let before = if counts.len() > 2 { counts[counts.len() - 2] } else { 0 };
            counts.push(u64::try_from(x.checked_add_unsigned(before)?).ok()?);
        }
        let total = counts.iter().try_fold(0u64, |sum, &n| sum.checked_add(n))?;
        (total == u64::from(self.size[0]) * u64::from(self.size[1])).then_some(counts)
    }

    /// Calls `f(x, y0, y1)` for each vertical run of set pixels `y0..y1` in column `x`.
    pub fn for_each_run(&self, mut f: impl FnMut(u32, u32, u32)) {
        let height = u64::from(self.size[0]);
        let mut at = 0u64;
        for (i, count) in self.runs().unwrap_or_default().into_iter().enumerate() {
            let end = at + count;
            while i % 2 == 1 && at < end {
                let column_end = ((at / height + 1) * height).min(end);
                f((at / height) as u32, (at % height) as u32, ((column_end - 1) % height + 1) as u32);
                at = column_end;
            }
            at = end;
        }
    }

    /// How many pixels are set.
    pub fn area(&self) -> u64 {
        self.runs().unwrap_or_default().iter().skip(1).step_by(2).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings() {
        // pycocotools.mask.encode of a 4 x 4 mask with rows 1..3, columns 1..3 set, of an empty and of a full one
        let square = Rle { size: [4, 4], counts: "52203".into() };
        assert_eq!(paste(&[1.0; 4], 2, &[1., 1., 3., 3.], 4, 4), square);
        assert_eq!(square.runs().unwrap(), [5, 2, 2, 2, 5]);
        assert_eq!(square.area(), 4);
        assert_eq!(paste(&[0.0; 4], 2, &[1., 1., 3., 3.], 4, 4).counts, "`0");
        assert_eq!(paste(&[1.0; 4], 2, &[0., 0., 4., 4.], 4, 4).counts, "0`0");
    }

    #[test]
    fn runs_round_trip_and_split_by_column() {
        let counts = [3u64, 7, 1, 40, 2, 1, 46];
        let rle = Rle { size: [10, 10], counts: compress(&counts) };
        assert_eq!(rle.runs().unwrap(), counts);
        let mut pixels = 0;
        rle.for_each_run(|x, y0, y1| {
            assert!(x < 10 && y0 < y1 && y1 <= 10);
            pixels += u64::from(y1 - y0);
        });
        assert_eq!(pixels, rle.area());
    }

    #[test]
    fn nonsense_is_refused() {
        for counts in ["", "~", "P", "oooooooooooooooooo0", "5"] {
            assert_eq!(Rle { size: [4, 4], counts: counts.into() }.runs(), None, "{counts}");
        }
    }
}

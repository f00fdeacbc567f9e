//! Moves the edges of regions to where the ink ends. This is no part of Detectron2.
//!
//! A detector says where a line of text is to within a pixel or two of a page that it sees reduced to half or a third; a line is ten pixels high
//! there, so each pixel costs a tenth of the overlap, and letters are cut. The page itself knows better: an edge that cuts ink moves outwards to
//! where the ink ends, one in the white moves inwards to where it begins: up and down by a line or so at most, to the sides by a few words. Where
//! there is no such place nearby (a photograph, a page's picture), the edge stays. A little white is left all around.

use std::ops::Range;

use image::RgbImage;
use rayon::prelude::*;

use crate::rcnn::detection::Detection;
use crate::rcnn::geometry::boxes::{Box2, Candidate, batched_nms, clip};

/// How far an edge moves at most, as parts of the page's longer side.
const REACH_Y: f32 = 0.025;
const REACH_X: f32 = 0.1;
/// White between letters and words, over which a line goes on: a part of its height, but at most so much of the page's longer side.
const GAP: f32 = 0.5;
const LARGEST_GAP: f32 = 0.01;
/// White that is left around the ink, as a part of the page's longer side.
const MARGIN: f32 = 0.001;
/// Width of the frame around a region in which its paper's colour is looked for, likewise.
const FRAME: f32 = 0.005;
/// Ink differs so much from the paper, of 255.
const CONTRAST: u8 = 45;
/// Part of a page's pixels that are no lighter than its paper.
const PAPER: f32 = 0.9;
/// Boxes of a class that overlap as much once their edges are moved are one: the intersection by the union.
const SAME: f32 = 0.8;

/// Moves the edges of all regions; of those that become the same, the best remains.
pub fn snap(image: &RgbImage, detections: Vec<Detection>) -> Vec<Detection> {
    let page = Page::new(image);
    let mut moved: Vec<Option<Detection>> =
        detections.into_iter().map(|d| Some(Detection { box_px: page.snap(&d.box_px), ..d })).collect();
    let candidates: Vec<Candidate> =
        moved.iter().flatten().map(|d| Candidate { bounds: d.box_px, score: d.score, group: d.class_id }).collect();
    batched_nms(&candidates, SAME).into_iter().filter_map(|i| moved[i].take()).collect()
}

/// A page's lightness.
struct Page {
    width: usize,
    height: usize,
    luma: Vec<u8>,
    paper: u8,
}

impl Page {
    fn new(image: &RgbImage) -> Self {
        let luma: Vec<u8> = image
            .as_raw()
            .par_chunks_exact(3)
            .with_min_len(1 << 16)
            .map(|p| ((u32::from(p[0]) * 299 + u32::from(p[1]) * 587 + u32::from(p[2]) * 114) / 1000) as u8)
            .collect();
        let paper = quantile(&histogram(luma.iter().step_by(7)), PAPER);
        Self { width: image.width() as usize, height: image.height() as usize, luma, paper }
    }

    fn snap(&self, bounds: &Box2) -> Box2 {
        let longer = self.width.max(self.height) as f32;
        let pixels = |part: f32| (part * longer).max(2.0) as usize;
        let (x, y) = (whole(bounds[0], bounds[2], self.width), whole(bounds[1], bounds[3], self.height));
        let paper = self.paper_around(&x, &y, pixels(FRAME));
        let ink = |x: usize, y: usize| self.luma[y * self.width + x].abs_diff(paper) > CONTRAST;
        let [top, bottom] = ends(&y, self.height, pixels(REACH_Y), 0, |y| x.clone().any(|x| ink(x, y)));
        let rows = top.unwrap_or(y.start)..bottom.unwrap_or(y.end);
        let gap = (rows.len() as f32 * GAP).min(LARGEST_GAP * longer) as usize;
        let [left, right] = ends(&x, self.width, pixels(REACH_X), gap, |x| rows.clone().any(|y| ink(x, y)));
        let margin = MARGIN * longer;
        let at = |end: Option<usize>, otherwise: f32| end.map_or(otherwise, |e| e as f32);
        let moved = [
            at(left, bounds[0]) - margin,
            at(top, bounds[1]) - margin,
            at(right, bounds[2]) + margin,
            at(bottom, bounds[3]) + margin,
        ];
        clip(moved, self.width as f32, self.height as f32)
    }

    /// What most of a frame around a region is, such as a coloured panel, or else the page's paper.
    fn paper_around(&self, x: &Range<usize>, y: &Range<usize>, frame: usize) -> u8 {
        /// Values that are counted as one, and how many such counts around the largest are the same colour, on either side.
        const ALIKE: usize = 8;
        const AROUND: usize = 2;
        let outer_x = x.start.saturating_sub(frame)..(x.end + frame).min(self.width);
        let outer_y = y.start.saturating_sub(frame)..(y.end + frame).min(self.height);
        let row = |y: usize, x: Range<usize>| &self.luma[y * self.width..][x];
        let pixels = outer_y.clone().flat_map(|line| {
            let (before, after) = match y.contains(&line) {
                true => (outer_x.start..x.start, x.end..outer_x.end),
                false => (outer_x.clone(), 0..0),
            };
            row(line, before).iter().chain(row(line, after))
        });
        let counts = histogram(pixels);
        let alike: Vec<u32> = counts.chunks(ALIKE).map(|counts| counts.iter().sum()).collect();
        let most = (0..alike.len()).max_by_key(|&i| alike[i]).unwrap_or_default();
        let same = alike[most.saturating_sub(AROUND)..(most + AROUND + 1).min(alike.len())].iter().sum::<u32>();
        if same * 2 > alike.iter().sum() { (most * ALIKE + ALIKE / 2) as u8 } else { self.paper }
    }
}

/// The pixels that a stretch covers, at least one.
fn whole(low: f32, high: f32, length: usize) -> Range<usize> {
    let low = (low.round().max(0.0) as usize).min(length - 1);
    low..(high.round().max(0.0) as usize).clamp(low + 1, length)
}

/// Where the ink of a stretch begins and ends, if that is within `reach` of its own ends; `ink` is asked for a line of pixels, and `gap` lines
/// without any do not end it.
fn ends(at: &Range<usize>, length: usize, reach: usize, gap: usize, ink: impl Fn(usize) -> bool) -> [Option<usize>; 2] {
    let begin = end((0..=at.start).rev(), at.start + 1..at.end, reach, gap, &ink);
    let last = end(at.end - 1..length, (at.start..at.end - 1).rev(), reach, gap, &ink);
    [begin, last.map(|line| line + 1)]
}

/// The last line of the ink that goes on outwards from an edge, or, where the edge is in the white, the first one inwards.
fn end(
    outwards: impl Iterator<Item = usize>,
    inwards: impl Iterator<Item = usize>,
    reach: usize,
    gap: usize,
    ink: impl Fn(usize) -> bool,
) -> Option<usize> {
    let (mut last, mut white) = (None, 0);
    for (passed, line) in outwards.enumerate() {
        if passed > reach {
            return last.filter(|_| white > 0);
        }
        (last, white) = if ink(line) { (Some(line), 0) } else { (last, white + 1) };
        if white > gap || last.is_none() {
            break;
        }
    }
    last.or_else(|| inwards.take(reach).find(|&line| ink(line)))
}

fn histogram<'a>(values: impl Iterator<Item = &'a u8>) -> [u32; 256] {
    let mut counts = [0; 256];
    values.for_each(|&v| counts[usize::from(v)] += 1);
    counts
}

/// The value that `part` of the values do not pass.
fn quantile(histogram: &[u32; 256], part: f32) -> u8 {
    let wanted = histogram.iter().sum::<u32>() as f32 * part;
    let mut seen = 0;
    let at = histogram.iter().position(|count| {
        seen += count;
        seen as f32 >= wanted
    });
    at.unwrap_or(255) as u8
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn paint(image: &mut RgbImage, colour: u8, [x0, y0, x1, y1]: [u32; 4], every: usize) {
        (y0..y1).for_each(|y| (x0..x1).step_by(every).for_each(|x| image.put_pixel(x, y, Rgb([colour; 3]))));
    }

    /// White, 600 × 1,000, with something like a line of letters: strokes three pixels apart.
    fn page(line: [u32; 4]) -> RgbImage {
        let mut image = RgbImage::from_pixel(600, 1000, Rgb([255; 3]));
        paint(&mut image, 0, line, 3);
        image
    }

    fn detection(class_id: usize, score: f32, box_px: Box2) -> Detection {
        Detection { class_id, score, box_px, mask: None }
    }

    fn snapped(image: &RgbImage, bounds: Box2) -> Box2 {
        snap(image, vec![detection(0, 0.9, bounds)])[0].box_px
    }

    #[test]
    fn edges_go_to_where_the_ink_ends() {
        let image = page([100, 200, 401, 212]);
        let around = [99.0, 199.0, 402.0, 213.0];
        assert_eq!(snapped(&image, [96.3, 195.0, 408.9, 220.2]), around, "from the white");
        assert_eq!(snapped(&image, [103.0, 203.4, 389.0, 209.0]), around, "from within");
        assert_eq!(snapped(&image, [70.0, 206.0, 380.0, 216.0]), around, "each its own way");
    }

    #[test]
    fn edges_stay_where_no_end_is_near() {
        let mut image = page([0, 0, 0, 0]);
        paint(&mut image, 90, [0, 300, 600, 700], 1);
        let middle = snapped(&image, [100.0, 400.0, 300.0, 600.0]);
        assert_eq!(middle, [99.0, 399.0, 301.0, 601.0], "only the margin");
        let empty = snapped(&image, [100.0, 50.0, 300.0, 250.0]);
        assert_eq!(empty, [99.0, 49.0, 301.0, 251.0]);
    }

    #[test]
    fn an_edge_never_passes_the_other() {
        let image = page([100, 70, 401, 82]);
        assert_eq!(snapped(&image, [100.0, 50.0, 300.0, 60.0]), [99.0, 49.0, 301.0, 61.0], "ink below only");
        assert_eq!(snapped(&image, [60.0, 70.0, 80.0, 82.0]), [59.0, 69.0, 81.0, 83.0], "ink beside only");
    }

    #[test]
    fn a_panel_is_paper_too() {
        let mut image = page([0, 0, 0, 0]);
        paint(&mut image, 40, [50, 100, 550, 500], 1);
        paint(&mut image, 230, [100, 200, 301, 210], 3);
        assert_eq!(snapped(&image, [92.0, 192.0, 310.0, 216.0]), [99.0, 199.0, 300.0, 211.0]);
        assert_eq!(
            snapped(&image, [47.0, 104.0, 560.0, 490.0]),
            [49.0, 99.0, 551.0, 501.0],
            "but a panel's paper is the page"
        );
    }

    #[test]
    fn words_go_on_over_a_gap_and_columns_do_not() {
        let mut image = page([100, 200, 161, 212]);
        paint(&mut image, 0, [166, 200, 230, 212], 3);
        paint(&mut image, 0, [260, 200, 350, 212], 3);
        assert_eq!(snapped(&image, [103.0, 200.0, 149.0, 212.0]), [99.0, 199.0, 231.0, 213.0]);
    }

    #[test]
    fn pages_edges_end_ink() {
        let image = page([0, 990, 600, 1000]);
        assert_eq!(snapped(&image, [0.4, 985.0, 598.0, 998.0]), [0.0, 989.0, 599.0, 1000.0]);
        assert_eq!(snapped(&page([0, 0, 1, 1]), [0.0, 0.0, 0.2, 0.2]), [0.0, 0.0, 2.0, 2.0]);
    }

    #[test]
    fn what_becomes_the_same_is_reported_once() {
        let image = page([100, 200, 401, 212]);
        let twice = vec![
            detection(0, 0.9, [98.0, 196.0, 404.0, 207.0]),
            detection(0, 0.8, [103.0, 204.0, 398.0, 219.0]),
            detection(1, 0.7, [98.0, 196.0, 404.0, 207.0]),
        ];
        let scores: Vec<f32> = snap(&image, twice).iter().map(|d| d.score).collect();
        assert_eq!(scores, [0.9, 0.7]);
    }
}

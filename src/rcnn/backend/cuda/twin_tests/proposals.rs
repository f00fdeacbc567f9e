//! Proposals: the best of each level, suppression, and the best of all levels.

use super::super::params::*;
use super::super::twin::run;
use super::{Buffer, Random, bits};
use crate::rcnn::geometry::anchors::LevelAnchors;
use crate::rcnn::geometry::boxes::{Box2, Candidate, batched_nms};
use crate::rcnn::proposals::{Proposals, RpnDecoder};

/// A pyramid of one or more images, and the head's predictions.
struct Case {
    decoder: RpnDecoder,
    images: usize,
    /// Height and width in cells.
    levels: Vec<[usize; 2]>,
    stride: usize,
    /// Of each level: [images · cells, stride].
    predictions: Vec<Vec<f32>>,
    /// Width and height.
    sizes: Vec<(usize, usize)>,
}

impl Case {
    fn new(random: &mut Random, largest: usize, cap: usize) -> Self {
        let anchors = random.integer(1, 4);
        let images = random.integer(1, 3);
        let levels: Vec<[usize; 2]> =
            (0..random.integer(1, 5)).map(|_| [random.integer(1, largest), random.integer(1, largest)]).collect();
        let stride = (anchors * 5).next_multiple_of(8);
        // Of a blank page, most logits are the same.
        let same = random.is(0.3);
        let logit = |random: &mut Random| match same {
            true => (random.value() * 3.0).floor() - 1.0,
            false => random.odd_value(-10.0, 5.0),
        };
        let row = |random: &mut Random| -> Vec<f32> {
            let logits: Vec<f32> = (0..anchors).map(|_| logit(random)).collect();
            let deltas = (0..anchors * 4).map(|_| random.odd_value(-1.5, 1.5));
            let mut row = [logits, deltas.collect()].concat();
            row.resize(stride, 7.0);
            row
        };
        let predictions = levels.iter().map(|[h, w]| (0..images * h * w).flat_map(|_| row(random)).collect()).collect();
        let level = |random: &mut Random, i: usize| LevelAnchors {
            cells: (0..anchors).map(|_| [-8.0, -8.0, 8.0, 8.0].map(|v: f32| v * random.between(0.2, 4.0))).collect(),
            stride: (4 << i) as f32,
            offset: [0.0, 0.5][random.integer(0, 1)],
        };
        let offset = random.integer(0, 1) as f32 * 0.5;
        let decoder = RpnDecoder {
            anchors: (0..levels.len()).map(|i| LevelAnchors { offset, ..level(random, i) }).collect(),
            weights: [1.0, 1.0, random.between(0.5, 2.0), 1.0],
            nms_threshold: random.between(0.2, 0.9),
            pre_nms_topk: random.integer(1, cap),
            post_nms_topk: random.integer(1, cap),
            min_size: [0.0, 6.0][random.integer(0, 1)],
        };
        let sizes = (0..images).map(|_| (random.integer(1, largest * 4), random.integer(1, largest * 4))).collect();
        Self { decoder, images, levels, stride, predictions, sizes }
    }

    /// What rpn.rs finds: each segment's candidates, and each image's proposals.
    fn expected(&self) -> (Vec<Vec<Candidate>>, Vec<Proposals>) {
        let count = self.decoder.anchors_per_cell();
        let (mut segments, mut proposals) = (vec![], vec![]);
        for (image, &size) in self.sizes.iter().enumerate() {
            let mut all = vec![];
            for (level, (&[h, w], predictions)) in self.levels.iter().zip(&self.predictions).enumerate() {
                let rows: Vec<&[f32]> = predictions.chunks_exact(self.stride).skip(image * h * w).take(h * w).collect();
                let logits: Vec<f32> = rows.iter().flat_map(|row| &row[..count]).copied().collect();
                let delta = |cell: usize, a: usize| std::array::from_fn(|k| rows[cell][count + a * 4 + k]);
                let mut own = vec![];
                self.decoder.decode(level, w, &logits, delta, size, &mut own);
                all.extend_from_slice(&own);
                segments.push(own);
            }
            proposals.push(self.decoder.select(&all));
        }
        (segments, proposals)
    }

    fn check(&self) {
        let d = &self.decoder;
        let (levels, segments) = (self.levels.len(), self.images * self.levels.len());
        let (cap, post) = (d.pre_nms_topk, d.post_nms_topk);
        let mut predictions: Vec<Buffer> = self.predictions.iter().map(|a| Buffer::of(a)).collect();
        let mut anchors: Vec<Buffer> = d.anchors.iter().map(|a| Buffer::of(&a.cells)).collect();
        let sizes: Vec<[f32; 2]> = self.sizes.iter().map(|&(w, h)| [w as f32, h as f32]).collect();
        let mut sizes = Buffer::of(&sizes);
        let mut boxes = Buffer::new::<Box2>(segments * cap);
        let (mut scores, mut counts) = (Buffer::new::<f32>(segments * cap), Buffer::new::<i32>(segments));
        let mut params = ProposalsTopkParams {
            sizes: sizes.address(),
            boxes: boxes.address(),
            scores: scores.address(),
            counts: counts.address(),
            levels: levels as i32,
            anchors: d.anchors_per_cell() as i32,
            cap: cap as i32,
            offset: d.anchors[0].offset,
            min_size: d.min_size,
            weights: d.weights,
            ..Default::default()
        };
        for (i, [height, width]) in self.levels.iter().enumerate() {
            params.level[i] = ProposalLevel {
                predictions: predictions[i].address(),
                anchors: anchors[i].address(),
                height: *height as i32,
                width: *width as i32,
                stride: self.stride as i32,
                step: d.anchors[i].stride,
            };
        }
        run("proposals_topk", &params, segments, TOP_K_SHARED);
        let (of_segments, of_images) = self.expected();
        for (segment, expected) in of_segments.iter().enumerate() {
            assert_eq!(counts.read::<i32>()[segment] as usize, expected.len());
            let got = &boxes.read::<Box2>()[segment * cap..][..expected.len()];
            assert_eq!(bits(got), bits(&expected.iter().map(|c| c.bounds).collect::<Vec<_>>()));
            let got = &scores.read::<f32>()[segment * cap..][..expected.len()];
            assert!(got.iter().zip(expected).all(|(got, c)| got.to_bits() == c.score.to_bits()));
        }

        let most = cap.min(post);
        let (mut kept, mut kept_counts) = suppress(&mut boxes, 0, &mut counts, [segments, cap, most], d.nms_threshold);
        let mut rois = Buffer::new::<Box2>(self.images * post);
        let (mut roi_scores, mut roi_counts) =
            (Buffer::new::<f32>(self.images * post), Buffer::new::<i32>(self.images));
        let params = ProposalsMergeParams {
            boxes: boxes.address(),
            scores: scores.address(),
            kept: kept.address(),
            kept_counts: kept_counts.address(),
            rois: rois.address(),
            roi_scores: roi_scores.address(),
            roi_counts: roi_counts.address(),
            levels: levels as i32,
            cap: cap as i32,
            most: most as i32,
            post: post as i32,
        };
        run("proposals_merge", &params, self.images, TOP_K_SHARED);
        for (image, expected) in of_images.iter().enumerate() {
            assert_eq!(roi_counts.read::<i32>()[image] as usize, expected.boxes.len());
            let (mut boxes, mut logits) = (expected.boxes.clone(), expected.logits.clone());
            boxes.resize(post, [0.0; 4]);
            logits.resize(post, 0.0);
            assert_eq!(bits(&rois.read::<Box2>()[image * post..][..post]), bits(&boxes));
            assert_eq!(roi_scores.read::<f32>()[image * post..][..post], logits);
        }
    }
}

/// `nms_mask` and `nms_scan`: what is kept, and how many.
pub fn suppress(
    boxes: &mut Buffer,
    groups: u64,
    counts: &mut Buffer,
    [segments, cap, most]: [usize; 3],
    threshold: f32,
) -> (Buffer, Buffer) {
    let items = segments * cap.div_ceil(NMS_BITS) * cap;
    let mut mask = Buffer::new::<u64>(items);
    let params = NmsMaskParams {
        boxes: boxes.address(),
        groups,
        counts: counts.address(),
        mask: mask.address(),
        cap: cap as i32,
        threshold,
    };
    run("nms_mask", &params, items, 0);
    let (mut kept, mut kept_counts) = (Buffer::new::<i32>(segments * most), Buffer::new::<i32>(segments));
    let params = NmsScanParams {
        counts: counts.address(),
        mask: mask.address(),
        kept: kept.address(),
        kept_counts: kept_counts.address(),
        cap: cap as i32,
        most: most as i32,
    };
    run("nms_scan", &params, segments, NMS_SCAN_SHARED);
    mask.read::<u64>();
    (kept, kept_counts)
}

#[test]
fn proposals_of_small_maps() {
    let mut random = Random(1);
    for _ in 0..300 {
        Case::new(&mut random, 12, 300).check();
    }
}

/// More anchors than are selected, and as many as can be.
#[test]
fn proposals_of_large_maps() {
    let mut random = Random(2);
    for _ in 0..6 {
        let mut case = Case::new(&mut random, 80, 1000);
        case.check();
        case.decoder.pre_nms_topk = TOP_K_MOST;
        case.decoder.post_nms_topk = TOP_K_MOST;
        case.check();
    }
}

/// With groups; segments' boxes come sorted.
#[test]
fn suppression() {
    let mut random = Random(3);
    for _ in 0..200 {
        let (segments, cap) = (random.integer(1, 3), random.integer(1, 400));
        let (most, threshold) = (random.integer(1, cap), [0.0, random.value()][random.integer(0, 1)]);
        let groups = random.integer(1, 4);
        let mut candidates = vec![];
        for _ in 0..segments {
            let segment: Vec<Candidate> = (0..random.integer(0, cap))
                .map(|i| {
                    let (x, y) = (random.value() * 60.0, random.value() * 60.0);
                    let bounds = [x, y, x + random.odd_value(0.0, 40.0), y + random.value() * 40.0];
                    Candidate { bounds, score: -(i as f32), group: random.integer(0, groups - 1) }
                })
                .collect();
            candidates.push(segment);
        }
        let padded = |empty: Candidate| -> Vec<Candidate> {
            candidates.iter().flat_map(|s| (0..cap).map(move |i| s.get(i).copied().unwrap_or(empty))).collect()
        };
        let all = padded(Candidate { bounds: [f32::NAN; 4], score: 0.0, group: 0 });
        let mut boxes = Buffer::of(&all.iter().map(|c| c.bounds).collect::<Vec<_>>());
        let mut of_groups = Buffer::of(&all.iter().map(|c| c.group as i32).collect::<Vec<_>>());
        let mut counts = Buffer::of(&candidates.iter().map(|s| s.len() as i32).collect::<Vec<_>>());
        let (kept, kept_counts) =
            suppress(&mut boxes, of_groups.address(), &mut counts, [segments, cap, most], threshold);
        for (i, segment) in candidates.iter().enumerate() {
            let mut expected = batched_nms(segment, threshold);
            expected.truncate(most);
            let count = kept_counts.read::<i32>()[i] as usize;
            let got: Vec<usize> = kept.read::<i32>()[i * most..][..count].iter().map(|&k| k as usize).collect();
            assert_eq!(got, expected);
        }
    }
}

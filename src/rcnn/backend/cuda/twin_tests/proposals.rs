//! Proposals: the best of each level, suppression, and the best of all levels.

use super::super::params::TOP_K_MOST;
use super::{Dtype, Random, bits, ops};
use crate::rcnn::geometry::anchors::LevelAnchors;
use crate::rcnn::geometry::boxes::{Candidate, batched_nms};
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
        let (d, ops) = (&self.decoder, ops(Dtype::F32));
        let of_level =
            |(&[h, w], values): (&[usize; 2], &Vec<f32>)| ops.map_of(values, [self.images, h, w, self.stride]);
        let predictions: Vec<_> = self.levels.iter().zip(&self.predictions).map(of_level).collect();
        let anchors: Vec<_> = d.anchors.iter().map(|level| ops.buffer_of(&level.cells)).collect();
        let of_levels = d.best_of_levels(&ops, &anchors, &predictions, &ops.sizes(&self.sizes)).unwrap();
        let of_images = d.best_of_images(&ops, &of_levels).unwrap();

        let (segments, images) = self.expected();
        let (boxes, scores, counts) = ops.lists(&of_levels);
        for (i, expected) in segments.iter().enumerate() {
            assert_eq!(counts[i] as usize, expected.len());
            let got = i * d.pre_nms_topk..i * d.pre_nms_topk + expected.len();
            assert_eq!(bits(&boxes[got.clone()]), bits(&expected.iter().map(|c| c.bounds).collect::<Vec<_>>()));
            assert!(scores[got].iter().zip(expected).all(|(got, c)| got.to_bits() == c.score.to_bits()));
        }
        let (boxes, scores, counts) = ops.lists(&of_images);
        for (image, mut expected) in images.into_iter().enumerate() {
            let post = d.post_nms_topk;
            assert_eq!(counts[image] as usize, expected.boxes.len());
            expected.boxes.resize(post, [0.0; 4]);
            expected.logits.resize(post, 0.0);
            assert_eq!(bits(&boxes[image * post..][..post]), bits(&expected.boxes));
            assert_eq!(scores[image * post..][..post], expected.logits);
        }
    }
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
        let ops = ops(Dtype::F32);
        let of_groups = ops.buffer_of(&all.iter().map(|c| c.group as i32).collect::<Vec<_>>());
        let counts: Vec<i32> = candidates.iter().map(|s| s.len() as i32).collect();
        let ranked = ops.ranked(&all.iter().map(|c| c.bounds).collect::<Vec<_>>(), &counts, cap);
        let kept = ops.suppress(&ranked, Some(&of_groups), most, threshold).unwrap();
        let (places, counts) =
            (ops.values::<i32>(&kept.places, segments * most), ops.values::<i32>(&kept.counts, segments));
        for (i, segment) in candidates.iter().enumerate() {
            let mut expected = batched_nms(segment, threshold);
            expected.truncate(most);
            let got: Vec<usize> = places[i * most..][..counts[i] as usize].iter().map(|&k| k as usize).collect();
            assert_eq!(got, expected);
        }
    }
}

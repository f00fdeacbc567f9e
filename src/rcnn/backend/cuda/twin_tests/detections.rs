//! Detections and their masks.

use super::super::params::*;
use super::super::twin::run;
use super::proposals::suppress;
use super::{Buffer, Random, bits};
use crate::rcnn::Rle;
use crate::rcnn::detection::Instances;
use crate::rcnn::geometry::boxes::{Box2, clip};
use crate::rcnn::post::mask::paste;
use crate::rcnn::proposals::Proposals;
use crate::rcnn::roi_heads::Selection;

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|v| (v - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|v| v / sum).collect()
}

/// RoIs of some images, and the box head's predictions.
struct Case {
    selection: Selection,
    threshold: f32,
    /// RoIs per image that there is room for, and values in a row of predictions.
    post: usize,
    stride: usize,
    proposals: Vec<Proposals>,
    /// [images · post, stride]
    predictions: Vec<f32>,
    sizes: Vec<(usize, usize)>,
    cap: usize,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let (images, post, num_classes) = (random.integer(1, 3), random.integer(1, 120), random.integer(1, 12));
        let class_agnostic = random.is(0.3);
        let deltas = if class_agnostic { 4 } else { 4 * num_classes };
        let stride = (num_classes + 1 + deltas).next_multiple_of(8);
        let same = random.is(0.2);
        let row = |random: &mut Random| -> Vec<f32> {
            let odd = random.is(0.1);
            let mut value = |low, high| match (odd, same) {
                (true, _) => random.odd_value(low, high),
                (_, true) => random.between(low, high).floor(),
                _ => random.between(low, high),
            };
            let mut row: Vec<f32> = (0..=num_classes).map(|_| value(-3.0, 3.0)).collect();
            row.extend((0..deltas).map(|_| value(-5.0, 5.0)));
            row.resize(stride, f32::NAN);
            row
        };
        let predictions = (0..images * post).flat_map(|_| row(random)).collect();
        let roi = |random: &mut Random| {
            let (x, y) = (random.value() * 100.0, random.value() * 100.0);
            [x, y, x + random.value() * 100.0, y + random.value() * 100.0]
        };
        let proposals = |random: &mut Random| {
            let boxes: Vec<Box2> = (0..random.integer(0, post)).map(|_| roi(random)).collect();
            Proposals { logits: vec![0.0; boxes.len()], boxes }
        };
        Self {
            threshold: [0.0, 0.05, 0.3, 0.6][random.integer(0, 3)],
            selection: Selection {
                deltas: if class_agnostic { 4 } else { num_classes * 4 },
                num_classes,
                class_agnostic,
                weights: [10.0, 10.0, 5.0, 5.0],
                nms_threshold: random.between(0.2, 0.8),
                topk: random.integer(1, 100),
            },
            post,
            stride,
            proposals: (0..images).map(|_| proposals(random)).collect(),
            predictions,
            sizes: (0..images).map(|_| (random.integer(50, 200), random.integer(50, 200))).collect(),
            cap: [50, TOP_K_MOST][random.integer(0, 1)],
        }
    }

    fn expected(&self, image: usize, selection: &Selection) -> Instances {
        let rows = self.predictions.chunks_exact(self.stride).skip(image * self.post);
        let classes = selection.num_classes + 1;
        let deltas = if selection.class_agnostic { 4 } else { 4 * selection.num_classes };
        let (scores, deltas): (Vec<_>, Vec<_>) =
            rows.map(|row| (softmax(&row[..classes]), row[classes..][..deltas].to_vec())).unzip();
        selection.select(&self.proposals[image], &scores, &deltas, self.sizes[image], self.threshold)
    }

    /// Without suppression: what `detections_topk` finds.
    fn candidates(&self, image: usize) -> Instances {
        let selection = Selection { nms_threshold: f32::INFINITY, topk: self.cap, ..self.selection };
        self.expected(image, &selection)
    }

    fn check(&self) {
        let (images, s) = (self.proposals.len(), &self.selection);
        let (rois, cap, most) = (images * self.post, self.cap, s.topk.min(self.cap));
        let mut predictions = Buffer::of(&self.predictions);
        let mut scores = Buffer::new::<f32>(rois * (s.num_classes + 1));
        let params = ClassScoresParams {
            predictions: predictions.address(),
            scores: scores.address(),
            classes: s.num_classes as i32,
            deltas: 4 * if s.class_agnostic { 1 } else { s.num_classes as i32 },
            stride: self.stride as i32,
        };
        run("class_scores", &params, rois, 0);

        let boxes =
            self.proposals.iter().flat_map(|p| (0..self.post).map(|i| p.boxes.get(i).copied().unwrap_or_default()));
        let mut roi_boxes = Buffer::of(&boxes.collect::<Vec<_>>());
        let mut roi_counts = Buffer::of(&self.proposals.iter().map(|p| p.boxes.len() as i32).collect::<Vec<_>>());
        let mut sizes = Buffer::of(&self.sizes.iter().map(|&(w, h)| [w as f32, h as f32]).collect::<Vec<_>>());
        let mut boxes = Buffer::new::<Box2>(images * cap);
        let (mut best, mut classes) = (Buffer::new::<f32>(images * cap), Buffer::new::<i32>(images * cap));
        let mut counts = Buffer::new::<i32>(images);
        let params = DetectionsTopkParams {
            rois: roi_boxes.address(),
            roi_counts: roi_counts.address(),
            scores: scores.address(),
            predictions: predictions.address(),
            sizes: sizes.address(),
            boxes: boxes.address(),
            out_scores: best.address(),
            out_classes: classes.address(),
            counts: counts.address(),
            post: self.post as i32,
            classes: s.num_classes as i32,
            stride: self.stride as i32,
            class_agnostic: s.class_agnostic.into(),
            cap: cap as i32,
            threshold: self.threshold,
            weights: s.weights,
        };
        run("detections_topk", &params, images, TOP_K_SHARED);
        for image in 0..images {
            check_instances(&self.candidates(image), image, cap, &counts, [&boxes, &best, &classes], false);
        }

        let (mut kept, mut kept_counts) =
            suppress(&mut boxes, classes.address(), &mut counts, [images, cap, most], s.nms_threshold);
        let mut out_boxes = Buffer::new::<Box2>(images * most);
        let (mut out_scores, mut out_classes) = (Buffer::new::<f32>(images * most), Buffer::new::<i32>(images * most));
        let params = DetectionsGatherParams {
            boxes: boxes.address(),
            scores: best.address(),
            classes: classes.address(),
            kept: kept.address(),
            kept_counts: kept_counts.address(),
            out_boxes: out_boxes.address(),
            out_scores: out_scores.address(),
            out_classes: out_classes.address(),
            cap: cap as i32,
            most: most as i32,
        };
        run("detections_gather", &params, images * most, 0);
        for image in (0..images).filter(|&i| self.candidates(i).boxes.len() < cap) {
            let expected = self.expected(image, s);
            check_instances(&expected, image, most, &kept_counts, [&out_boxes, &out_scores, &out_classes], true);
        }
    }
}

fn check_instances(
    expected: &Instances,
    image: usize,
    room: usize,
    counts: &Buffer,
    [boxes, scores, classes]: [&Buffer; 3],
    zeros_behind: bool,
) {
    let count = expected.boxes.len();
    assert_eq!(counts.read::<i32>()[image] as usize, count);
    let (boxes, scores) = (boxes.read::<Box2>(), scores.read::<f32>());
    let classes = classes.read::<i32>();
    let all = image * room..image * room + room;
    let (boxes, scores, classes) = (&boxes[all.clone()], &scores[all.clone()], &classes[all]);
    assert_eq!(scores[..count], expected.scores);
    assert_eq!(bits(&boxes[..count]), bits(&expected.boxes));
    assert!(classes.iter().zip(&expected.classes).all(|(&got, &class)| got as usize == class));
    if zeros_behind {
        assert!(boxes[count..].iter().all(|b| *b == [0.0; 4]));
        assert!(scores[count..].iter().all(|&s| s == 0.0) && classes[count..].iter().all(|&c| c == 0));
    }
}

#[test]
fn detections() {
    let mut random = Random(4);
    for _ in 0..300 {
        Case::new(&mut random).check();
    }
}

#[test]
fn rois_of_masks() {
    let mut random = Random(5);
    for _ in 0..200 {
        let (images, most) = (random.integer(1, 6), random.integer(1, 20));
        let counts: Vec<i32> = (0..images).map(|_| random.integer(0, most) as i32).collect();
        let boxes: Vec<Box2> = (0..images * most).map(|i| [i as f32 + 1.0; 4]).collect();
        let classes: Vec<i32> = (0..images * most).map(|i| i as i32 + 1).collect();
        let (mut of_boxes, mut of_classes) = (Buffer::of(&boxes), Buffer::of(&classes));
        let mut of_counts = Buffer::of(&counts);
        let mut out_boxes = Buffer::new::<Box2>(images * most);
        let (mut out_images, mut out_classes) = (Buffer::new::<i32>(images * most), Buffer::new::<i32>(images * most));
        let mut total = Buffer::new::<i32>(1);
        let params = MaskRoisParams {
            boxes: of_boxes.address(),
            classes: of_classes.address(),
            counts: of_counts.address(),
            out_boxes: out_boxes.address(),
            out_images: out_images.address(),
            out_classes: out_classes.address(),
            total: total.address(),
            images: images as i32,
            most: most as i32,
        };
        run("mask_rois", &params, images * most, 0);
        let there = |i: &usize| (i % most) < counts[i / most] as usize;
        let mut expected: Vec<(Box2, i32, i32)> =
            (0..images * most).filter(there).map(|i| (boxes[i], (i / most) as i32, classes[i])).collect();
        assert_eq!(total.read::<i32>(), [expected.len() as i32]);
        expected.resize(images * most, Default::default());
        let (boxes, images, classes) = (out_boxes.read::<Box2>(), out_images.read::<i32>(), out_classes.read::<i32>());
        let got = boxes.into_iter().zip(images).zip(classes).map(|((b, i), c)| (b, i, c));
        assert_eq!(got.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn probabilities_of_masks() {
    let mut random = Random(6);
    for _ in 0..200 {
        let (count, side, classes) = (random.integer(1, 4), random.integer(1, 9), random.integer(1, 6));
        let (stride, agnostic) = (classes.next_multiple_of(8), random.is(0.3));
        let logits: Vec<f32> = (0..count * side * side * 4 * stride).map(|_| random.odd_value(-9.0, 9.0)).collect();
        let of_masks: Vec<i32> = (0..count).map(|_| random.integer(0, classes - 1) as i32).collect();
        let (mut of_logits, mut of_classes) = (Buffer::of(&logits), Buffer::of(&of_masks));
        let mut output = Buffer::new::<f32>(count * side * side * 4);
        let params = MaskProbabilitiesParams {
            logits: of_logits.address(),
            classes: if agnostic { 0 } else { of_classes.address() },
            output: output.address(),
            resolution: side as i32,
            stride: stride as i32,
        };
        run("mask_probabilities", &params, count * side * side * 4, 0);
        // As in cpu/heads.rs.
        let mut expected = vec![];
        for (i, &class) in of_masks.iter().enumerate() {
            let channel = if agnostic { 0 } else { class as usize };
            for (y, x) in (0..side * 2).flat_map(|y| (0..side * 2).map(move |x| (y, x))) {
                let cell = (i * side + y / 2) * side + x / 2;
                let logit = logits[(cell * 4 + y % 2 * 2 + x % 2) * stride + channel];
                expected.push([1.0 / (1.0 + (-logit).exp())]);
            }
        }
        let got = output.read::<[f32; 1]>();
        assert!(bits(&got).iter().zip(bits(&expected)).all(|(a, b)| *a == b || f32::from_bits(a[0]).is_nan()));
    }
}

/// As in model.rs.
fn pasted(mask: &[f32], side: usize, b: &Box2, size: [f32; 2], original: [u32; 2]) -> Option<Rle> {
    let [width, height] = original;
    let scale = [width as f32 / size[0], height as f32 / size[1]];
    let scaled = [b[0] * scale[0], b[1] * scale[1], b[2] * scale[0], b[3] * scale[1]];
    let box_px = clip(scaled, width as f32, height as f32);
    (box_px[2] > box_px[0] && box_px[3] > box_px[1]).then(|| paste(mask, side, &box_px, width, height))
}

fn box_within(random: &mut Random, [width, height]: [f32; 2]) -> Box2 {
    let mut range = |limit: f32| match random.integer(0, 4) {
        0 => [0.0, limit],
        1 => [random.between(-5.0, limit), limit + 3.0],
        2 => [limit * 0.5; 2],
        _ => {
            let low = random.between(0.0, limit);
            [low, random.between(low, limit)]
        }
    };
    let (x, y) = (range(width), range(height));
    [x[0], y[0], x[1], y[1]]
}

fn check_runs(random: &mut Random, largest: [usize; 2]) {
    let (images, count, side) = (random.integer(1, 3), random.integer(1, 8), random.integer(1, 14) * 2);
    let original: Vec<[u32; 2]> = (0..images).map(|_| largest.map(|l| random.integer(1, l) as u32)).collect();
    let sizes: Vec<[f32; 2]> =
        (0..images).map(|_| [random.integer(1, 90) as f32, random.integer(1, 90) as f32]).collect();
    let of_masks: Vec<i32> = (0..count).map(|_| random.integer(0, images - 1) as i32).collect();
    let boxes: Vec<Box2> = of_masks.iter().map(|&i| box_within(random, sizes[i as usize])).collect();
    let mut masks = vec![];
    for _ in 0..count {
        let (kind, center) = (random.integer(0, 3), random.value() * side as f32);
        masks.extend((0..side * side).map(|i| match kind {
            0 => random.value(),
            1 => 1.0,
            2 => (((i % side + i / side) as f32 - center) * 0.2).sin() * 0.5 + 0.5,
            _ => random.odd_value(0.4, 0.6),
        }));
    }
    let total = random.integer(0, count);
    let capacity = if random.is(0.8) { 1 << 20 } else { random.integer(0, 300) };

    let [mut of_images, mut of_total] = [Buffer::of(&of_masks), Buffer::of(&[total as i32])];
    let (mut of_sizes, mut of_boxes, mut probabilities) = (Buffer::of(&sizes), Buffer::of(&boxes), Buffer::of(&masks));
    let mut originals = Buffer::of(&original.iter().map(|o| o.map(|v| v as f32)).collect::<Vec<_>>());
    let (mut bounds, mut ranges) = (Buffer::new::<u32>(capacity), Buffer::new::<[i32; 2]>(count));
    let mut taken = Buffer::of(&[0i32]);
    let params = MaskRunsParams {
        masks: probabilities.address(),
        boxes: of_boxes.address(),
        images: of_images.address(),
        total: of_total.address(),
        sizes: of_sizes.address(),
        originals: originals.address(),
        bounds: bounds.address(),
        taken: taken.address(),
        ranges: ranges.address(),
        side: side as i32,
        capacity: capacity as i32,
    };
    run("mask_runs", &params, count, MASK_RUNS_SHARED);
    let (bounds, ranges) = (bounds.read::<u32>(), ranges.read::<[i32; 2]>());
    assert_eq!(taken.read::<i32>()[0], ranges.iter().map(|r| r[1]).sum::<i32>());
    for (i, [start, length]) in ranges.into_iter().enumerate() {
        let image = of_masks[i] as usize;
        let mask = &masks[i * side * side..][..side * side];
        let expected = pasted(mask, side, &boxes[i], sizes[image], original[image]).filter(|_| i < total);
        let [width, height] = original[image];
        match (expected, bounds.get(start as usize..(start + length) as usize)) {
            (None, _) => assert_eq!(length, 0),
            (Some(expected), Some(bounds)) => assert_eq!(Rle::from_bounds(bounds, width, height), expected),
            (Some(_), None) => assert!((start + length) as usize > capacity),
        }
    }
}

#[test]
fn runs_of_masks() {
    let mut random = Random(7);
    for _ in 0..300 {
        check_runs(&mut random, [90, 90]);
    }
    for _ in 0..20 {
        check_runs(&mut random, [700, 900]);
    }
}

/// More columns than a mask has parts.
#[test]
fn runs_of_wide_masks() {
    let mut random = Random(8);
    for _ in 0..20 {
        check_runs(&mut random, [10_000, 20]);
    }
}

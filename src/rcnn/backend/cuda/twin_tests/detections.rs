//! Detections and their masks.

use super::super::heads::Found;
use super::super::masks::{Packed, mask_runs, pack_rois};
use super::super::params::TOP_K_MOST;
use super::{Dtype, Ops, Random, bits, ops};
use crate::rcnn::Rle;
use crate::rcnn::detection::Instances;
use crate::rcnn::geometry::boxes::{Box2, rescale};
use crate::rcnn::post::mask::paste;
use crate::rcnn::proposals::Proposals;
use crate::rcnn::roi_heads::{BoxPredictions, Selection};

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
        let cap = [50, TOP_K_MOST][random.integer(0, 1)];
        Self {
            threshold: [0.0, 0.05, 0.3, 0.6][random.integer(0, 3)],
            selection: Selection {
                deltas,
                num_classes,
                class_agnostic,
                weights: [10.0, 10.0, 5.0, 5.0],
                nms_threshold: random.between(0.2, 0.8),
                topk: random.integer(1, 100).min(cap),
            },
            post,
            stride,
            proposals: (0..images).map(|_| proposals(random)).collect(),
            predictions,
            sizes: (0..images).map(|_| (random.integer(50, 200), random.integer(50, 200))).collect(),
            cap,
        }
    }

    fn expected(&self, image: usize, selection: &Selection) -> Instances {
        let rows = self.predictions.chunks_exact(self.stride).skip(image * self.post);
        let split = |row: &[f32]| {
            let (logits, deltas) = row.split_at(selection.num_classes + 1);
            (logits.to_vec(), deltas[..selection.deltas].to_vec())
        };
        let (logits, deltas) = rows.map(split).unzip();
        let predictions = BoxPredictions { logits, deltas };
        selection.select(&self.proposals[image], predictions, self.sizes[image], self.threshold)
    }

    /// Without suppression: what `detections_topk` finds.
    fn candidates(&self, image: usize) -> Instances {
        let selection = Selection { nms_threshold: f32::INFINITY, topk: self.cap, ..self.selection };
        self.expected(image, &selection)
    }

    fn check(&self) {
        let (ops, images, s) = (ops(Dtype::F32), self.proposals.len(), &self.selection);
        let predictions = ops.map_of(&self.predictions, [images * self.post, 1, 1, self.stride]);
        let padded = |p: &Proposals| [&p.boxes[..], &vec![[0.0; 4]; self.post - p.boxes.len()]].concat();
        let boxes: Vec<Box2> = self.proposals.iter().flat_map(padded).collect();
        let counts: Vec<i32> = self.proposals.iter().map(|p| p.boxes.len() as i32).collect();
        let (regions, sizes) = (ops.ranked(&boxes, &counts, self.post), ops.sizes(&self.sizes));
        let candidates = s.candidates(&ops, &regions, &predictions, &sizes, (self.threshold, self.cap)).unwrap();
        let found = s.best(&ops, &candidates).unwrap();
        for image in 0..images {
            let expected = self.candidates(image);
            check_instances(&ops, &expected, image, &candidates, false);
            if expected.boxes.len() < self.cap {
                check_instances(&ops, &self.expected(image, s), image, &found, true);
            }
        }
    }
}

fn check_instances(ops: &Ops, expected: &Instances, image: usize, found: &Found, zeros_behind: bool) {
    let (count, room) = (expected.boxes.len(), found.ranked.most);
    let (boxes, scores, counts) = ops.lists(&found.ranked);
    let classes = ops.values::<i32>(&found.classes, found.ranked.lists * room);
    assert_eq!(counts[image] as usize, count);
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
        let ops = ops(Dtype::F32);
        let found = Found { ranked: ops.ranked(&boxes, &counts, most), classes: ops.buffer_of(&classes) };
        let packed = pack_rois(&ops, &found).unwrap();
        let there = |i: &usize| (i % most) < counts[i / most] as usize;
        let mut expected: Vec<(Box2, i32, i32)> =
            (0..images * most).filter(there).map(|i| (boxes[i], (i / most) as i32, classes[i])).collect();
        assert_eq!(ops.values::<i32>(&packed.total, 1), [expected.len() as i32]);
        expected.resize(images * most, Default::default());
        let boxes = ops.values::<Box2>(&packed.boxes, images * most);
        let [images, classes] = [&packed.images, &packed.classes].map(|b| ops.values::<i32>(b, expected.len()));
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
        let ops = ops(Dtype::F32);
        let (of_logits, of_classes) =
            (ops.map_of(&logits, [count * side * side * 4, 1, 1, stride]), ops.buffer_of(&of_masks));
        let output = ops.context.buffer(count * side * side * 4 * 4).unwrap();
        let of_classes = if agnostic { 0 } else { of_classes.address };
        ops.mask_probabilities(&of_logits, of_classes, side * 2, output.address).unwrap();
        // As in mask_head.rs.
        let mut expected = vec![];
        for (i, &class) in of_masks.iter().enumerate() {
            let channel = if agnostic { 0 } else { class as usize };
            for (y, x) in (0..side * 2).flat_map(|y| (0..side * 2).map(move |x| (y, x))) {
                let cell = (i * side + y / 2) * side + x / 2;
                let logit = logits[(cell * 4 + y % 2 * 2 + x % 2) * stride + channel];
                expected.push([1.0 / (1.0 + (-logit).exp())]);
            }
        }
        let got = ops.values::<[f32; 1]>(&output, expected.len());
        assert!(bits(&got).iter().zip(bits(&expected)).all(|(a, b)| *a == b || f32::from_bits(a[0]).is_nan()));
    }
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

    let ops = ops(Dtype::F32);
    let packed = Packed {
        boxes: ops.buffer_of(&boxes),
        images: ops.buffer_of(&of_masks),
        classes: ops.buffer_of::<i32>(&[]),
        total: ops.buffer_of(&[total as i32]),
    };
    let originals = original.iter().map(|&[w, h]| (w as usize, h as usize)).collect::<Vec<_>>();
    let of_sizes = [&ops.buffer_of(&sizes), &ops.sizes(&originals)];
    let runs = mask_runs(&ops, &packed, &ops.buffer_of(&masks), (count, side), of_sizes, capacity).unwrap();
    let bounds = ops.values::<u32>(&runs.bounds, capacity);
    let ranges = ops.values::<[i32; 2]>(&runs.ranges, count);
    assert_eq!(runs.taken as i32, ranges.iter().map(|r| r[1]).sum::<i32>());
    for (i, [start, length]) in ranges.into_iter().enumerate() {
        let image = of_masks[i] as usize;
        let mask = &masks[i * side * side..][..side * side];
        let [width, height] = original[image];
        let box_px = rescale(&boxes[i], sizes[image].into(), (width as f32, height as f32)).filter(|_| i < total);
        let expected = box_px.map(|box_px| paste(mask, side, &box_px, width, height));
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

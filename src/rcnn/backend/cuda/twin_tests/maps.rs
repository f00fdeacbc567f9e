//! Images and maps: resizing and RoIAlign.

use image::RgbImage;

use super::super::heads::LEVELS;
use super::super::input::resize;
use super::super::twin::load;
use super::{Dtype, Random, ops};
use crate::kernels::{Isa, roi_align_rows};
use crate::rcnn::geometry::boxes::Box2;
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::input::resample::resize_bilinear;

#[test]
fn images_are_resized_as_pillow_does() {
    let mut random = Random(9);
    for _ in 0..300 {
        let count = random.integer(1, 3);
        let [width, height, to_width, to_height] = std::array::from_fn(|_| random.integer(1, 70) as u32);
        let (to_width, to_height) =
            (if random.is(0.2) { width } else { to_width }, if random.is(0.2) { height } else { to_height });
        let images: Vec<RgbImage> = (0..count)
            .map(|_| {
                RgbImage::from_fn(width, height, |_, _| {
                    image::Rgb(std::array::from_fn(|_| random.integer(0, 255) as u8))
                })
            })
            .collect();
        let ops = ops(Dtype::F32);
        let pixels = ops.buffer_of(&images.iter().flat_map(|i| i.as_raw().iter().copied()).collect::<Vec<u8>>());
        let pixels = resize(&ops, pixels, count, (width, height), (to_width, to_height)).unwrap();
        let expected: Vec<u8> =
            images.iter().flat_map(|i| resize_bilinear(i, to_width, to_height).into_raw()).collect();
        assert!(
            ops.values::<u8>(&pixels, expected.len()) == expected,
            "{width} x {height} to {to_width} x {to_height}"
        );
    }
}

fn roi(random: &mut Random, side: f32) -> Box2 {
    let [x, y] = std::array::from_fn(|_| random.between(-0.2, 1.1) * side);
    let [w, h] = std::array::from_fn(|_| match random.integer(0, 4) {
        0 => 0.0,
        1 => random.between(0.0, 10.0),
        2 => side * 1.5,
        _ => random.between(0.0, side),
    });
    [x, y, x + w, y + h]
}

/// `tolerance`: how far a value of size 1 may be off.
fn check_roi_align(random: &mut Random, dtype: Dtype, tolerance: f32) {
    let ops = ops(dtype);
    let (images, per_image, channels) = (random.integer(1, 3), random.integer(1, 5), random.integer(1, 3) * 8);
    let pooler =
        Pooler { resolution: random.integer(1, 14), sampling_ratio: random.integer(0, 2), strides: LEVELS.to_vec() };
    let side = random.integer(1, 20) * 32;
    // Not square.
    let shapes: [[usize; 2]; 4] = std::array::from_fn(|i| [(side / LEVELS[i]).max(1), (side / 2 / LEVELS[i]).max(1)]);
    let features = shapes.map(|[h, w]| {
        let values: Vec<f32> = (0..images * h * w * channels).map(|_| random.between(-1.0, 1.0)).collect();
        ops.map_of(&values, [images, h, w, channels])
    });
    let boxes: Vec<Box2> = (0..images * per_image).map(|_| roi(random, side as f32)).collect();
    // In either form: so many of each image, or so many of all with their images.
    let packed = random.is(0.5);
    let of_rois: Vec<i32> =
        (0..boxes.len()).map(|i| if packed { random.integer(0, images - 1) } else { i / per_image } as i32).collect();
    let counts: Vec<i32> = match packed {
        true => vec![random.integer(0, boxes.len()) as i32],
        false => (0..images).map(|_| random.integer(0, per_image) as i32).collect(),
    };
    let there = |i: usize| match packed {
        true => (i as i32) < counts[0],
        false => ((i % per_image) as i32) < counts[i / per_image],
    };

    let cells = pooler.resolution * pooler.resolution;
    let (rois, of_images, of_counts) = (ops.buffer_of(&boxes), ops.buffer_of(&of_rois), ops.buffer_of(&counts));
    let places = (rois.address, of_counts.address, if packed { of_images.address } else { 0 });
    let output = ops.pool(&pooler, &features, places, per_image, boxes.len()).unwrap();
    let row = cells * channels;
    let output = load(output.buffer.address, boxes.len(), row, row, dtype);
    for (i, got) in output.chunks_exact(row).enumerate() {
        let level = pooler.by_level(&boxes[i..=i]).iter().position(|rows| !rows.is_empty()).unwrap();
        let [h, w] = shapes[level];
        let image = of_rois[i] as usize;
        let map = load(features[level].buffer.address, images, h * w * channels, h * w * channels, dtype);
        let map = &map[image * h * w * channels..][..h * w * channels];
        let mut expected = vec![0.0; cells * channels];
        let op = pooler.op(&boxes, &[i], LEVELS[level]);
        roi_align_rows(Isa::best(), map, [h, w, channels], &op, &[0], &mut expected);
        for (got, expected) in got.iter().zip(expected) {
            let expected = if there(i) { expected } else { 0.0 };
            assert!((got - expected).abs() <= tolerance, "{dtype:?}: {got}, not {expected}, of {:?}", boxes[i]);
        }
    }
}

#[test]
fn rois_are_pooled() {
    let mut random = Random(10);
    for _ in 0..80 {
        check_roi_align(&mut random, Dtype::F32, 1e-5);
        check_roi_align(&mut random, Dtype::F16, 1e-5 + 1.0 / 2048.0);
        check_roi_align(&mut random, Dtype::Bf16, 1e-5 + 1.0 / 256.0);
    }
}

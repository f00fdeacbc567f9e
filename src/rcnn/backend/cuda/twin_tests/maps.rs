//! Images and maps: resizing and RoIAlign.

use half::{bf16, f16};
use image::RgbImage;

use super::super::params::*;
use super::super::twin::run;
use super::{Buffer, Random};
use crate::kernels::{Isa, roi_align_rows};
use crate::rcnn::backend::cuda::heads::LEVELS;
use crate::rcnn::geometry::boxes::Box2;
use crate::rcnn::geometry::pooler::Pooler;
use crate::rcnn::input::resample::{Tables, resize_bilinear};

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
        let mut pixels = Buffer::of(&images.iter().flat_map(|i| i.as_raw().iter().copied()).collect::<Vec<u8>>());
        if to_width != width {
            pixels =
                pass("resize_horizontal", &mut pixels, [width, height], to_width, (to_width * height) as usize * count);
        }
        if to_height != height {
            let items = (to_width * to_height) as usize * count;
            pixels = pass("resize_vertical", &mut pixels, [to_width, height], to_height, items);
        }
        let expected: Vec<u8> =
            images.iter().flat_map(|i| resize_bilinear(i, to_width, to_height).into_raw()).collect();
        assert!(pixels.read::<u8>() == expected, "{width} x {height} to {to_width} x {to_height}");
    }
}

fn pass(name: &str, input: &mut Buffer, [width, height]: [u32; 2], target: u32, pixels: usize) -> Buffer {
    let tables = Tables::new(if name == "resize_horizontal" { width } else { height }, target);
    let mut output = Buffer::new::<u8>(pixels * 3);
    let mut lists = [tables.starts, tables.offsets, tables.weights].map(|list| Buffer::of(&list));
    let params = ResizeParams {
        input: input.address(),
        output: output.address(),
        starts: lists[0].address(),
        offsets: lists[1].address(),
        weights: lists[2].address(),
        height: height as i32,
        width: width as i32,
        target: target as i32,
    };
    run(name, &params, pixels, 0);
    output
}

/// A type of activations.
trait Activation: Copy {
    const NAME: &str;
    /// How far a value of size 1 may be off.
    const TOLERANCE: f32;
    fn from(v: f32) -> Self;
    fn to(self) -> f32;
}

impl Activation for f32 {
    const NAME: &str = "roi_align_f32";
    const TOLERANCE: f32 = 1e-5;
    fn from(v: f32) -> Self {
        v
    }
    fn to(self) -> f32 {
        self
    }
}

impl Activation for f16 {
    const NAME: &str = "roi_align_f16";
    const TOLERANCE: f32 = 1e-5 + 1.0 / 2048.0;
    fn from(v: f32) -> Self {
        Self::from_f32(v)
    }
    fn to(self) -> f32 {
        self.to_f32()
    }
}

impl Activation for bf16 {
    const NAME: &str = "roi_align_bf16";
    const TOLERANCE: f32 = 1e-5 + 1.0 / 256.0;
    fn from(v: f32) -> Self {
        Self::from_f32(v)
    }
    fn to(self) -> f32 {
        self.to_f32()
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

fn check_roi_align<T: Activation>(random: &mut Random) {
    let (images, per_image, channels) = (random.integer(1, 3), random.integer(1, 5), random.integer(1, 3) * 8);
    let pooler =
        Pooler { resolution: random.integer(1, 14), sampling_ratio: random.integer(0, 2), strides: LEVELS.to_vec() };
    let side = random.integer(1, 20) * 32;
    // Not square.
    let shapes: [[usize; 2]; 4] = std::array::from_fn(|i| [(side / LEVELS[i]).max(1), (side / 2 / LEVELS[i]).max(1)]);
    let maps: [Vec<T>; 4] = shapes.map(|[h, w]| {
        let values = (0..images * h * w * channels).map(|_| T::from(random.between(-1.0, 1.0)));
        values.collect()
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
    let mut of_maps = maps.each_ref().map(|map| Buffer::of(map));
    let (mut rois, mut of_images, mut of_counts) = (Buffer::of(&boxes), Buffer::of(&of_rois), Buffer::of(&counts));
    let mut output = Buffer::new::<T>(boxes.len() * cells * channels);
    let params = RoiAlignParams {
        maps: of_maps.each_mut().map(Buffer::address),
        heights: shapes.map(|s| s[0] as i32),
        widths: shapes.map(|s| s[1] as i32),
        scales: std::array::from_fn(|i| 1.0 / LEVELS[i] as f32),
        rois: rois.address(),
        images: if packed { of_images.address() } else { 0 },
        counts: of_counts.address(),
        output: output.address(),
        per_image: per_image as i32,
        channels: channels as i32,
        resolution: pooler.resolution as i32,
        sampling_ratio: pooler.sampling_ratio as i32,
    };
    run(T::NAME, &params, boxes.len() * cells * channels * size_of::<T>() / 16, 0);

    let output = output.read::<T>();
    for (i, got) in output.chunks_exact(cells * channels).enumerate() {
        let level = pooler.by_level(&boxes[i..=i]).iter().position(|rows| !rows.is_empty()).unwrap();
        let [h, w] = shapes[level];
        let map = &maps[level][of_rois[i] as usize * h * w * channels..][..h * w * channels];
        let map: Vec<f32> = map.iter().map(|v| v.to()).collect();
        let mut expected = vec![0.0; cells * channels];
        let op = pooler.op(&boxes, &[i], LEVELS[level]);
        roi_align_rows(Isa::best(), &map, [h, w, channels], &op, &[0], &mut expected);
        for (got, expected) in got.iter().zip(expected) {
            let (got, expected) = (got.to(), if there(i) { expected } else { 0.0 });
            assert!((got - expected).abs() <= T::TOLERANCE, "{}: {got}, not {expected}, of {:?}", T::NAME, boxes[i]);
        }
    }
}

#[test]
fn rois_are_pooled() {
    let mut random = Random(10);
    for _ in 0..80 {
        check_roi_align::<f32>(&mut random);
        check_roi_align::<f16>(&mut random);
        check_roi_align::<bf16>(&mut random);
    }
}

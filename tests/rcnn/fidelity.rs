//! Every stage and every final detection, against what Detectron2 computed on the same checkpoint and pages.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device as CandleDevice, Tensor};
use docreader::kernels::Isa;
use docreader::rcnn::{Detection, Device, Dtype, Kernels, Memory, Model, ModelInput, Proposals, Rle, input};
use serde::Deserialize;

use crate::skip::skip_isa;

const FEATURE_TOLERANCE: f32 = 1e-5;
const STAGE_TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    boxes: Vec<[f32; 4]>,
    scores: Vec<f32>,
    classes: Vec<usize>,
    image_size: [u32; 2],
    resized: [u32; 2],
    #[serde(default)]
    masks_rle: Vec<Rle>,
}

fn fixture(model: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(model)
}

fn load(name: &str, device: Device, kernels: Kernels) -> Model {
    Model::load_with(&fixture(name), &device, kernels).unwrap()
}

fn page(model: &str, n: usize) -> image::RgbImage {
    image::open(fixture(model).join(format!("page{n}.png"))).unwrap().to_rgb8()
}

fn expected(model: &str, n: usize) -> Expected {
    let text = std::fs::read_to_string(fixture(model).join(format!("page{n}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference, relative to the largest value of the reference.
fn relative_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(0f32, |m, v| m.max(v.abs()));
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0f32, f32::max) / scale
}

fn assert_close(stage: &str, got: &[f32], want: &Tensor, tolerance: f32) {
    let error = relative_error(got, &values(want));
    println!("{stage}: relative error {error:.2e}");
    assert!(error <= tolerance, "{stage}: relative error {error} > {tolerance}");
}

/// Logits agree in order. Boxes agree one to one, but two whose logits differ by float noise may have changed places.
fn assert_proposals_match(got: &Proposals, want: &Proposals) {
    let error = relative_error(&got.logits, &want.logits);
    println!("objectness_logits: relative error {error:.2e}");
    assert!(error <= STAGE_TOLERANCE, "objectness_logits: relative error {error}");
    let scale = want.boxes.as_flattened().iter().fold(0f32, |m, v| m.max(v.abs()));
    let mut free: Vec<bool> = vec![true; got.boxes.len()];
    let mut moved = 0;
    for (i, b) in want.boxes.iter().enumerate() {
        let same = |&j: &usize| {
            let off = got.boxes[j].iter().zip(b).map(|(g, w)| (g - w).abs()).fold(0f32, f32::max);
            free[j] && (got.logits[j] - want.logits[i]).abs() < 1e-4 && off <= STAGE_TOLERANCE * scale
        };
        let near = i.saturating_sub(3)..(i + 4).min(got.boxes.len());
        let found = near.clone().find(|&j| j == i && same(&j)).or_else(|| near.clone().find(same));
        let j = found.unwrap_or_else(|| panic!("no proposal like {i}: {b:?} with logit {}", want.logits[i]));
        free[j] = false;
        moved += usize::from(i != j);
    }
    println!("proposal_boxes: all matched, {moved} changed places with an equal one");
    assert!(moved <= want.boxes.len() / 100, "{moved} proposals are out of order");
}

fn stages_match(name: &str, kernels: Kernels) {
    let model = load(name, Device::Cpu, kernels);
    println!("{name} on {} kernels", model.backend_name());
    let want: HashMap<String, Tensor> =
        candle_core::safetensors::load(fixture(name).join("page0.stages.safetensors"), &CandleDevice::Cpu).unwrap();
    let image = page(name, 0);
    let input = ModelInput::new(&image, &model.config, &CandleDevice::Cpu).unwrap();
    assert_eq!(values(&input.tensor), values(&want["input"]), "input");

    // Heads take the reference's proposals in the reference's order.
    let reference = Proposals {
        boxes: want["proposal_boxes"].to_vec2().unwrap().iter().map(|b: &Vec<f32>| [b[0], b[1], b[2], b[3]]).collect(),
        logits: want["objectness_logits"].to_vec1().unwrap(),
    };
    let got = model.trace(&image, 0.3, Some(&reference)).unwrap();
    for (level, feature) in got.features.iter().enumerate() {
        let stage = format!("feat.p{}", level + 2);
        assert_eq!(feature.shape, want[&stage].dims());
        assert_close(&stage, &feature.data, &want[&stage], FEATURE_TOLERANCE);
    }
    assert_proposals_match(&got.proposals, &reference);
    assert_close("box_pooled.first8", &got.box_pooled.data, &want["box_pooled.first8"], STAGE_TOLERANCE);
    assert_close("box_logits", &got.box_logits, &want["box_logits"], STAGE_TOLERANCE);
    assert_close("box_deltas", &got.box_deltas, &want["box_deltas"], STAGE_TOLERANCE);
    assert_close("boxes_resized", got.instances.boxes.as_flattened(), &want["boxes_resized"], STAGE_TOLERANCE);
    match got.masks {
        Some(masks) => assert_close("mask_probs", &masks.concat(), &want["mask_probs"], STAGE_TOLERANCE),
        None => assert!(!want.contains_key("mask_probs")),
    }
}

#[test]
fn mask_rcnn_stages() {
    stages_match("tiny_mask", Kernels::Candle);
    stages_match("tiny_mask", Kernels::default());
}

#[test]
fn faster_rcnn_stages() {
    stages_match("tiny_faster", Kernels::Candle);
    stages_match("tiny_faster", Kernels::default());
}

/// Fills a bitmap from the runs, to compare masks pixel by pixel.
fn bitmap(rle: &Rle) -> Vec<bool> {
    let [height, width] = rle.size.map(|s| s as usize);
    let mut pixels = vec![false; width * height];
    rle.for_each_run(|x, y0, y1| (y0..y1).for_each(|y| pixels[y as usize * width + x as usize] = true));
    pixels
}

fn intersection_over_union(a: &Rle, b: &Rle) -> f64 {
    assert_eq!(a.size, b.size);
    let pairs: Vec<(bool, bool)> = bitmap(a).into_iter().zip(bitmap(b)).collect();
    let count = |f: fn(&(bool, bool)) -> bool| pairs.iter().filter(|p| f(p)).count() as f64;
    let union = count(|(a, b)| a | b);
    if union == 0.0 { 1.0 } else { count(|(a, b)| a & b) / union }
}

/// The instruction set that is tested, which `DOCREADER_ISA` may ask for.
fn look_for_isa() {
    let asked = std::env::var("DOCREADER_ISA").unwrap_or_default();
    if !asked.is_empty() && Isa::best().name() != asked {
        skip_isa(&asked);
    }
}

/// In tests of bf16, which is f32 without AMX.
fn look_for_amx() {
    if std::env::var_os("DOCREADER_ISA").is_none() && Isa::best() != Isa::Amx {
        skip_isa("amx");
    }
}

fn pages_match(name: &str, device: Device, kernels: Kernels) {
    look_for_isa();
    let model = load(name, device, kernels);
    for n in 0..4 {
        let want = expected(name, n);
        let image = page(name, n);
        assert_eq!([image.height(), image.width()], want.image_size);
        let (width, height) = input::resized_size(image.width(), image.height(), &model.config);
        assert_eq!([height, width], want.resized);
        let got: Vec<Detection> = model.predict(&image, 0.3).unwrap();
        assert_eq!(got.len(), want.boxes.len(), "{name} page {n}");
        assert_eq!(got.iter().map(|d| d.class_id).collect::<Vec<_>>(), want.classes, "{name} page {n}");
        let (mut box_error, mut score_error, mut worst_iou) = (0f32, 0f32, 1f64);
        for (i, d) in got.iter().enumerate() {
            score_error = score_error.max((d.score - want.scores[i]).abs());
            box_error = d.box_px.iter().zip(want.boxes[i]).map(|(a, b)| (a - b).abs()).fold(box_error, f32::max);
            if let Some(rle) = want.masks_rle.get(i) {
                worst_iou = worst_iou.min(intersection_over_union(d.mask.as_ref().unwrap(), rle));
            }
        }
        println!(
            "{name} {device:?} {kernels:?} page {n}: {} detections, boxes within {box_error:.4} px, scores within {score_error:.1e}, mask IoU ≥ {worst_iou:.4}",
            got.len()
        );
        assert_eq!(got.iter().filter(|d| d.mask.is_some()).count(), want.masks_rle.len());
        assert!(box_error < 0.01, "{name} page {n}: a box is {box_error} px off");
        assert!(score_error < 1e-4, "{name} page {n}: a score is {score_error} off");
        assert!(worst_iou > 0.999, "{name} page {n}: a mask has IoU {worst_iou}");
    }
}

#[test]
fn mask_rcnn_detections() {
    pages_match("tiny_mask", Device::Cpu, Kernels::Own(Memory::Low, Dtype::F32));
    pages_match("tiny_mask", Device::Cpu, Kernels::Own(Memory::Fast, Dtype::F32));
    pages_match("tiny_mask", Device::Cpu, Kernels::Candle);
}

#[test]
fn faster_rcnn_detections() {
    pages_match("tiny_faster", Device::Cpu, Kernels::default());
    pages_match("tiny_faster", Device::Cpu, Kernels::Candle);
}

const THRESHOLD: f32 = 0.3;

/// How far the regions of a model's pages are from the reference's: for each the nearest of its class, in pixels and in score, if there is one within
/// `reach`; and those that no reference has, above the threshold by `margin`.
fn away(
    name: &str,
    device: Device,
    dtype: Dtype,
    reach: f32,
    margin: f32,
) -> (Vec<Option<(f32, f32)>>, Vec<Detection>) {
    let model = load(name, device, Kernels::Own(Memory::Low, dtype));
    let (mut found, mut more) = (vec![], vec![]);
    for n in 0..4 {
        let want = expected(name, n);
        let mut got = model.predict(&page(name, n), THRESHOLD - margin).unwrap();
        for ((class, score), place) in want.classes.iter().zip(&want.scores).zip(&want.boxes) {
            let off = |d: &Detection| d.box_px.iter().zip(place).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            let same = (0..got.len()).filter(|&i| got[i].class_id == *class && off(&got[i]) < reach);
            let nearest = same.min_by(|&a, &b| off(&got[a]).total_cmp(&off(&got[b])));
            found.push(nearest.map(|i| {
                let d = got.swap_remove(i);
                (off(&d), (d.score - score).abs())
            }));
        }
        more.extend(got.into_iter().filter(|d| d.score > THRESHOLD + margin));
    }
    (found, more)
}

/// Each region of the reference is found within a pixel and 0.02 of its score, and no other is, but for those that near the threshold. On processors
/// without AMX this is f32 once more.
#[test]
fn bf16_detections() {
    look_for_amx();
    for name in ["tiny_mask", "tiny_faster"] {
        let (found, more) = away(name, Device::Cpu, Dtype::Bf16, 1.0, 0.02);
        let lost = found.iter().filter(|d| d.is_none_or(|(_, score)| score >= 0.02)).count();
        let boxes = found.iter().flatten().map(|d| d.0).fold(0f32, f32::max);
        println!("{name} in bf16: {} regions, boxes within {boxes:.2} px", found.len());
        assert_eq!((lost, more.len()), (0, 0), "{name}: {found:?}, {more:?}");
    }
}

/// With a backbone in bf16, too, one region in thirty may be lost, or more than 5 px away, or come, and nine in ten stay within a pixel and 0.02.
#[test]
fn bf16_all_detections() {
    look_for_amx();
    let (mut regions, mut lost, mut near, mut more) = (0, 0, 0, 0);
    for name in ["tiny_mask", "tiny_faster"] {
        let (found, others) = away(name, Device::Cpu, Dtype::Bf16All, 5.0, 0.05);
        regions += found.len();
        lost += found.iter().filter(|d| d.is_none()).count();
        near += found.iter().flatten().filter(|d| d.0 < 1.0 && d.1 < 0.02).count();
        more += others.len();
    }
    println!("bf16 throughout: {lost} of {regions} lost, {near} near, {more} more");
    assert!(lost * 30 <= regions && more * 30 <= regions && near * 10 >= regions * 9, "{lost}, {near}, {more}");
}

/// The GPU's network, on its kernels' twins: all that is not the GPU itself.
#[cfg(feature = "cuda")]
mod cuda {
    use super::*;

    #[test]
    fn detections() {
        pages_match("tiny_mask", Device::Twin, Kernels::default());
        pages_match("tiny_faster", Device::Twin, Kernels::default());
    }

    /// In f16 each region of the reference is found within a pixel and 0.02 of its score, and no other, but for those near the threshold.
    #[test]
    fn f16_detections() {
        for name in ["tiny_mask", "tiny_faster"] {
            let (found, more) = away(name, Device::Twin, Dtype::F16, 1.0, 0.02);
            let lost = found.iter().filter(|d| d.is_none_or(|(_, score)| score >= 0.02)).count();
            let boxes = found.iter().flatten().map(|d| d.0).fold(0f32, f32::max);
            let scores = found.iter().flatten().map(|d| d.1).fold(0f32, f32::max);
            println!("{name} in f16: {} regions, boxes within {boxes:.2} px, scores within {scores:.4}", found.len());
            assert_eq!((lost, more.len()), (0, 0), "{name}: {found:?}, {more:?}");
        }
    }

    /// Pages at a time give what they give one by one, in their order, whatever their sizes.
    #[test]
    fn batches() {
        let model = load("tiny_mask", Device::Twin, Kernels::default());
        let pages: Vec<_> = [0, 1, 0, 0].map(|n| page("tiny_mask", n)).into();
        let together = model.predict_batch(&pages.iter().collect::<Vec<_>>(), 0.3, &|| false);
        for (page, together) in pages.iter().zip(together) {
            let (alone, together) = (model.predict(page, 0.3).unwrap(), together.unwrap());
            assert_eq!(alone.len(), together.len());
            for (a, b) in alone.iter().zip(&together) {
                assert_eq!((a.class_id, &a.mask), (b.class_id, &b.mask));
                assert!(
                    (a.score - b.score).abs() < 1e-5
                        && a.box_px.iter().zip(b.box_px).all(|(a, b)| (a - b).abs() < 1e-3)
                );
            }
        }
    }
}

#[test]
fn resize_is_pillows() {
    let name = "tiny_mask";
    let model = load(name, Device::Cpu, Kernels::default());
    let want =
        candle_core::safetensors::load(fixture(name).join("page0.stages.safetensors"), &CandleDevice::Cpu).unwrap();
    let want = &want["resized_bgr"];
    let resized = input::resize(&page(name, 0), &model.config).unwrap();
    assert_eq!(want.dims(), [resized.height() as usize, resized.width() as usize, 3]);
    let want = want.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let worst = (resized.pixels().flat_map(|p| [p[2], p[1], p[0]]).zip(want)).map(|(a, b)| a.abs_diff(b)).max();
    assert_eq!(worst, Some(0), "{worst:?} levels off");
}

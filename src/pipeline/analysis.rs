//! What becomes of a page's detections: rows, crops and an overlay.

use image::{ImageResult, RgbImage, imageops};

use super::{Detector, overlay, png, thumbnail};
use crate::documents::DetectionRow;
use crate::rcnn::Detection;

/// A page's results, ready to be kept; images are PNG but for the thumbnail, a JPEG.
#[derive(Debug)]
pub struct Analysis {
    /// Best score first.
    pub detections: Vec<DetectionRow>,
    pub crops: Vec<Crop>,
    pub overlay: Vec<u8>,
    /// The page itself.
    pub image: Vec<u8>,
    pub thumbnail: Vec<u8>,
}

/// A region cut out of the page.
#[derive(Debug)]
pub struct Crop {
    /// Index into the page's detections.
    pub ordinal: usize,
    /// `0-table.png`, unique within the page.
    pub file_name: String,
    pub png: Vec<u8>,
}

/// Cuts out the regions that score at least `crop_min_score` and draws the overlay. `size_pt` is the page's size in points.
pub fn analyze(
    image: &RgbImage,
    size_pt: (f32, f32),
    detections: Vec<Detection>,
    detector: &Detector,
    crop_min_score: f32,
) -> ImageResult<Analysis> {
    let label = |d: &Detection| detector.label(d.class_id).to_owned();
    let overlay = png::encode(&overlay::draw(image, &detections, label))?;
    let mut crops = vec![];
    for (ordinal, d) in detections.iter().enumerate().filter(|(_, d)| d.score >= crop_min_score) {
        let [x0, y0] = [d.box_px[0], d.box_px[1]].map(|v| v.max(0.0) as u32);
        let x1 = (d.box_px[2].ceil() as u32).clamp(x0 + 1, image.width().max(x0 + 1));
        let y1 = (d.box_px[3].ceil() as u32).clamp(y0 + 1, image.height().max(y0 + 1));
        let cut = imageops::crop_imm(image, x0, y0, x1 - x0, y1 - y0).to_image();
        let file_name = format!("{ordinal}-{}.png", file_stem(&label(d)));
        crops.push(Crop { ordinal, file_name, png: png::encode(&cut)? });
    }
    let scale = [size_pt.0 / image.width() as f32, size_pt.1 / image.height() as f32];
    let rows = detections.into_iter().map(|d| row(d, detector, scale));
    Ok(Analysis {
        detections: rows.collect(),
        crops,
        overlay,
        image: png::encode(image)?,
        thumbnail: thumbnail::encode(image)?,
    })
}

fn row(d: Detection, detector: &Detector, scale: [f32; 2]) -> DetectionRow {
    DetectionRow {
        class_id: d.class_id,
        label: detector.label(d.class_id).to_owned(),
        score: d.score,
        box_pt: std::array::from_fn(|i| d.box_px[i] * scale[i % 2]),
        box_px: d.box_px,
        mask_rle: d.mask.and_then(|m| serde_json::to_value(m).ok()),
        crop_key: None,
    }
}

/// Class names come from a user's file; object keys and file names take letters and digits only.
fn file_stem(label: &str) -> String {
    label.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(40).collect()
}

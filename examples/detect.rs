//! Finds regions on one image with the library alone: no database, no S3, no queue.
//!
//! ```text
//! cargo run --release --example detect -- models/default page.png 0.5
//! ```
//!
//! A page of a PDF becomes an image by `pdftoppm -r 108 -png -f 1 -l 1 paper.pdf page`, for example.

use std::path::Path;
use std::process::ExitCode;

use docreader::rcnn::{Device, Model};

/// Regions that the model is less sure of are left out.
const THRESHOLD: f32 = 0.5;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, image, threshold) = match args.as_slice() {
        [folder, image] => (folder, image, Ok(THRESHOLD)),
        [folder, image, threshold] => (folder, image, threshold.parse()),
        _ => {
            eprintln!("usage: detect MODEL_FOLDER IMAGE [THRESHOLD]");
            return ExitCode::FAILURE;
        }
    };
    let result = match threshold {
        Ok(threshold) => detect(Path::new(folder), Path::new(image), threshold),
        Err(error) => Err(format!("the threshold: {error}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn detect(folder: &Path, image: &Path, threshold: f32) -> Result<(), Box<dyn std::error::Error>> {
    // A folder is what Detectron2 leaves (model_final.pth, config.yaml), or what `app model import` makes of it. Weights are
    // packed for this processor while they are loaded, so one model is loaded once and used for all pages.
    let model = Model::load(folder, &Device::Cpu)?;
    // Any size: the model resizes the image as its config.yaml says, and answers in pixels of the original.
    let page = image::open(image)?.to_rgb8();
    // A prediction runs on all cores by itself (rayon); several at a time make none of them faster.
    let detections = model.predict(&page, threshold)?;
    println!("{} regions on {} × {} pixels", detections.len(), page.width(), page.height());
    for detection in &detections {
        let [x0, y0, x1, y1] = detection.box_px;
        // Mask R-CNN says which pixels belong to a region, as runs of COCO's format; Faster R-CNN knows boxes only.
        let pixels = detection.mask.as_ref().map(|mask| {
            let mut count = 0;
            mask.for_each_run(|_, top, bottom| count += bottom - top);
            format!(", mask of {count} pixels")
        });
        println!(
            "{:<12} {:.2}  x {x0:.1} to {x1:.1}, y {y0:.1} to {y1:.1}{}",
            model.label(detection.class_id),
            detection.score,
            pixels.unwrap_or_default()
        );
    }
    Ok(())
}

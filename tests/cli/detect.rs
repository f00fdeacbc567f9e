//! `app detect`, without database or S3.

use std::path::Path;

use serde_json::Value;

use crate::common::{App, fixture};

async fn detect(folder: &Path, args: &[&str]) -> (bool, String) {
    let mut app = App::start(&[&["detect"], args].concat(), [], folder);
    let success = app.exit().await.success();
    (success, app.log())
}

#[tokio::test]
async fn an_image_gives_what_detectron2_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (model, page) = (fixture("tiny_mask"), fixture("tiny_mask/page1.png"));
    let args = [page.to_str().unwrap(), "--model", model.to_str().unwrap(), "--json", "--device", "cpu"];
    let (success, log) = detect(folder.path(), &args).await;
    assert!(success, "{log}");
    let got: Value = serde_json::from_str(&log).unwrap();
    let want: Value = serde_json::from_slice(&std::fs::read(fixture("tiny_mask/page1.json")).unwrap()).unwrap();
    assert_eq!(got["model"], "tiny_mask");
    assert_eq!(got["pages"].as_array().unwrap().len(), 1);
    let page = &got["pages"][0];
    assert_eq!(
        (&page["page"], &page["height_px"], &page["width_px"]),
        (&1.into(), &want["image_size"][0], &want["image_size"][1])
    );
    let detections = page["detections"].as_array().unwrap();
    assert_eq!(detections.len(), want["boxes"].as_array().unwrap().len());
    for (i, d) in detections.iter().enumerate() {
        assert_eq!(d["class_id"], want["classes"][i]);
        assert_eq!(d["label"], format!("class_{}", want["classes"][i]));
        assert_eq!(d["box_px"], d["box_pt"], "an image is taken at its own size");
        assert_eq!(d["mask_rle"]["size"], want["masks_rle"][i]["size"]);
        for k in 0..4 {
            let off = d["box_px"][k].as_f64().unwrap() - want["boxes"][i][k].as_f64().unwrap();
            assert!(off.abs() < 0.1);
        }
    }
}

#[tokio::test]
async fn a_pdf_gives_a_table_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out/deep");
    let (success, log) =
        detect(folder.path(), &["samples/amt_handbook_sample.pdf", "--out", out.to_str().unwrap()]).await;
    assert!(success, "{log}");
    assert!(log.contains("page  label") && log.contains("regions on 1 pages, model default"), "{log}");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("detections.json")).unwrap()).unwrap();
    let page = &report["pages"][0];
    let overlay = image::open(out.join("page-1.png")).unwrap();
    assert_eq!(
        (page["width_px"].as_u64(), page["height_px"].as_u64()),
        (Some(overlay.width().into()), Some(overlay.height().into()))
    );
    let good = page["detections"].as_array().unwrap().iter().filter(|d| d["score"].as_f64() >= Some(0.9)).count();
    assert_eq!(std::fs::read_dir(out.join("page-1-crops")).unwrap().count(), good);
}

#[tokio::test]
async fn errors_are_one_line_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let (text, broken) = (text.to_str().unwrap(), broken.to_str().unwrap());
    for (args, expected) in [
        (vec!["nowhere.pdf"], "nowhere.pdf: No such file"),
        (vec![text], "notes.txt: The file is not a PDF"),
        (vec![broken], "broken.png: The file is damaged or incomplete"),
        (
            vec!["samples/amt_handbook_sample.pdf", "--model", "nowhere"],
            "MODEL_PATH (--model): nowhere: no such folder",
        ),
        (
            vec!["samples/amt_handbook_sample.pdf", "--model", "samples"],
            "no weights in it; looked for model.safetensors",
        ),
        (
            vec!["samples/amt_handbook_sample.pdf", "--device", "tpu"],
            "MODEL_DEVICE (--device): device tpu: not a device",
        ),
    ] {
        let (success, log) = detect(folder.path(), &args).await;
        assert!(!success && log.contains(expected), "{args:?}: {log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.starts_with("error: "), "{log}");
    }
}

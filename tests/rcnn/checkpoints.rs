//! Checkpoints as users have them, good and bad: each bad one is refused with a sentence that says what is wrong.

use std::path::{Path, PathBuf};

use docreader::rcnn::{Device, Kernels, Model, export};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny_mask").join(name)
}

fn load(weights: &Path, config: &Path) -> Result<Model, String> {
    Model::load_files(weights, config, &Device::Cpu, Kernels::default()).map_err(|e| e.to_string())
}

/// The fixture's configuration with one line replaced.
fn config_with(dir: &Path, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(fixture("config.yaml")).unwrap();
    assert!(text.contains(from));
    let path = dir.join("config.yaml");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    path
}

fn refused(weights: &Path, config: &Path, expected: &[&str]) {
    let error = load(weights, config).err().expect("refused");
    for part in expected {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn an_exported_model_predicts_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::load(&fixture(""), &Device::Cpu).unwrap();
    model.classes = ["text", "title", "list", "table", "figure"].map(String::from).to_vec();
    let out = dir.path().join("layout");
    export(&model, &fixture("config.yaml"), &out, false).unwrap();
    let again = Model::load(&out, &Device::Cpu).unwrap();
    assert_eq!(again.classes, model.classes);
    assert_eq!(again.name, "layout");
    let image = image::open(fixture("page1.png")).unwrap().to_rgb8();
    let (a, b) = (model.predict(&image, 0.3).unwrap(), again.predict(&image, 0.3).unwrap());
    assert!(!a.is_empty());
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    assert!(export(&model, &fixture("config.yaml"), &out, false).unwrap_err().to_string().contains("exists already"));

    let half = dir.path().join("half");
    export(&model, &fixture("config.yaml"), &half, true).unwrap();
    let size = |folder: &std::path::Path| std::fs::metadata(folder.join("model.safetensors")).unwrap().len();
    assert!(size(&half) < size(&out) * 6 / 10);
    let best = |found: &[docreader::rcnn::Detection]| found.iter().map(|d| d.score).fold(0f32, f32::max);
    let c = Model::load(&half, &Device::Cpu).unwrap().predict(&image, 0.3).unwrap();
    assert!((best(&a) - best(&c)).abs() < 0.005, "{} and {}", best(&a), best(&c));
}

#[test]
fn a_folder_may_ask_for_edges_at_the_ink() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::load(&fixture(""), &Device::Cpu).unwrap();
    model.snap_to_ink = true;
    let out = dir.path().join("tight");
    export(&model, &fixture("config.yaml"), &out, true).unwrap();
    let mut tight = Model::load(&out, &Device::Cpu).unwrap();
    assert!(tight.snap_to_ink);
    let image = image::open(fixture("page1.png")).unwrap().to_rgb8();
    let moved = tight.predict(&image, 0.3).unwrap();
    tight.snap_to_ink = false;
    let plain = tight.predict(&image, 0.3).unwrap();
    let farthest = 0.11 * image.width().max(image.height()) as f32;
    let kept: Vec<_> = moved.iter().map(|m| plain.iter().find(|p| p.score == m.score).unwrap()).collect();
    assert!(moved.iter().zip(&kept).any(|(m, p)| m.box_px != p.box_px));
    assert!(moved.iter().zip(kept).all(|(m, p)| m.box_px.iter().zip(p.box_px).all(|(a, b)| (a - b).abs() < farthest)));

    std::fs::write(out.join("docreader.yaml"), "SNAP_TO_PAPER: true\n").unwrap();
    let error = Model::load(&out, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("docreader.yaml") && error.contains("SNAP_TO_PAPER"), "{error}");
}

#[test]
fn a_config_of_another_training_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let weights = fixture("model_final.pth");
    let shape = config_with(dir.path(), "    NUM_CLASSES: 5\n", "    NUM_CLASSES: 7\n");
    refused(&weights, &shape, &["roi_heads.box_predictor.cls_score.weight", "[6, 96]", "[8, 96]", "config.yaml"]);
    let missing = config_with(dir.path(), "    DEPTH: 50", "    DEPTH: 101");
    refused(&weights, &missing, &["lacks backbone.bottom_up.res4.6.conv1.weight"]);
    let unsupported = config_with(dir.path(), "build_resnet_fpn_backbone", "build_retinanet_resnet_fpn_backbone");
    refused(&weights, &unsupported, &["MODEL.BACKBONE.NAME", "build_retinanet_resnet_fpn_backbone"]);
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = fixture("config.yaml");
    let path = dir.path().join("model_final.pth");
    let good = std::fs::read(fixture("model_final.pth")).unwrap();
    for (bytes, expected) in [
        (&b""[..], "neither a PyTorch checkpoint nor a safetensors file"),
        (b"%PDF-1.4", "neither a PyTorch checkpoint nor a safetensors file"),
        (b"\x80\x02}q\x00.", "a bare pickle"),
        (&good[..good.len() / 2], "not a usable PyTorch checkpoint"),
        (b"\xff\xff\xff\xff\x00\x00\x00\x00{}", "not a safetensors file"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        refused(&path, &config, &[expected, "model_final.pth"]);
    }
    refused(&dir.path().join("nothing.pth"), &config, &["No such file"]);
}

/// Any byte of the pickle may be wrong: the answer is an error or a model, never a panic.
#[test]
fn damaged_pickles_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model_final.pth");
    let good = std::fs::read(fixture("model_final.pth")).unwrap();
    let start = good.windows(4).position(|w| w == b"\x80\x02}q").unwrap();
    let mut refused = 0;
    for i in 0..300 {
        let mut bytes = good.clone();
        bytes[start + i * 241] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        refused += usize::from(load(&path, &fixture("config.yaml")).is_err());
    }
    assert!(refused > 0);
}

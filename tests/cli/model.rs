//! `app model import` and `app model info`.

use crate::common::{App, fixture};

#[tokio::test]
async fn a_checkpoint_is_imported_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mine");
    let (weights, config) = (fixture("tiny_mask/model_final.pth"), fixture("tiny_mask/config.yaml"));
    let args = [
        "model",
        "import",
        weights.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let names = ["--classes", "text,title,list"];
    let mut wrong = App::start(&[&args[..], &names].concat(), [], folder.path());
    assert!(!wrong.exit().await.success());
    assert_eq!(wrong.log(), "error: --classes has 3 names, but config.yaml has NUM_CLASSES 5\n");

    let names = ["--classes", "text, title,list,table,figure"];
    let mut import = App::start(&[&args[..], &names].concat(), [], folder.path());
    assert!(import.exit().await.success(), "{}", import.log());
    assert_eq!(std::fs::read_to_string(out.join("classes.txt")).unwrap(), "text\ntitle\nlist\ntable\nfigure\n");
    assert_eq!(std::fs::read(out.join("config.yaml")).unwrap(), std::fs::read(config).unwrap());

    let mut info = App::start(&["model", "info", out.to_str().unwrap()], [], folder.path());
    assert!(info.exit().await.success());
    let log = info.log();
    for part in
        ["Mask R-CNN ResNet-50-FPN", "text, title, list, table, figure", "648.3 k", "2.6 MB", "Bgr", "mask head"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    // The tests' model is this one.
    let shipped =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/default/model.safetensors")).unwrap();
    assert!(shipped == std::fs::read(out.join("model.safetensors")).unwrap());
}

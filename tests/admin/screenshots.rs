//! `make screenshots` writes docs/screenshots; without it, whether each page has its pictures there is all that is tested.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::{Browser, DESK, PHONE, Scheme};
use crate::person::PASSWORD;
use crate::views::{INSIDE, OUTSIDE, View};
use crate::world;

/// Of all pictures together.
const MOST_BYTES: u64 = 2_000_000;
/// Of 100, for WebP.
const QUALITY: u32 = 45;
const LOOKS: [((u32, u32), Scheme); 4] =
    [(DESK, Scheme::Light), (DESK, Scheme::Dark), (PHONE, Scheme::Light), (PHONE, Scheme::Dark)];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots")
}

fn name(view: &View, (width, _): (u32, u32), scheme: Scheme) -> String {
    let scheme = if scheme == Scheme::Dark { "dark" } else { "light" };
    format!("{}-{width}-{scheme}.webp", view.name)
}

#[tokio::test]
async fn screenshots() {
    if std::env::var_os("UPDATE").is_some() {
        write().await;
    }
    let wanted: Vec<String> =
        OUTSIDE.iter().chain(INSIDE).flat_map(|view| LOOKS.map(|(size, scheme)| name(view, size, scheme))).collect();
    let mut bytes = 0;
    for file in std::fs::read_dir(folder()).unwrap().flatten() {
        let there = file.file_name().into_string().unwrap();
        assert!(wanted.contains(&there), "docs/screenshots/{there} shows no page");
        bytes += file.metadata().unwrap().len();
    }
    let missing: Vec<_> = wanted.iter().filter(|name| !folder().join(name).exists()).collect();
    assert!(missing.is_empty(), "`make screenshots` makes {missing:?}");
    assert!(bytes < MOST_BYTES, "{bytes} bytes of pictures");
}

/// With the model that docreader comes with.
async fn write() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/default");
    let world = world::with_documents(&[("MODEL_PATH", model.to_str().unwrap())]).await;
    let browser = Browser::start(&world.app, &world.server).await;
    let _ = std::fs::remove_dir_all(folder());
    std::fs::create_dir_all(folder()).unwrap();
    for view in OUTSIDE {
        shoot(&browser, view).await;
    }
    browser.log_in("ada", PASSWORD, "/admin/account/").await;
    browser.at("/admin/account/").await;
    for view in INSIDE {
        shoot(&browser, view).await;
    }
    world.finish().await;
}

async fn shoot(browser: &Browser, view: &View) {
    for (size, scheme) in LOOKS {
        browser.resize(size).await;
        browser.prefer(scheme).await;
        view.open(browser).await;
        let taken = browser.devtools("Page.captureScreenshot", json!({"format": "webp", "quality": QUALITY})).await;
        let picture = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder().join(name(view, size, scheme)), picture).unwrap();
    }
}

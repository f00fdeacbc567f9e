use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::table;
use crate::config::{ModelArgs, RenderArgs};
use crate::documents::DetectionRow;
use crate::pipeline::{Detector, analyze};
use crate::render::PageImage;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  app detect paper.pdf --out out\n  app detect page.png --model output --json | jq '.pages[].detections[].label'"
)]
pub struct DetectArgs {
    /// A PDF, or an image (PNG, JPEG, TIFF, WebP, BMP), which is taken at its own size
    file: PathBuf,
    /// Folder for overlays, crops and detections.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    render: RenderArgs,
}

/// The JSON that is printed and written.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    pages: Vec<PageReport>,
}

#[derive(Debug, Serialize)]
struct PageReport {
    page: u32,
    width_px: u32,
    height_px: u32,
    detections: Vec<DetectionReport>,
}

#[derive(Debug, Serialize)]
struct DetectionReport {
    class_id: usize,
    label: String,
    score: f32,
    /// x0, y0, x1, y1 in pixels of the rendered page.
    box_px: [f32; 4],
    /// The same in PDF points, origin at the top left; for an image, in its pixels.
    box_pt: [f32; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    mask_rle: Option<serde_json::Value>,
}

pub async fn run(args: DetectArgs) -> anyhow::Result<()> {
    let name = || args.file.display().to_string();
    std::fs::metadata(&args.file).with_context(name)?;
    let mut source = args.render.renderer_for_anything()?.open(&args.file).await.with_context(name)?;
    let model_args = args.model.clone();
    let detector = tokio::task::spawn_blocking(move || model_args.load()).await??;
    let bar = progress(source.pages(), args.json);
    let mut report = Report { model: detector.name().to_owned(), pages: vec![] };
    for number in 1..=source.pages() {
        let page = source.render(number, args.render.render_zoom).await?;
        let page = detect_page(number, page, &detector, &args).await?;
        report.pages.push(page);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(out) = &args.out {
        write(&out.join("detections.json"), &serde_json::to_vec_pretty(&report)?)?;
    }
    let mut stdout = std::io::stdout().lock();
    let text = if args.json { serde_json::to_string(&report)? + "\n" } else { summary(&report, args.out.as_deref()) };
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

async fn detect_page(
    number: u32,
    page: PageImage,
    detector: &Detector,
    args: &DetectArgs,
) -> anyhow::Result<PageReport> {
    let image = Arc::new(page.image);
    let detections = detector.detect(image.clone(), None, Duration::from_secs(1 << 30)).await?;
    let analysis = analyze(&image, (page.width_pt, page.height_pt), detections, detector, args.model.crop_min_score)?;
    if let Some(out) = &args.out {
        write(&out.join(format!("page-{number}.png")), &analysis.overlay)?;
        for crop in &analysis.crops {
            write(&out.join(format!("page-{number}-crops")).join(&crop.file_name), &crop.png)?;
        }
    }
    let report = |d: DetectionRow| DetectionReport {
        class_id: d.class_id,
        label: d.label,
        score: d.score,
        box_px: d.box_px,
        box_pt: d.box_pt,
        mask_rle: d.mask_rle,
    };
    let detections = analysis.detections.into_iter().map(report).collect();
    Ok(PageReport { page: number, width_px: image.width(), height_px: image.height(), detections })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}

fn progress(pages: u32, quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(pages.into()) };
    if let Ok(style) = ProgressStyle::with_template("{bar:32} page {pos} of {len}  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn summary(report: &Report, out: Option<&Path>) -> String {
    let mut rows = vec![];
    for page in &report.pages {
        for d in &page.detections {
            let corners = d.box_pt.map(|v| format!("{v:.0}")).join(" ");
            rows.push(vec![page.page.to_string(), d.label.clone(), format!("{:.2}", d.score), corners]);
        }
    }
    let mut text = table::format(&["page", "label", "score", "box (points, from top left)"], &rows);
    text += &format!("\n{} regions on {} pages, model {}\n", rows.len(), report.pages.len(), report.model);
    if let Some(out) = out {
        text += &format!("Overlays page-N.png, crops and detections.json are in {}\n", out.display());
    }
    text
}

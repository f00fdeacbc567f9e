use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::table;
use crate::config::{ModelArgs, RenderArgs};
use crate::kernels::{self, Isa};
use crate::rcnn::{Kernels, Model, Stage};

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A PDF, of which the first page is taken, or an image
    file: PathBuf,
    /// Predictions that are measured, after one that is not
    #[arg(long, default_value_t = 5, value_name = "N")]
    runs: usize,
    /// Measure candle's operators instead of docreader's own kernels
    #[arg(long)]
    candle: bool,
    /// Measure so many copies of the page at a time, for example 1,8,32
    #[arg(long, value_delimiter = ',', value_name = "PAGES")]
    batch: Vec<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    render: RenderArgs,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    device: String,
    driver: Option<String>,
    memory_mb: usize,
    dtype: String,
    load_seconds: f64,
    batches: Vec<BatchReport>,
    stages: Vec<StageReport>,
}

#[derive(Debug, Serialize)]
struct BatchReport {
    batch: usize,
    runs: usize,
    ms_median: f64,
    ms_min: f64,
    pages_per_second: f64,
    peak_memory_mb: usize,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct StageReport {
    name: &'static str,
    ms: f64,
}

/// Prints the time of each stage, or of batches: the median of some runs, on an otherwise idle machine one hopes.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let mut source = args.render.renderer_for_anything()?.open(&args.file).await?;
    let page = source.render(1, args.render.render_zoom).await?.image;
    let bench =
        move || if args.batch.is_empty() && !args.json { measure(&args, &page) } else { measure_batches(&args, &page) };
    print!("{}", tokio::task::spawn_blocking(bench).await??);
    Ok(())
}

fn load(args: &BenchArgs) -> anyhow::Result<(Model, Duration)> {
    let started = Instant::now();
    let kernels = if args.candle { Kernels::Candle } else { args.model.kernels() };
    Ok((args.model.model(kernels)?, started.elapsed()))
}

fn measure_batches(args: &BenchArgs, page: &image::RgbImage) -> anyhow::Result<String> {
    let (model, load) = load(args)?;
    let gpu = model.gpu();
    let sizes = if args.batch.is_empty() { &[1][..] } else { &args.batch };
    let batches: Vec<BatchReport> = sizes.iter().map(|&size| measure_batch(args, &model, page, size)).collect();
    let (_, stages) = model.profile(page, args.model.score_threshold)?;
    let report = Report {
        device: model.device_name(),
        driver: gpu.as_ref().map(|gpu| gpu.driver.clone()),
        memory_mb: gpu.map_or(0, |gpu| gpu.memory >> 20),
        dtype: args.model.model_dtype.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned()),
        load_seconds: load.as_secs_f64(),
        batches,
        stages: stages.iter().map(|Stage { name, time, .. }| StageReport { name, ms: milliseconds(*time) }).collect(),
    };
    if args.json {
        return Ok(serde_json::to_string_pretty(&report)? + "\n");
    }
    let row = |b: &BatchReport| match &b.error {
        Some(error) => vec![b.batch.to_string(), error.clone()],
        None => vec![b.batch.to_string(), format!("{:.1}", b.ms_median), format!("{:.1}", b.pages_per_second)],
    };
    let rows: Vec<_> = report.batches.iter().map(row).collect();
    Ok(table::format(&["pages at a time", "ms", "pages/s"], &rows)
        + &format!("\n{}, {}\n", report.device, report.dtype))
}

fn measure_batch(args: &BenchArgs, model: &Model, page: &image::RgbImage, size: usize) -> BatchReport {
    let pages = vec![page; size];
    let mut times = vec![];
    let mut error = None;
    // The first ones load kernels, choose algorithms and take memory.
    for run in 0..args.runs.max(1) + 2 {
        let started = Instant::now();
        let results = model.predict_batch(&pages, args.model.score_threshold, &|| false);
        if run >= 2 {
            times.push(milliseconds(started.elapsed()));
        }
        error = error.or_else(|| results.into_iter().find_map(Result::err).map(|e| e.to_string()));
        if error.is_some() {
            break;
        }
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY);
    let peak = if model.gpu().is_some() { model.gpu_peak_memory() } else { peak_memory() as usize };
    BatchReport {
        batch: size,
        runs: times.len(),
        ms_median: median,
        ms_min: times.first().copied().unwrap_or(f64::INFINITY),
        pages_per_second: 1e3 * size as f64 / median,
        peak_memory_mb: peak >> 20,
        error,
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn measure(args: &BenchArgs, page: &image::RgbImage) -> anyhow::Result<String> {
    let (model, load) = load(args)?;
    let isa = Isa::best();
    let peak = kernels::peak(isa);
    let mut times: HashMap<&str, Vec<Duration>> = HashMap::new();
    let mut total = vec![];
    let mut last = vec![];
    let mut found = 0;
    model.predict(page, args.model.score_threshold)?;
    for _ in 0..args.runs.max(1) {
        let started = Instant::now();
        let (detections, stages) = model.profile(page, args.model.score_threshold)?;
        total.push(started.elapsed());
        stages.iter().for_each(|stage| times.entry(stage.name).or_default().push(stage.time));
        (last, found) = (stages, detections.len());
    }
    let row = |name: &str, time: Duration, work: u64| {
        let seconds = time.as_secs_f64();
        let rate = if work > 0 { format!("{:.0}", 2e-9 * work as f64 / seconds) } else { String::new() };
        let share = if work > 0 { format!("{:.0} %", 100.0 * work as f64 / seconds / peak) } else { String::new() };
        let gmac = if work > 0 { format!("{:.1}", work as f64 / 1e9) } else { String::new() };
        vec![name.to_owned(), format!("{:.1}", seconds * 1e3), gmac, rate, share]
    };
    let mut rows: Vec<_> = last.iter().map(|s| row(s.name, median(&mut times, s.name), s.work)).collect();
    total.sort();
    rows.push(row("whole page", total[total.len() / 2], last.iter().map(|s| s.work).sum()));
    let mut text = table::format(&["stage", "ms", "GMAC", "GFLOP/s", "of peak"], &rows);
    let (width, height) = page.dimensions();
    text += &format!(
        "\n{} × {} px, {found} regions, {} threads, {} kernels, peak {:.0} GFLOP/s measured; fastest run {:.1} ms\n\
         loaded in {:.2} s; {} MB resident at most. Winograd's convolutions count as if they were plain, so they may pass the peak.\n",
        width,
        height,
        rayon::current_num_threads(),
        model.backend_name(),
        2e-9 * peak,
        total[0].as_secs_f64() * 1e3,
        load.as_secs_f64(),
        peak_memory() >> 20,
    );
    Ok(text)
}

fn median(times: &mut HashMap<&str, Vec<Duration>>, name: &str) -> Duration {
    let Some(times) = times.get_mut(name) else { return Duration::ZERO };
    times.sort();
    times[times.len() / 2]
}

/// Of this process, in bytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

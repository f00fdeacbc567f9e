use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::table;
use crate::config::{ModelArgs, RenderArgs};
use crate::kernels::{self, Isa};
use crate::rcnn::Kernels;

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
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    render: RenderArgs,
}

/// Prints the time of each stage: the median of some runs, on an otherwise idle machine one hopes.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let mut source = args.render.renderer_for_anything()?.open(&args.file).await?;
    let page = source.render(1, args.render.render_zoom).await?.image;
    let bench = move || measure(&args, &page);
    print!("{}", tokio::task::spawn_blocking(bench).await??);
    Ok(())
}

fn measure(args: &BenchArgs, page: &image::RgbImage) -> anyhow::Result<String> {
    let started = Instant::now();
    let kernels = if args.candle { Kernels::Candle } else { args.model.kernels() };
    let model = args.model.model(kernels)?;
    let load = started.elapsed();
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
        if model.candle().is_some() { "candle's" } else { isa.name() },
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

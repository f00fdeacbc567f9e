use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::table;
use crate::rcnn::{Device, Kernels, Model, Summary, export};

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Convert a Detectron2 checkpoint: writes model.safetensors, config.yaml, classes.txt and docreader.yaml
    Import(ImportArgs),
    /// Describe a model: architecture, classes, parameters, memory
    Info(InfoArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  app model import output/model_final.pth --config output/config.yaml \\\n      --classes text,title,list,table,figure --out models/mine"
)]
pub struct ImportArgs {
    /// The checkpoint that Detectron2 wrote (model_final.pth), or safetensors with its key names
    weights: PathBuf,
    /// The configuration of that training, as cfg.dump() writes it
    #[arg(long)]
    config: PathBuf,
    /// Folder to write
    #[arg(long)]
    out: PathBuf,
    /// Class names in the order of their numbers, separated by commas (Detectron2 keeps them outside the checkpoint)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    classes: Option<Vec<String>>,
    /// Write weights as f16: half the file; scores move by about 0.001
    #[arg(long)]
    f16: bool,
    /// Have regions' edges moved to where the ink ends: for classes that are labelled tightly, such as text
    #[arg(long)]
    snap_to_ink: bool,
}

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The model's folder
    #[arg(env = "MODEL_PATH", default_value = "models/default")]
    model: PathBuf,
}

pub fn run(command: ModelCommand) -> anyhow::Result<()> {
    match command {
        ModelCommand::Import(args) => import(&args),
        ModelCommand::Info(args) => {
            let model = Model::load(&args.model, &Device::Cpu)?;
            print!("{}", describe(&model)?);
            Ok(())
        }
    }
}

fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let mut model = Model::load_files(&args.weights, &args.config, &Device::Cpu, Kernels::Candle)?;
    if let Some(names) = &args.classes {
        let names: Vec<String> = names.iter().map(|n| n.trim().to_owned()).collect();
        if names.len() != model.classes.len() || names.iter().any(|n| n.is_empty() || n.contains('\n')) {
            bail!("--classes has {} names, but config.yaml has NUM_CLASSES {}", names.len(), model.classes.len());
        }
        model.classes = names;
    }
    model.snap_to_ink = args.snap_to_ink;
    export(&model, &args.config, &args.out, args.f16)?;
    let written = Model::load(&args.out, &Device::Cpu).context("reading back what was written")?;
    print!("{}", describe(&written)?);
    if args.classes.is_none() {
        println!(
            "\nThe classes have no names yet: write them into {}, one a line.",
            args.out.join("classes.txt").display()
        );
    }
    println!("\nTry it: app detect FILE.pdf --model {} --out out", args.out.display());
    Ok(())
}

fn describe(model: &Model) -> anyhow::Result<String> {
    let summary = Summary::of(model)?;
    let mut rows: Vec<Vec<String>> = vec![];
    for part in &summary.parts {
        rows.push(vec![part.name.to_owned(), millions(part.parameters)]);
    }
    rows.push(vec!["total".into(), millions(summary.parts.iter().map(|p| p.parameters).sum())]);
    let file = std::fs::metadata(&model.weights_path).map(|m| m.len()).unwrap_or(0);
    let input = &model.config.input;
    Ok(format!(
        "{}\n  weights   {} ({:.1} MB, sha256 {}…)\n  classes   {}\n  input     shortest edge {} px, longest at most {} px, {:?}\n  memory    {:.1} MB of weights in f32\n  edges     {}\n  device    {}\n\n{}",
        summary.architecture,
        model.weights_path.display(),
        file as f64 / 1e6,
        &model.sha256[..12],
        model.classes.join(", "),
        input.min_size_test,
        input.max_size_test,
        input.format,
        summary.bytes as f64 / 1e6,
        if model.snap_to_ink { "moved to where the ink ends (docreader.yaml)" } else { "as the network says" },
        Device::named("auto")?,
        table::format(&["part", "parameters"], &rows),
    ))
}

fn millions(count: usize) -> String {
    if count < 1_000_000 { format!("{:.1} k", count as f64 / 1e3) } else { format!("{:.2} M", count as f64 / 1e6) }
}

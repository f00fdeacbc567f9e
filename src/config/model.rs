//! What finds regions, and what draws pages for it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::pipeline::Detector;
use crate::rcnn::{self, Device, Kernels, Model};
use crate::render::{self, Renderer, find_pdfium};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Folder with model_final.pth or model.safetensors, config.yaml and perhaps classes.txt
    #[arg(long = "model", env = "MODEL_PATH", default_value = "models/default", value_name = "DIR")]
    pub model_path: PathBuf,
    /// Where the model runs: auto, cpu or cuda
    #[arg(
        long = "device",
        alias = "model-device",
        env = "MODEL_DEVICE",
        default_value = "auto",
        value_name = "DEVICE"
    )]
    pub model_device: String,
    /// What a CPU may keep in memory to be faster: low suits machines of 512 MiB
    #[arg(long, env, value_enum, default_value = "low", value_name = "MEMORY")]
    pub model_memory: Memory,
    /// What is multiplied: f16 is faster on GPUs, bf16 on CPUs with AMX (Intel's Xeons since 2023)
    #[arg(long, env, value_enum, default_value = "f32", value_name = "DTYPE")]
    pub model_dtype: Dtype,
    /// Pages that a GPU takes at a time, where as many are waiting (see WORKER_CONCURRENCY)
    #[arg(long, env, default_value_t = 8, value_name = "N")]
    pub model_batch: usize,
    /// Whether regions' edges move to where the ink ends: yes, no, or auto, as docreader.yaml in the model's folder says
    #[arg(long, env, value_enum, default_value = "auto", value_name = "WHETHER")]
    pub snap_to_ink: Choice,
    /// Regions with a lower score are not reported
    #[arg(long, env, default_value_t = 0.3, value_name = "0..1", value_parser = unit)]
    pub score_threshold: f32,
    /// Regions with this score or more are cut out
    #[arg(long, env, default_value_t = 0.9, value_name = "0..1", value_parser = unit)]
    pub crop_min_score: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Memory {
    /// Winograd's filters are transformed when they are needed
    Low,
    /// They are kept
    Fast,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    F32,
    /// On GPUs: the box and the mask head in f16; boxes move by less than a pixel, scores by less than 0.02
    F16,
    /// On GPUs: everything in f16, twice as fast, but some boxes move by some pixels, as in PyTorch's autocast
    F16All,
    /// On processors with AMX the RPN, the box and the mask head in bf16, on GPUs but the RPN; boxes move by less than a pixel, scores by less than 0.02
    Bf16,
    /// The backbone and the pyramid, too: faster still, but boxes move by some pixels, and regions near a threshold come and go
    Bf16All,
}

impl From<Memory> for rcnn::Memory {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::Low => Self::Low,
            Memory::Fast => Self::Fast,
        }
    }
}

impl From<Dtype> for rcnn::Dtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::F16All => Self::F16All,
            Dtype::Bf16 => Self::Bf16,
            Dtype::Bf16All => Self::Bf16All,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    Auto,
    Yes,
    No,
}

impl ModelArgs {
    pub fn kernels(&self) -> Kernels {
        Kernels::Own(self.model_memory.into(), self.model_dtype.into())
    }

    pub fn model(&self, kernels: Kernels) -> anyhow::Result<Model> {
        let device = Device::named(&self.model_device).context("MODEL_DEVICE (--device)")?;
        let mut model = Model::load_with(&self.model_path, &device, kernels).context("MODEL_PATH (--model)")?;
        model.gpu_batch = self.model_batch;
        if let Some(gpu) = model.gpu() {
            tracing::info!("The model runs on {gpu}");
        }
        match self.snap_to_ink {
            Choice::Yes => model.snap_to_ink = true,
            Choice::No => model.snap_to_ink = false,
            Choice::Auto => {}
        }
        Ok(model)
    }

    pub fn load(&self) -> anyhow::Result<Detector> {
        Ok(Detector::start(self.model(self.kernels())?, self.score_threshold)?)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rendering")]
pub struct RenderArgs {
    /// Pixels per PDF point: 1.5 is 108 dpi
    #[arg(long, env, default_value_t = 1.5, value_parser = zoom)]
    pub render_zoom: f32,
    /// Largest page, in megapixels
    #[arg(long, env, default_value_t = 40, value_name = "N")]
    pub render_max_megapixels: u64,
    /// CPU time for one page
    #[arg(long, env, default_value_t = 60, value_name = "SECONDS")]
    pub render_timeout_seconds: u64,
    /// Memory of the process that renders, in MiB of address space
    #[arg(long, env, default_value_t = 1024, value_name = "MIB")]
    pub render_memory_mb: u64,
    /// Pages that a document may have
    #[arg(long, env, default_value_t = 5000, value_name = "N")]
    pub max_pages: u32,
    /// Path of libpdfium.so; found by itself beside the program, in ./lib and in the system's folders
    #[arg(long, env, value_name = "FILE")]
    pub pdfium_lib: Option<PathBuf>,
}

impl RenderArgs {
    /// Fails without libpdfium, for a worker that is to render PDFs.
    pub fn renderer(&self) -> anyhow::Result<Renderer> {
        find_pdfium(self.pdfium_lib.as_deref())?;
        self.renderer_for_anything()
    }

    /// Without libpdfium it opens images only.
    pub fn renderer_for_anything(&self) -> anyhow::Result<Renderer> {
        let limits = render::Limits {
            max_pages: self.max_pages,
            page_pixels: self.render_max_megapixels * 1_000_000,
            page_time: Duration::from_secs(self.render_timeout_seconds.max(1)),
            memory: self.render_memory_mb << 20,
        };
        let program = std::env::current_exe().context("the path of this program")?;
        Ok(Renderer::new(program, find_pdfium(self.pdfium_lib.as_deref()).ok(), limits))
    }
}

fn unit(text: &str) -> Result<f32, String> {
    in_range(text, 0.0, 1.0)
}

fn zoom(text: &str) -> Result<f32, String> {
    in_range(text, 0.1, 20.0)
}

fn in_range(text: &str, low: f32, high: f32) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("must be between {low} and {high}")) }
}

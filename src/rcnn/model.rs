//! A model: the folder it is loaded from, its network, its classes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::backend::device::Device;
use super::backend::gpu_info::GpuInfo;
use super::backend::options::Kernels;
use super::batch::in_batches;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::detection::{Detection, Stage};
use super::meta;
use super::network::Network;
use super::post::snap_to_ink;
use super::proposals::Proposals;
use super::trace::Trace;
use super::{Error, Result, Stop, Watch};

/// The files that weights may be in, in the order in which they are looked for.
const WEIGHTS: [&str; 3] = ["model.safetensors", "model_final.safetensors", "model_final.pth"];

/// What docreader does beyond Detectron2, in the model's folder.
pub(super) const EXTRAS: &str = "docreader.yaml";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default, deny_unknown_fields)]
pub(super) struct Extras {
    pub snap_to_ink: bool,
}

impl Extras {
    fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_yaml_ng::from_str(&text).map_err(|e| Error::file(path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Error::file(path, e)),
        }
    }
}

/// A loaded network, ready to predict.
pub struct Model {
    pub config: Config,
    /// One name a class.
    pub classes: Vec<String>,
    /// SHA-256 of the weights file, in hexadecimal.
    pub sha256: String,
    /// The folder's name.
    pub name: String,
    /// Moves the edges of regions to where the ink ends, as `docreader.yaml` may say.
    pub snap_to_ink: bool,
    pub weights_path: PathBuf,
    /// Pages that a GPU takes at a time, where so many are waiting.
    pub gpu_batch: usize,
    network: Box<dyn Network>,
    checkpoint: Arc<Checkpoint>,
    device: Device,
}

impl Model {
    /// Loads a folder that holds `config.yaml`, the weights (`model.safetensors` or `model_final.pth`) and, if the classes are
    /// to have names, `classes.txt` with one a line. `docreader.yaml` may hold what Detectron2 has no key for.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Self::load_with(folder, device, Kernels::default())
    }

    /// The same with the kernels of one's choice for a CPU; a GPU has its own.
    pub fn load_with(folder: &Path, device: &Device, kernels: Kernels) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::file(
                folder,
                "no such folder; a model is a folder with config.yaml and model_final.pth",
            ));
        }
        let weights = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let weights = weights
            .ok_or_else(|| Error::file(folder, format!("no weights in it; looked for {}", WEIGHTS.join(", "))))?;
        let mut model = Self::load_files(&weights, &folder.join("config.yaml"), device, kernels)?;
        model.classes = read_classes(&folder.join("classes.txt"), model.classes)?;
        model.snap_to_ink = Extras::read(&folder.join(EXTRAS))?.snap_to_ink;
        let folder = folder.canonicalize().map_err(|e| Error::file(folder, e))?;
        model.name = folder.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
        Ok(model)
    }

    /// Loads weights and configuration from files of any name; classes are called `class_0`, `class_1`, ….
    pub fn load_files(weights: &Path, config: &Path, device: &Device, kernels: Kernels) -> Result<Self> {
        let config = Config::read(config)?;
        let checkpoint = Arc::new(Checkpoint::open(weights)?);
        let load = || meta::load(&config, &checkpoint, device, kernels);
        let (sha256, network) = std::thread::scope(|scope| {
            let sha256 = scope.spawn(|| sha256(weights));
            let network = load();
            (sha256.join(), network)
        });
        let Ok(sha256) = sha256 else { return Err(Error::file(weights, "its SHA-256 could not be taken")) };
        let network = network.map_err(|e| match e {
            Error::Candle(candle_core::Error::Msg(reason)) => Error::file(weights, reason),
            other => other,
        })?;
        let classes = (0..config.model.roi_heads.num_classes).map(|i| format!("class_{i}")).collect();
        Ok(Self {
            classes,
            sha256: sha256?,
            name: "model".into(),
            snap_to_ink: false,
            weights_path: weights.to_owned(),
            gpu_batch: 8,
            config,
            network,
            checkpoint,
            device: *device,
        })
    }

    /// Finds what the network was trained to find, with scores above `threshold`, best first.
    pub fn predict(&self, image: &RgbImage, threshold: f32) -> Result<Vec<Detection>> {
        self.predict_until(image, threshold, &|| false)
    }

    /// The same; ends with [`Error::Stopped`] soon after `stop` says so.
    pub fn predict_until(&self, image: &RgbImage, threshold: f32, stop: Stop<'_>) -> Result<Vec<Detection>> {
        self.run(image, threshold, stop, &mut |_| {})
    }

    /// The same, and how long each stage took.
    pub fn profile(&self, image: &RgbImage, threshold: f32) -> Result<(Vec<Detection>, Vec<Stage>)> {
        let mut stages: Vec<Stage> = vec![];
        let work = || self.network.work();
        let (mut since, mut before) = (Instant::now(), work());
        let detections = self.run(image, threshold, &|| false, &mut |name| {
            let part = Stage { name, time: since.elapsed(), work: work() - before };
            match stages.iter_mut().find(|stage| stage.name == name) {
                Some(stage) => (stage.time, stage.work) = (stage.time + part.time, stage.work + part.work),
                None => stages.push(part),
            }
            (since, before) = (Instant::now(), work());
        })?;
        Ok((detections, stages))
    }

    fn run(
        &self,
        image: &RgbImage,
        threshold: f32,
        stop: Stop<'_>,
        mark: &mut (dyn FnMut(&'static str) + Send),
    ) -> Result<Vec<Detection>> {
        let found = self.network.detect(&[image], threshold, &mut Watch { stop, mark })?.pop().unwrap_or_default();
        Ok(self.snapped(image, found, mark))
    }

    fn snapped(
        &self,
        image: &RgbImage,
        detections: Vec<Detection>,
        mark: &mut (dyn FnMut(&'static str) + Send),
    ) -> Vec<Detection> {
        if !self.snap_to_ink {
            return detections;
        }
        let detections = snap_to_ink::snap(image, detections);
        mark("ink");
        detections
    }

    /// The same as [`Self::predict_until`] for several images. A GPU takes those of one size together, and fewer at a time where its
    /// memory does not suffice; a CPU takes one after the other.
    pub fn predict_batch(&self, images: &[&RgbImage], threshold: f32, stop: Stop<'_>) -> Vec<Result<Vec<Detection>>> {
        if !self.network.takes_batches() {
            return images.iter().map(|image| self.predict_until(image, threshold, stop)).collect();
        }
        let sizes: Vec<(u32, u32)> = images.iter().map(|image| image.dimensions()).collect();
        in_batches(&sizes, |group| {
            let batch: Vec<&RgbImage> = group.iter().map(|&i| images[i]).collect();
            let found = self.network.detect(&batch, threshold, &mut Watch { stop, mark: &mut |_| {} })?;
            Ok(batch.par_iter().zip(found).map(|(image, found)| self.snapped(image, found, &mut |_| {})).collect())
        })
    }

    /// What each stage makes of an image, for comparison with a reference; heads take `proposals` if they are given.
    ///
    /// # Errors
    /// [`Error::Device`] on a GPU, which reports detections only.
    pub fn trace(&self, image: &RgbImage, threshold: f32, proposals: Option<&Proposals>) -> Result<Trace> {
        self.network.trace(image, threshold, proposals)
    }

    /// Pages that it takes at a time.
    pub fn batch(&self) -> usize {
        if self.network.takes_batches() { self.gpu_batch.max(1) } else { 1 }
    }

    /// The GPU that it runs on, if it does.
    pub fn gpu(&self) -> Option<GpuInfo> {
        self.network.gpu()
    }

    /// What it runs on, for people.
    pub fn device_name(&self) -> String {
        self.gpu().map_or_else(|| self.device.to_string(), |gpu| gpu.to_string())
    }

    /// Bytes of the GPU's memory that were in use at most; 0 on a CPU.
    pub fn gpu_peak_memory(&self) -> usize {
        self.network.gpu_peak_memory()
    }

    /// What multiplies: an instruction set, candle, or CUDA.
    pub fn backend_name(&self) -> &'static str {
        self.network.backend_name()
    }

    pub fn label(&self, class_id: usize) -> &str {
        self.classes.get(class_id).map_or("unknown", String::as_str)
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Names of the weights that the network uses, and the file they come from.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

fn read_classes(path: &Path, default: Vec<String>) -> Result<Vec<String>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(default),
        Err(e) => return Err(Error::file(path, e)),
    };
    let classes: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    if classes.len() != default.len() {
        let reason = format!("names {} classes, but config.yaml has NUM_CLASSES {}", classes.len(), default.len());
        return Err(Error::file(path, reason));
    }
    Ok(classes)
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(|e| Error::file(path, e))?;
    Ok(hex::encode(hash.finalize()))
}

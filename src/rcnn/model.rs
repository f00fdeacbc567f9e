//! The whole network (`detectron2/modeling/meta_arch/rcnn.py`, `GeneralizedRCNN`) and the folder it is loaded from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbImage;
#[cfg(feature = "cuda")]
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[cfg(feature = "cuda")]
use super::batch::in_batches;
use super::boxes::{Box2, rescale};
use super::checkpoint::{Checkpoint, var_builder};
use super::config::Config;
use super::cpu::{Cpu, Dtype, Memory, Watch};
#[cfg(feature = "cuda")]
use super::cuda::{self, Cuda};
use super::device::{Device, GpuInfo};
use super::mask::{self, Rle};
use super::network::{Network, Output};
use super::{Error, Result, Stop, snap_to_ink};

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

/// One region of an image.
#[derive(Debug, Clone)]
pub struct Detection {
    pub class_id: usize,
    pub score: f32,
    /// Pixels of the image that was given.
    pub box_px: Box2,
    pub mask: Option<Rle>,
}

/// A part of a prediction.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub name: &'static str,
    pub time: Duration,
    /// Multiplications and additions, in pairs; 0 where they are not counted.
    pub work: u64,
}

enum Engine {
    Candle(Box<Network>),
    Cpu(Box<Cpu>),
    #[cfg(feature = "cuda")]
    Cuda(Box<Cuda>),
}

/// What a CPU runs a network on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// docreader's own, [`crate::kernels`].
    Own(Memory, Dtype),
    /// candle's, which are several times slower: the reference for the others.
    Candle,
}

impl Default for Kernels {
    fn default() -> Self {
        Self::Own(Memory::Low, Dtype::F32)
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
    engine: Engine,
    checkpoint: Arc<Checkpoint>,
    device: Device,
}

impl Engine {
    fn load(config: &Config, checkpoint: &Arc<Checkpoint>, device: &Device, kernels: Kernels) -> Result<Self> {
        let vb = var_builder(checkpoint.clone(), &candle_core::Device::Cpu);
        match (device, kernels) {
            (Device::Cpu, Kernels::Own(memory, dtype)) if Cpu::can_run(config) => {
                Cpu::load(config, vb, memory, dtype).map(|network| Self::Cpu(Box::new(network)))
            }
            (Device::Cpu, _) => {
                if !matches!(kernels, Kernels::Candle | Kernels::Own(_, Dtype::F32)) {
                    tracing::warn!("bf16 and f16 are not for this network on a CPU: computing in f32");
                }
                Network::load(config, vb).map(|network| Self::Candle(Box::new(network)))
            }
            #[cfg(feature = "cuda")]
            (Device::Cuda(ordinal), kernels) => {
                Cuda::load(config, vb, *ordinal, precision(kernels)).map(|network| Self::Cuda(Box::new(network)))
            }
            #[cfg(feature = "cuda")]
            (Device::Twin, kernels) => {
                Cuda::twin(config, vb, precision(kernels)).map(|network| Self::Cuda(Box::new(network)))
            }
            #[cfg(not(feature = "cuda"))]
            (Device::Cuda(_), _) => {
                Err(Error::Device { asked: "cuda".into(), reason: "this app was built without CUDA".into() })
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn precision(kernels: Kernels) -> cuda::Precision {
    match kernels {
        Kernels::Own(_, dtype) => dtype.into(),
        Kernels::Candle => Dtype::F32.into(),
    }
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
        let load = || Engine::load(&config, &checkpoint, device, kernels);
        let (sha256, engine) = std::thread::scope(|scope| {
            let sha256 = scope.spawn(|| sha256(weights));
            let engine = load();
            (sha256.join(), engine)
        });
        let Ok(sha256) = sha256 else { return Err(Error::file(weights, "its SHA-256 could not be taken")) };
        let engine = engine.map_err(|e| match e {
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
            engine,
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
        let work = || if let Engine::Cpu(network) = &self.engine { network.work() } else { 0 };
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
        let output = match &self.engine {
            #[cfg(feature = "cuda")]
            Engine::Cuda(network) => {
                let found = network.run(&[image], threshold, stop, mark)?.pop().unwrap_or_default();
                return Ok(self.snapped(image, found, mark));
            }
            Engine::Candle(network) => {
                let output = network.run(image, &self.config, threshold, stop)?;
                mark("network");
                output
            }
            // On one of the threads that the layers run on, so that none waits for them outside.
            Engine::Cpu(network) => {
                rayon::scope(|_| network.run(image, &self.config, threshold, &mut Watch { stop, mark }))?
            }
        };
        let Output { instances, masks, mask_side, size } = output;
        let (width, height) = image.dimensions();
        let (from, to) = ((size.0 as f32, size.1 as f32), (width as f32, height as f32));
        let mut detections = vec![];
        for (i, b) in instances.boxes.iter().enumerate() {
            let Some(box_px) = rescale(b, from, to) else { continue };
            let mask = masks.as_ref().map(|masks| mask::paste(&masks[i], mask_side, &box_px, width, height));
            detections.push(Detection { class_id: instances.classes[i], score: instances.scores[i], box_px, mask });
        }
        mark("paste");
        Ok(self.snapped(image, detections, mark))
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
        #[cfg(feature = "cuda")]
        if let Engine::Cuda(network) = &self.engine {
            return self.on_gpu(network, images, threshold, stop);
        }
        images.iter().map(|image| self.predict_until(image, threshold, stop)).collect()
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        network: &Cuda,
        images: &[&RgbImage],
        threshold: f32,
        stop: Stop<'_>,
    ) -> Vec<Result<Vec<Detection>>> {
        let sizes: Vec<(u32, u32)> = images.iter().map(|image| image.dimensions()).collect();
        in_batches(&sizes, |group| {
            let batch: Vec<&RgbImage> = group.iter().map(|&i| images[i]).collect();
            let found = network.run(&batch, threshold, stop, &mut |_| {})?;
            Ok(batch.par_iter().zip(found).map(|(image, found)| self.snapped(image, found, &mut |_| {})).collect())
        })
    }

    /// Pages that it takes at a time.
    pub fn batch(&self) -> usize {
        if self.device == Device::Cpu { 1 } else { self.gpu_batch.max(1) }
    }

    /// The GPU that it runs on, if it does.
    pub fn gpu(&self) -> Option<GpuInfo> {
        #[cfg(feature = "cuda")]
        if let Engine::Cuda(network) = &self.engine {
            return network.info().ok().flatten();
        }
        None
    }

    /// What it runs on, for people.
    pub fn device_name(&self) -> String {
        self.gpu().map_or_else(|| self.device.to_string(), |gpu| gpu.to_string())
    }

    /// Bytes of the GPU's memory that were in use at most; 0 on a CPU.
    pub fn gpu_peak_memory(&self) -> usize {
        #[cfg(feature = "cuda")]
        if let Engine::Cuda(network) = &self.engine {
            return network.peak_memory();
        }
        0
    }

    /// The network on candle's tensors, if that is what it runs on.
    pub fn candle(&self) -> Option<&Network> {
        match &self.engine {
            Engine::Candle(network) => Some(network),
            _ => None,
        }
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

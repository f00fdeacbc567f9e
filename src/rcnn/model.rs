//! The whole network (`detectron2/modeling/meta_arch/rcnn.py`, `GeneralizedRCNN`) and the folder it is loaded from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use image::RgbImage;
use sha2::{Digest, Sha256};

use super::boxes::Box2;
use super::checkpoint::{Checkpoint, var_builder};
use super::config::Config;
use super::fpn::Fpn;
use super::image_input::ModelInput;
use super::mask::{self, Rle};
use super::roi_heads::{BoxHead, Instances, MaskHead};
use super::rpn::Rpn;
use super::{Error, Result, Stop, go_on};

/// The files that weights may be in, in the order in which they are looked for.
const WEIGHTS: [&str; 3] = ["model.safetensors", "model_final.safetensors", "model_final.pth"];

/// One region of an image.
#[derive(Debug, Clone)]
pub struct Detection {
    pub class_id: usize,
    pub score: f32,
    /// Pixels of the image that was given.
    pub box_px: Box2,
    pub mask: Option<Rle>,
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
    pub weights_path: PathBuf,
    pub backbone: Fpn,
    pub rpn: Rpn,
    pub box_head: BoxHead,
    pub mask_head: Option<MaskHead>,
    checkpoint: Arc<Checkpoint>,
    device: Device,
}

impl Model {
    /// Loads a folder that holds `config.yaml`, the weights (`model.safetensors` or `model_final.pth`) and, if the classes are
    /// to have names, `classes.txt` with one a line.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::file(
                folder,
                "no such folder; a model is a folder with config.yaml and model_final.pth",
            ));
        }
        let weights = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let weights = weights
            .ok_or_else(|| Error::file(folder, format!("no weights in it; looked for {}", WEIGHTS.join(", "))))?;
        let mut model = Self::load_files(&weights, &folder.join("config.yaml"), device)?;
        model.classes = read_classes(&folder.join("classes.txt"), model.classes)?;
        let folder = folder.canonicalize().map_err(|e| Error::file(folder, e))?;
        model.name = folder.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
        Ok(model)
    }

    /// Loads weights and configuration from files of any name; classes are called `class_0`, `class_1`, ….
    pub fn load_files(weights: &Path, config: &Path, device: &Device) -> Result<Self> {
        let config = Config::read(config)?;
        let checkpoint = Arc::new(Checkpoint::open(weights)?);
        let vb = var_builder(checkpoint.clone(), device);
        let build = || -> Result<_> {
            let backbone = Fpn::load(&config.model, vb.pp("backbone"))?;
            let rpn = Rpn::load(&config.model, vb.pp("proposal_generator"))?;
            let roi_heads = vb.pp("roi_heads");
            let box_head = BoxHead::load(&config, roi_heads.clone())?;
            let mask_on = config.model.mask_on;
            let mask_head = mask_on.then(|| MaskHead::load(&config.model, roi_heads)).transpose()?;
            Ok((backbone, rpn, box_head, mask_head))
        };
        let (backbone, rpn, box_head, mask_head) = build().map_err(|e| match e {
            Error::Candle(candle_core::Error::Msg(reason)) => Error::file(weights, reason),
            other => other,
        })?;
        let classes = (0..config.model.roi_heads.num_classes).map(|i| format!("class_{i}")).collect();
        Ok(Self {
            classes,
            sha256: sha256(weights)?,
            name: "model".into(),
            weights_path: weights.to_owned(),
            config,
            backbone,
            rpn,
            box_head,
            mask_head,
            checkpoint,
            device: device.clone(),
        })
    }

    /// Finds what the network was trained to find, with scores above `threshold`, best first.
    pub fn predict(&self, image: &RgbImage, threshold: f32) -> Result<Vec<Detection>> {
        self.predict_until(image, threshold, &|| false)
    }

    /// The same; ends with [`Error::Stopped`] soon after `stop` says so.
    pub fn predict_until(&self, image: &RgbImage, threshold: f32, stop: Stop<'_>) -> Result<Vec<Detection>> {
        let input = ModelInput::new(image, &self.config, &self.device)?;
        let features = self.backbone.forward(&input.tensor, stop)?;
        let instances = self.detect(&features, &input, threshold, stop)?;
        let masks = match &self.mask_head {
            Some(head) => Some((head.side(), head.forward(&features, &instances, stop)?)),
            None => None,
        };
        drop(features);
        let (width, height) = image.dimensions();
        let scale = [width as f32 / input.width as f32, height as f32 / input.height as f32];
        let mut detections = vec![];
        for (i, b) in instances.boxes.iter().enumerate() {
            let scaled = [b[0] * scale[0], b[1] * scale[1], b[2] * scale[0], b[3] * scale[1]];
            let box_px = super::boxes::clip(scaled, width as f32, height as f32);
            if box_px[2] <= box_px[0] || box_px[3] <= box_px[1] {
                continue;
            }
            let mask = masks.as_ref().map(|(side, masks)| mask::paste(&masks[i], *side, &box_px, width, height));
            detections.push(Detection { class_id: instances.classes[i], score: instances.scores[i], box_px, mask });
        }
        Ok(detections)
    }

    /// Proposals, box head and selection, in pixels of the resized image.
    fn detect(&self, features: &[Tensor], input: &ModelInput, threshold: f32, stop: Stop<'_>) -> Result<Instances> {
        let size = (input.width, input.height);
        let proposals = self.rpn.forward(features, size.0, size.1, stop)?;
        let pooled = self.box_head.pooler.forward(features, &proposals.boxes)?;
        go_on(stop)?;
        let (logits, deltas) = self.box_head.forward(&pooled)?;
        self.box_head.select(&proposals, &logits, &deltas, size, threshold)
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

/// `MODEL_DEVICE`: `cpu`, `cuda`, or `auto` for a GPU if this build and this machine have one.
pub fn device(name: &str) -> Result<Device> {
    let fail = |reason: String| Error::Device { asked: name.to_owned(), reason };
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(Device::cuda_if_available(0).unwrap_or(Device::Cpu)),
        "cuda" if !candle_core::utils::cuda_is_available() => Err(fail(
            "this app was built without CUDA; build it with `cargo build --release --features cuda`, or use cpu".into(),
        )),
        "cuda" => Device::new_cuda(0).map_err(|e| fail(format!("no usable GPU ({e}); use cpu or auto"))),
        _ => Err(fail("not a device; use auto, cpu or cuda".into())),
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

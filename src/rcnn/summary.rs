//! What `app model info` says of a network, and how `app model import` writes one.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::model::{EXTRAS, Extras, Model};
use super::{Error, Result};

/// Parameters of one part of the network.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: &'static str,
    pub parameters: usize,
}

#[derive(Debug, Clone)]
pub struct Summary {
    pub architecture: String,
    pub parts: Vec<Part>,
    /// Bytes of the parameters in f32.
    pub bytes: usize,
}

/// Key prefixes and what they are called.
const PARTS: [(&str, &str); 5] = [
    ("backbone.bottom_up.", "backbone"),
    ("backbone.fpn_", "feature pyramid"),
    ("proposal_generator.", "region proposals"),
    ("roi_heads.box_", "box head"),
    ("roi_heads.mask_", "mask head"),
];

impl Summary {
    pub fn of(model: &Model) -> Result<Self> {
        let mut parts: Vec<Part> = PARTS.iter().map(|&(_, name)| Part { name, parameters: 0 }).collect();
        for name in model.checkpoint().used() {
            let count = model.checkpoint().tensor(&name, &Device::Cpu)?.elem_count();
            if let Some(i) = PARTS.iter().position(|(prefix, _)| name.starts_with(prefix)) {
                parts[i].parameters += count;
            }
        }
        parts.retain(|p| p.parameters > 0);
        let bytes = parts.iter().map(|p| p.parameters * 4).sum();
        let m = &model.config.model;
        let family = if m.mask_on { "Mask R-CNN" } else { "Faster R-CNN" };
        let r = &m.resnets;
        let backbone = match r.num_groups {
            1 => format!("ResNet-{}", r.depth),
            groups => format!("ResNeXt-{}-{groups}x{}d", r.depth, r.width_per_group),
        };
        Ok(Self { architecture: format!("{family} {backbone}-FPN"), parts, bytes })
    }
}

/// Writes the weights that the network uses (`half`: matrices as f16), its configuration and class names into `folder`, which must not hold a model yet.
pub fn export(model: &Model, config: &Path, folder: &Path, half: bool) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let weights = folder.join("model.safetensors");
    if weights.exists() {
        return Err(Error::file(&weights, "exists already; choose another folder or remove it"));
    }
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for name in model.checkpoint().used() {
        let tensor = model.checkpoint().tensor(&name, &Device::Cpu)?;
        tensors.insert(name.clone(), if half && tensor.rank() > 1 { to_half(model, &name, &tensor)? } else { tensor });
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|e| Error::file(path, e))
    };
    let text = std::fs::read(config).map_err(|e| Error::file(config, e))?;
    write("config.yaml", &text)?;
    write("classes.txt", (model.classes.join("\n") + "\n").as_bytes())?;
    let extras = Extras { snap_to_ink: model.snap_to_ink };
    write(EXTRAS, serde_yaml_ng::to_string(&extras).map_err(|e| Error::file(folder, e))?.as_bytes())?;
    // Written last and renamed, so a folder with weights is a whole model.
    let part = folder.join("model.safetensors.part");
    candle_core::safetensors::save(&tensors, &part)?;
    // candle's writer makes it readable by its owner only.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&part, readable).map_err(|e| Error::file(&part, e))?;
    std::fs::rename(&part, &weights).map_err(|e| Error::file(&weights, e))
}

fn to_half(model: &Model, name: &str, tensor: &Tensor) -> Result<Tensor> {
    const LARGEST: f32 = 65504.0;
    let largest = tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
    if largest > LARGEST {
        let reason = format!("{name} has {largest}, which is too large for f16; keep f32");
        return Err(Error::file(&model.weights_path, reason));
    }
    Ok(tensor.to_dtype(DType::F16)?)
}

//! Weights as Detectron2 users have them: `model_final.pth` (PyTorch's zip and pickle) or safetensors.
//!
//! A checkpoint is data, never code: the pickle is read into inert values, and nothing that it names is looked up.

mod pickle;
mod torch;

use std::{collections::BTreeSet, path::Path, sync::Mutex};

use candle_core::{DType, Device, Shape, Tensor, safetensors::MmapedSafetensors};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};

use self::torch::TorchFile;
use super::{Error, Result};

/// An opened checkpoint; tensors are read when asked for.
pub struct Checkpoint {
    source: Source,
    /// Data-parallel training puts this before every name.
    prefix: &'static str,
    used: Mutex<BTreeSet<String>>,
}

enum Source {
    Torch(TorchFile),
    Safetensors(MmapedSafetensors),
}

impl Checkpoint {
    /// Opens a `.pth` or `.safetensors` file, told apart by what is in it.
    pub fn open(path: &Path) -> Result<Self> {
        use std::io::Read;
        let mut head = [0u8; 9];
        let mut file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
        let read = file.read(&mut head).map_err(|e| Error::file(path, e))?;
        let source = match &head[..read] {
            [b'P', b'K', 3, 4, ..] => Source::Torch(TorchFile::open(path)?),
            // A length, then the opening brace of the JSON header.
            [_, _, _, _, _, _, _, _, b'{'] => {
                // SAFETY: the map is read-only; a model file that is rewritten while a process has it mapped is outside what
                // this program defends against, and `app model import` writes a new file and renames it.
                let map = unsafe { MmapedSafetensors::new(path) };
                Source::Safetensors(map.map_err(|e| Error::file(path, format!("not a safetensors file: {e}")))?)
            }
            [0x80, _, ..] => {
                let reason = "a bare pickle (PyTorch before 1.6, or a model-zoo .pkl); load it in Detectron2 and save it again with \
                              torch.save({\"model\": model.state_dict()}, \"model_final.pth\")";
                return Err(Error::file(path, reason));
            }
            _ => return Err(Error::file(path, "neither a PyTorch checkpoint nor a safetensors file")),
        };
        let mut checkpoint = Self { source, prefix: "", used: Mutex::default() };
        let names = checkpoint.names();
        if !names.is_empty() && names.iter().all(|n| n.starts_with("module.")) {
            checkpoint.prefix = "module.";
        }
        Ok(checkpoint)
    }

    /// The names of all tensors, sorted, as they stand in the file.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.source {
            Source::Torch(f) => f.names().map(str::to_owned).collect(),
            Source::Safetensors(f) => f.tensors().into_iter().map(|(name, _)| name).collect(),
        };
        names.sort_unstable();
        names
    }

    /// The names that have been read so far: after a model was built, the weights that it needs.
    pub fn used(&self) -> Vec<String> {
        self.used.lock().unwrap_or_else(|e| e.into_inner()).iter().cloned().collect()
    }

    /// Reads one tensor by its Detectron2 name (without `module.`), as f32.
    pub fn tensor(&self, name: &str, device: &Device) -> candle_core::Result<Tensor> {
        let stored = format!("{}{name}", self.prefix);
        let tensor = match &self.source {
            Source::Torch(f) => f.tensor(&stored)?,
            Source::Safetensors(f) => {
                let tensor = f.load(&stored, &Device::Cpu).ok();
                if let Ok(view) = f.get(&stored) {
                    // SAFETY: the tensor is a part of the file's map.
                    unsafe { forget(view.data()) };
                }
                tensor
            }
        };
        let tensor = tensor.ok_or_else(|| candle_core::Error::Msg(self.missing(name)))?;
        self.used.lock().unwrap_or_else(|e| e.into_inner()).insert(name.to_owned());
        tensor.to_dtype(DType::F32)?.to_device(device)
    }

    fn missing(&self, name: &str) -> String {
        let names = self.names();
        let last = name.rsplit('.').next().unwrap_or(name);
        let similar = names.iter().find(|n| n.ends_with(last)).or(names.first());
        let hint = similar.map_or(String::new(), |n| format!(", for example {n}"));
        format!(
            "the checkpoint lacks {name}, which config.yaml asks for; it holds {} tensors{hint}. Is this the config.yaml of that training?",
            names.len()
        )
    }

    fn contains(&self, name: &str) -> bool {
        let stored = format!("{}{name}", self.prefix);
        match &self.source {
            Source::Torch(f) => f.contains(&stored),
            Source::Safetensors(f) => f.get(&stored).is_ok(),
        }
    }
}

/// Lets the system have the memory back that a part of a mapped file is in; the next reader gets it from the file again.
///
/// # Safety
/// The bytes are of a read-only map of a file.
unsafe fn forget(bytes: &[u8]) {
    const PAGE: usize = 4096;
    let (start, end) = (bytes.as_ptr() as usize, bytes.as_ptr() as usize + bytes.len());
    let (start, end) = (start.next_multiple_of(PAGE), end / PAGE * PAGE);
    if start < end {
        // SAFETY: whole pages of the caller's map; their content stays the file's.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// A [`VarBuilder`] over the checkpoint, whose errors name the key and both shapes.
pub fn var_builder(checkpoint: std::sync::Arc<Checkpoint>, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Backend(checkpoint)), DType::F32, device.clone())
}

struct Backend(std::sync::Arc<Checkpoint>);

impl SimpleBackend for Backend {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            return Err(candle_core::Error::Msg(format!(
                "the checkpoint's {name} has shape {:?}, but config.yaml asks for {:?}. Is this the config.yaml of that training?",
                tensor.dims(),
                shape.dims()
            )));
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.tensor(name, device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

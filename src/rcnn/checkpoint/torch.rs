//! PyTorch's zip format (`torch.save` since 1.6): `NAME/data.pkl` beside one file a storage.

use std::{collections::HashMap, fs::File, io::BufReader, io::Read, path::Path, sync::Mutex};

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use super::pickle::{Id, Node, Pickle};
use crate::rcnn::{Error, Result};

/// A checkpoint of a real network has some hundred kilobytes of pickle; more than this is not one.
const MAX_PICKLE: u64 = 16 << 20;

pub struct TorchFile {
    archive: Mutex<ZipArchive<BufReader<File>>>,
    folder: String,
    tensors: HashMap<String, View>,
}

/// A strided view into a storage, in elements (`torch._utils._rebuild_tensor_v2`).
struct View {
    storage: String,
    dtype: DType,
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl TorchFile {
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |reason: String| Error::file(path, format!("not a usable PyTorch checkpoint: {reason}"));
        let file = File::open(path).map_err(|e| Error::file(path, e))?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| fail(e.to_string()))?;
        let names: Vec<String> =
            (0..archive.len()).filter_map(|i| Some(archive.by_index_raw(i).ok()?.name().ok()?.into_owned())).collect();
        let pickled = names.iter().find(|n| n.ends_with("data.pkl")).ok_or_else(|| fail("no data.pkl in it".into()))?;
        let folder = pickled.trim_end_matches("data.pkl").to_owned();
        if let Ok(order) = read_entry(&mut archive, &format!("{folder}byteorder"), 16)
            && order != b"little"
        {
            return Err(fail("its numbers are big-endian".into()));
        }
        let bytes = read_entry(&mut archive, pickled, MAX_PICKLE).map_err(fail)?;
        let pickle = Pickle::parse(&bytes).map_err(fail)?;
        let state = state_dict(&pickle).ok_or_else(|| {
            fail("no dictionary of tensors under \"model\" or at its top; Detectron2's checkpointer writes {\"model\": …}".into())
        })?;
        let tensors = state
            .iter()
            .filter_map(|&(key, value)| Some((pickle.str(key)?.to_owned(), view(&pickle, value)?)))
            .collect();
        Ok(Self { archive: Mutex::new(archive), folder, tensors })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Reads one tensor in its own data type; `None` if there is none of that name.
    pub fn tensor(&self, name: &str) -> candle_core::Result<Option<Tensor>> {
        let Some(view) = self.tensors.get(name) else { return Ok(None) };
        let entry = format!("{}data/{}", self.folder, view.storage);
        let mut archive = self.archive.lock().unwrap_or_else(|e| e.into_inner());
        let storage = read_entry(&mut archive, &entry, u64::MAX);
        let tensor = storage.and_then(|bytes| view.tensor(&bytes));
        tensor.map(Some).map_err(|e| candle_core::Error::Msg(format!("the checkpoint's {name}: {e}")))
    }
}

fn read_entry(archive: &mut ZipArchive<BufReader<File>>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let mut entry = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    // PyTorch stores, it does not compress, so an entry is never larger than the file that holds it.
    if entry.compression() != zip::CompressionMethod::Stored || entry.size() != entry.compressed_size() {
        return Err(format!("{name} is compressed, which PyTorch never does"));
    }
    if entry.size() > limit {
        return Err(format!("{name} has {} bytes, more than a network needs", entry.size()));
    }
    let mut bytes = vec![];
    entry.read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    Ok(bytes)
}

/// Detectron2 writes `{"model": state, …}`; a bare `state_dict` is accepted too.
fn state_dict(pickle: &Pickle) -> Option<&[(Id, Id)]> {
    let root = pickle.dict(pickle.root())?;
    let nested = ["model", "state_dict"].iter().find_map(|wanted| {
        let (_, value) = root.iter().find(|(key, _)| pickle.str(*key) == Some(wanted))?;
        pickle.dict(*value)
    });
    let state = nested.unwrap_or(root);
    state.iter().any(|&(_, value)| view(pickle, value).is_some()).then_some(state)
}

fn view(pickle: &Pickle, id: Id) -> Option<View> {
    let (mut callable, mut args) = pickle.call(id)?;
    if callable == "torch._utils _rebuild_parameter" {
        (callable, args) = pickle.call(*args.first()?)?;
    }
    if callable != "torch._utils _rebuild_tensor_v2" {
        return None;
    }
    let [storage, offset, shape, stride, ..] = args else { return None };
    let Node::Persistent(identity) = pickle.node(*storage) else { return None };
    let [_, kind, key, ..] = pickle.tuple(*identity)? else { return None };
    let Node::Global(kind) = pickle.node(*kind) else { return None };
    let dtype = match kind.as_str() {
        "torch FloatStorage" => DType::F32,
        "torch HalfStorage" => DType::F16,
        "torch BFloat16Storage" => DType::BF16,
        "torch DoubleStorage" => DType::F64,
        _ => return None, // counters and masks, which inference does not use
    };
    let sizes = |id: Id| pickle.tuple(id)?.iter().map(|&n| pickle.int(n)).collect::<Option<Vec<_>>>();
    let (shape, stride) = (sizes(*shape)?, sizes(*stride)?);
    (shape.len() == stride.len()).then_some(View {
        storage: pickle.str(*key)?.to_owned(),
        dtype,
        offset: pickle.int(*offset)?,
        shape,
        stride,
    })
}

impl View {
    fn tensor(&self, storage: &[u8]) -> Result<Tensor, String> {
        let size = self.dtype.size_in_bytes();
        let too_small = || format!("shape {:?} does not fit its storage of {} bytes", self.shape, storage.len());
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(too_small)?;
        let last = (self.shape.iter().zip(&self.stride))
            .try_fold(self.offset, |at, (&d, &s)| at.checked_add(d.saturating_sub(1).checked_mul(s)?));
        let end = last.and_then(|l| l.checked_add(1)?.checked_mul(size)).ok_or_else(too_small)?;
        // A view may repeat elements (stride 0), but weights do not: more elements than the storage has is a trick.
        if count == 0 || end > storage.len() || count.saturating_mul(size) > storage.len() {
            return Err(too_small());
        }
        let mut bytes = Vec::with_capacity(count * size);
        if self.is_contiguous() {
            bytes.extend_from_slice(&storage[self.offset * size..][..count * size]);
        } else {
            for element in 0..count {
                let (mut rest, mut at) = (element, self.offset);
                for (&d, &s) in self.shape.iter().zip(&self.stride).rev() {
                    at += rest % d * s;
                    rest /= d;
                }
                bytes.extend_from_slice(&storage[at * size..][..size]);
            }
        }
        Tensor::from_raw_buffer(&bytes, self.dtype, &self.shape, &Device::Cpu).map_err(|e| e.to_string())
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.stride).rev().all(|(&d, &s)| {
            let fits = d == 1 || s == expected;
            expected *= d;
            fits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_views_and_their_bounds() {
        let storage: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let mut view =
            View { storage: "0".into(), dtype: DType::F32, offset: 0, shape: vec![3, 2], stride: vec![1, 3] };
        let transposed = view.tensor(&storage).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(transposed, [[0., 3.], [1., 4.], [2., 5.]]);
        view.offset = 1;
        assert!(view.tensor(&storage).is_err(), "past the end");
        view = View { offset: 0, shape: vec![1 << 40, 1 << 40], stride: vec![0, 0], ..view };
        assert!(view.tensor(&storage).is_err(), "more elements than bytes");
        view = View { offset: 1 << 60, shape: vec![0], stride: vec![1], ..view };
        assert!(view.tensor(&storage).is_err(), "nothing at all, far away");
    }
}

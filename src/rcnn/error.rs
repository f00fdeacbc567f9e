use std::path::PathBuf;

/// Why a model could not be loaded or run. Every message names the file or the key and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("config.yaml asks for {key} = {value}, which docreader does not run yet; it runs {supported}")]
    Unsupported { key: &'static str, value: String, supported: &'static str },
    #[error("config.yaml: {0}")]
    Config(String),
    #[error("device {asked}: {reason}")]
    Device { asked: String, reason: String },
    #[error("GPU: {0}")]
    Gpu(String),
    #[error(
        "the GPU has not enough free memory for this page; end what else runs there, compute in f16-all, or use the CPU"
    )]
    GpuMemory,
    #[error("model: {0}")]
    Candle(#[from] candle_core::Error),
    #[error("the prediction was stopped")]
    Stopped,
    #[error("the image has no pixels")]
    EmptyImage,
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }
}

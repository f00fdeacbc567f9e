use std::ffi::CStr;

use cudarc::driver::{result as driver, sys};

use crate::rcnn::Error;

/// What the driver says, after what was asked of it.
pub(super) fn error(what: &str, e: driver::DriverError) -> Error {
    if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return Error::GpuMemory;
    }
    let text = e.error_string().map(CStr::to_string_lossy).unwrap_or_default();
    Error::Gpu(format!("{what}: {text} ({:?})", e.0))
}

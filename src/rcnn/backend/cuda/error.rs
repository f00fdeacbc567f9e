//! The driver's errors.

use std::ffi::CStr;

use cudarc::driver::{DriverError, sys};

use crate::rcnn::Error;

pub(super) fn error(what: &str, e: DriverError) -> Error {
    if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return Error::GpuMemory;
    }
    let text = e.error_string().map(CStr::to_string_lossy).unwrap_or_default();
    Error::Gpu(format!("{what}: {text} ({:?})", e.0))
}

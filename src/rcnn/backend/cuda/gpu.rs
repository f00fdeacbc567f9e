//! An NVIDIA GPU, by its driver and cuBLASLt, which are loaded when a model asks for them: a program with this in it starts without either.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cudarc::driver::{result as driver, sys};
use rayon::prelude::*;

use super::error::error;
use super::matmul::Matmul;
use super::runtime::{Aligned, Product, Runtime};
use crate::rcnn::{Error, GpuInfo, Result};

const PTX: [(i32, &str); 2] = [
    (90, concat!(include_str!(concat!(env!("OUT_DIR"), "/sm_90.ptx")), "\0")),
    (80, concat!(include_str!(concat!(env!("OUT_DIR"), "/sm_80.ptx")), "\0")),
];

/// Threads of a block of items; kernels are compiled for at most as many.
const ITEMS_A_BLOCK: usize = 256;

/// Bytes that a thread copies at once.
const COPY_CHUNK: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Gpu {
    context: sys::CUcontext,
    stream: sys::CUstream,
    device: sys::CUdevice,
    pool: sys::CUmemoryPool,
    module: sys::CUmodule,
    functions: Mutex<HashMap<String, usize>>,
    /// Ends before the context does, in `drop`.
    matmul: Mutex<ManuallyDrop<Matmul>>,
    staging: Mutex<Staging>,
}

/// Memory that the GPU copies from while the CPU goes on, and when it has done so.
#[derive(Debug, Default)]
struct Staging {
    address: usize,
    bytes: usize,
    copied: usize,
    /// How often it was copied to.
    writes: u64,
}

// SAFETY: the driver's handles may be used from any thread that has the context, which `enter` gives it; what is changed is behind locks.
unsafe impl Send for Gpu {}
// SAFETY: as for `Send`.
unsafe impl Sync for Gpu {}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no GPU to be used, in a sentence with the remedy; `None` if there is one.
pub fn missing() -> Option<String> {
    // SAFETY: looks whether the library can be loaded.
    if !unsafe { sys::is_culib_present() } {
        return Some(
            "no NVIDIA driver: libcuda.so.1 is not there; install the driver (in a container: run it with --gpus all)"
                .into(),
        );
    }
    // SAFETY: looks whether the library can be loaded.
    if !unsafe { cudarc::cublaslt::sys::is_culib_present() } {
        return Some("cuBLAS is missing: install libcublas-13-0 or nvidia-cublas (PyPI), and let LD_LIBRARY_PATH name the folder of libcublasLt.so.13".into());
    }
    match driver::init().and_then(|()| driver::device::get_count()) {
        Ok(0) => Some("the NVIDIA driver sees no GPU; look at nvidia-smi".into()),
        Ok(_) => None,
        Err(e) => Some(error("the NVIDIA driver does not start", e).to_string()),
    }
}

impl Gpu {
    pub fn open(ordinal: usize) -> Result<Self> {
        driver::init().map_err(|e| error("the driver", e))?;
        let device = driver::device::get(ordinal as i32).map_err(|e| error("the GPU", e))?;
        // SAFETY: calls of the driver in their order; the handles are kept until `drop`.
        unsafe {
            let context = driver::primary_ctx::retain(device).map_err(|e| error("the GPU's context", e))?;
            driver::ctx::set_current(context).map_err(|e| error("the GPU's context", e))?;
            let stream =
                driver::stream::create(driver::stream::StreamKind::NonBlocking).map_err(|e| error("a stream", e))?;
            let pool = driver::device::get_default_mem_pool(device).map_err(|e| error("the memory pool", e))?;
            // Memory that was given back is kept for the next page.
            let mut keep = u64::MAX;
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut keep).cast())
                .result()
                .map_err(|e| error("the memory pool", e))?;
            let capability = compute_capability(device)?;
            let (_, ptx) = PTX.into_iter().find(|&(needs, _)| needs <= capability).ok_or_else(|| {
                Error::Gpu(format!(
                    "the GPU has compute capability {}.{}; 8.0 (Ampere) is the least",
                    capability / 10,
                    capability % 10
                ))
            })?;
            let module = driver::module::load_data(ptx.as_ptr().cast()).map_err(|e| error("docreader's kernels", e))?;
            let matmul = Mutex::new(ManuallyDrop::new(Matmul::new(stream, capability)?));
            let functions = Mutex::default();
            Ok(Self { context, stream, device, pool, module, functions, matmul, staging: Mutex::default() })
        }
    }

    pub fn info(&self) -> Result<GpuInfo> {
        self.enter()?;
        let (free_memory, memory) = driver::mem_get_info().map_err(|e| error("the GPU's memory", e))?;
        let name = driver::device::get_name(self.device).map_err(|e| error("the GPU's name", e))?;
        Ok(GpuInfo { name, driver: driver_version(), memory, free_memory })
    }

    fn function(&self, name: &str) -> Result<sys::CUfunction> {
        let mut functions = locked(&self.functions);
        if let Some(&function) = functions.get(name) {
            return Ok(function as sys::CUfunction);
        }
        let c_name = CString::new(format!("k_{name}")).map_err(|e| Error::Gpu(e.to_string()))?;
        // SAFETY: the module stays loaded until `drop`.
        let function = unsafe { driver::module::get_function(self.module, c_name) }.map_err(|e| error(name, e))?;
        functions.insert(name.to_owned(), function as usize);
        Ok(function)
    }

    fn launch(
        &self,
        name: &str,
        blocks: usize,
        threads: usize,
        shared: usize,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        let function = self.function(name)?;
        let blocks = u32::try_from(blocks).map_err(|_| Error::Gpu(format!("{name}: {blocks} blocks are too many")))?;
        // SAFETY: the arguments are those of the kernel, whose struct was compiled from the same fields.
        unsafe {
            driver::launch_kernel(
                function,
                (blocks, 1, 1),
                (threads as u32, 1, 1),
                shared as u32,
                self.stream,
                arguments,
            )
        }
        .map_err(|e| error(name, e))
    }
}

/// # Safety
/// The device is one of the driver's.
unsafe fn compute_capability(device: sys::CUdevice) -> Result<i32> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    // SAFETY: the caller's device is one.
    let get = |attribute| unsafe { driver::device::get_attribute(device, attribute) }.map_err(|e| error("the GPU", e));
    Ok(get(MAJOR)? * 10 + get(MINOR)?)
}

fn driver_version() -> String {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    if let Some(version) = text.split_whitespace().find(is_version) {
        return version.to_owned();
    }
    let mut version = 0;
    // SAFETY: a place for a number.
    match unsafe { sys::cuDriverGetVersion(&raw mut version) }.result() {
        Ok(()) => format!("for CUDA {}.{}", version / 1000, version % 1000 / 10),
        Err(_) => "unknown".into(),
    }
}

impl Runtime for Gpu {
    fn enter(&self) -> Result<()> {
        // SAFETY: the context is ours.
        unsafe { driver::ctx::set_current(self.context) }.map_err(|e| error("the GPU's context", e))
    }

    fn alloc(&self, bytes: usize) -> Result<u64> {
        // SAFETY: the stream is ours, and everything that uses the memory is on it.
        unsafe { driver::malloc_async(self.stream, bytes.next_multiple_of(256)) }
            .map_err(|e| error("the GPU's memory", e))
    }

    fn free(&self, address: u64, _bytes: usize) {
        // A model may end on another thread than it worked on.
        let _ = self.enter();
        // SAFETY: from `alloc`; freed when what the stream has before it is done.
        if let Err(e) = unsafe { driver::free_async(address, self.stream) } {
            tracing::error!("{}", error("giving back the GPU's memory", e));
        }
    }

    fn write(&self, address: u64, bytes: &[&[u8]]) -> Result<()> {
        let total = bytes.iter().map(|part| part.len()).sum();
        // There may be no staging memory yet, and no slice begins at null.
        if total == 0 {
            return Ok(());
        }
        let mut staging = locked(&self.staging);
        staging.room(total, self.stream)?;
        // SAFETY: `room` made it, the lock keeps it ours, and the GPU does not read from there yet.
        let room = unsafe { std::slice::from_raw_parts_mut((staging.address + staging.copied) as *mut u8, total) };
        let mut rest = &mut room[..];
        let mut pairs = vec![];
        for &part in bytes {
            let (to, behind) = rest.split_at_mut(part.len());
            pairs.extend(to.chunks_mut(COPY_CHUNK).zip(part.chunks(COPY_CHUNK)));
            rest = behind;
        }
        match pairs.len() {
            0..=1 => pairs.into_iter().for_each(|(to, part)| to.copy_from_slice(part)),
            _ => pairs.into_par_iter().for_each(|(to, part)| to.copy_from_slice(part)),
        }
        // SAFETY: the caller's buffer has room; the staging memory stays until the stream has been waited for.
        unsafe { driver::memcpy_htod_async(address, room, self.stream) }.map_err(|e| error("copying to the GPU", e))?;
        staging.copied += total;
        staging.writes += 1;
        Ok(())
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller's buffer has these bytes.
        unsafe { driver::memset_d8_async(address, 0, bytes, self.stream) }.map_err(|e| error("zeroing", e))
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        let writes = locked(&self.staging).writes;
        // SAFETY: both have these bytes; a copy to memory that is not pinned has ended when the call returns, else the stream is waited for.
        unsafe {
            driver::memcpy_dtoh_async(bytes, address, self.stream).map_err(|e| error("copying from the GPU", e))?;
            driver::stream::synchronize(self.stream).map_err(|e| error("the GPU", e))?;
        }
        // What another thread has written meanwhile may still be read.
        let mut staging = locked(&self.staging);
        if staging.writes == writes {
            staging.copied = 0;
        }
        Ok(())
    }

    fn items(&self, name: &str, params: &[MaybeUninit<u8>], count: usize) -> Result<()> {
        let mut params = Aligned::of(params);
        let mut count_argument = count as i64;
        let arguments = &mut [params.address(), (&raw mut count_argument).cast()];
        self.launch(name, count.div_ceil(ITEMS_A_BLOCK), ITEMS_A_BLOCK, 0, arguments)
    }

    fn blocks(
        &self,
        name: &str,
        params: &[MaybeUninit<u8>],
        count: usize,
        threads: usize,
        shared: usize,
    ) -> Result<()> {
        self.launch(name, count, threads, shared, &mut [Aligned::of(params).address()])
    }

    fn product(&self, product: &Product) -> Result<()> {
        locked(&self.matmul).run(product)
    }

    fn peak(&self) -> usize {
        let mut bytes = 0u64;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        // SAFETY: a place for a number.
        let _ = unsafe { sys::cuMemPoolGetAttribute(self.pool, attribute, (&raw mut bytes).cast()) };
        bytes as usize
    }
}

impl Staging {
    /// Room for so many bytes more; waits where the GPU still reads what was there.
    fn room(&mut self, bytes: usize, stream: sys::CUstream) -> Result<()> {
        const LEAST: usize = 32 << 20;
        if self.copied + bytes <= self.bytes {
            return Ok(());
        }
        // SAFETY: the stream is the caller's; the memory is freed when nothing reads it any more.
        unsafe {
            driver::stream::synchronize(stream).map_err(|e| error("the GPU", e))?;
            self.copied = 0;
            if bytes > self.bytes {
                if self.bytes > 0 {
                    driver::free_host(self.address as *mut c_void).map_err(|e| error("memory to copy from", e))?;
                    self.bytes = 0;
                }
                let size = bytes.max(LEAST);
                self.address = driver::malloc_host(size, 0).map_err(|e| error("memory to copy from", e))? as usize;
                self.bytes = size;
            }
        }
        Ok(())
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: nothing of it is used any more, and nothing uses the products after this; an error at the end helps nobody.
        unsafe {
            let _ = driver::ctx::set_current(self.context);
            let _ = driver::stream::synchronize(self.stream);
            ManuallyDrop::drop(&mut locked(&self.matmul));
            let staging = locked(&self.staging);
            if staging.bytes > 0 {
                let _ = driver::free_host(staging.address as *mut c_void);
            }
            let _ = driver::module::unload(self.module);
            let _ = driver::stream::destroy(self.stream);
            let _ = driver::primary_ctx::release(self.device);
        }
    }
}

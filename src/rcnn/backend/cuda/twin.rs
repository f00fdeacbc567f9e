//! The kernels' twins on the CPU.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use half::{bf16, f16};
use rayon::prelude::*;

use super::Dtype;
use super::runtime::{Aligned, Product, Runtime};
use crate::rcnn::{Error, Result};

type Twin = unsafe extern "C" fn(params: *const c_void, from: i64, to: i64, shared: *mut c_char);

unsafe extern "C" {
    fn docreader_twin(name: *const c_char, size: *mut u64) -> Option<Twin>;
}

#[derive(Debug, Default)]
pub(super) struct TwinRuntime {
    used: AtomicUsize,
    peak: AtomicUsize,
}

const ALIGNMENT: usize = 256;

/// What lies behind each buffer, and stays as it is.
const GUARD: [u8; 64] = [0x5a; 64];

fn layout(bytes: usize) -> Result<Layout> {
    Layout::from_size_align(bytes + GUARD.len(), ALIGNMENT).map_err(|e| Error::Gpu(e.to_string()))
}

impl Runtime for TwinRuntime {
    fn enter(&self) -> Result<()> {
        Ok(())
    }

    fn alloc(&self, bytes: usize) -> Result<u64> {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(layout(bytes)?) };
        if memory.is_null() {
            return Err(Error::GpuMemory);
        }
        // SAFETY: all of the memory is ours.
        unsafe {
            // Numbers that show where they are used before they are written: NaN in each type.
            memory.write_bytes(0xff, bytes);
            memory.add(bytes).cast::<[u8; 64]>().write(GUARD);
        }
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(used, Ordering::Relaxed);
        Ok(memory as u64)
    }

    fn free(&self, address: u64, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        let memory = address as *mut u8;
        // SAFETY: `alloc` gave it, with its guard.
        let guard = unsafe { *memory.add(bytes).cast::<[u8; 64]>() };
        assert!(guard == GUARD || std::thread::panicking(), "something was written behind a buffer");
        if let Ok(layout) = layout(bytes) {
            // SAFETY: `alloc` gave it for the same layout.
            unsafe { dealloc(memory, layout) };
        }
    }

    fn write(&self, address: u64, bytes: &[&[u8]]) -> Result<()> {
        let mut to = address as *mut u8;
        for part in bytes {
            // SAFETY: the caller's buffer has room for all parts.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
        }
        Ok(())
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller's buffer has these bytes.
        unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes) };
        Ok(())
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's buffer has these bytes.
        unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn items(&self, name: &str, params: &[MaybeUninit<u8>], count: usize) -> Result<()> {
        call(name, params, count, 0, 1024)
    }

    fn blocks(
        &self,
        name: &str,
        params: &[MaybeUninit<u8>],
        count: usize,
        _threads: usize,
        shared: usize,
    ) -> Result<()> {
        call(name, params, count, shared, 1)
    }

    fn product(&self, p: &Product) -> Result<()> {
        for batch in 0..p.batch {
            let address = |start: u64, stride: usize, dtype: Dtype| start + (batch * stride * dtype.bytes()) as u64;
            let at = Product {
                a: address(p.a, p.strides[0], p.dtype),
                b: address(p.b, p.strides[1], p.dtype),
                d: address(p.d, p.strides[2], p.out),
                ..*p
            };
            multiply(&at);
        }
        Ok(())
    }

    fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

fn call(name: &str, params: &[MaybeUninit<u8>], count: usize, shared: usize, chunk: usize) -> Result<()> {
    let missing = || Error::Gpu(format!("there is no kernel {name}"));
    let c_name = CString::new(format!("k_{name}")).map_err(|_| missing())?;
    let mut size = 0u64;
    // SAFETY: a C string and a place for a number.
    let twin = unsafe { docreader_twin(c_name.as_ptr(), &raw mut size) }.ok_or_else(missing)?;
    assert_eq!(size as usize, params.len(), "{name}: its parameters are another struct here than there");
    let mut params = Aligned::of(params);
    let address = params.address() as usize;
    (0..count.div_ceil(chunk)).into_par_iter().for_each(|i| {
        let mut memory = vec![u64::MAX; shared.div_ceil(8)];
        let (from, to) = (i * chunk, (i * chunk + chunk).min(count));
        // SAFETY: the parameters are of the kernel's struct; it writes to buffers of the caller's only, each item to its own place.
        unsafe { twin(address as *const c_void, from as i64, to as i64, memory.as_mut_ptr().cast()) };
    });
    Ok(())
}

fn multiply(p: &Product) {
    let a = load(p.a, p.m, p.k, p.lda, p.dtype);
    let b = load(p.b, p.k, p.n, p.ldb, p.dtype);
    let mut d = match p.add {
        true => load(p.d, p.m, p.n, p.ldd, p.out),
        false => vec![0.0; p.m * p.n],
    };
    // SAFETY: the three are matrices of these sizes, row by row.
    unsafe {
        gemm::gemm(
            p.m,
            p.n,
            p.k,
            d.as_mut_ptr(),
            1,
            p.n as isize,
            p.add,
            a.as_ptr(),
            1,
            p.k as isize,
            b.as_ptr(),
            1,
            p.n as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
    let bias = if p.bias == 0 { vec![0.0; p.n] } else { load(p.bias, 1, p.n, p.n, p.out) };
    for row in d.chunks_exact_mut(p.n) {
        for (value, bias) in row.iter_mut().zip(&bias) {
            *value += bias;
            if p.relu {
                *value = value.max(0.0);
            }
        }
    }
    store(p.d, &d, p.n, p.ldd, p.out);
}

/// A matrix as f32, row by row.
pub(super) fn load(address: u64, rows: usize, columns: usize, stride: usize, dtype: Dtype) -> Vec<f32> {
    fn values<T: Copy>(address: u64, [rows, columns, stride]: [usize; 3], widen: fn(T) -> f32) -> Vec<f32> {
        // SAFETY: the caller's matrix has so many rows that far apart.
        let row = |row| unsafe { std::slice::from_raw_parts((address as *const T).add(row * stride), columns) };
        (0..rows).flat_map(row).map(|&value| widen(value)).collect()
    }
    let shape = [rows, columns, stride];
    match dtype {
        Dtype::F32 => values(address, shape, |value: f32| value),
        Dtype::F16 => values(address, shape, f16::to_f32),
        Dtype::Bf16 => values(address, shape, bf16::to_f32),
    }
}

fn store(address: u64, values: &[f32], columns: usize, stride: usize, dtype: Dtype) {
    for (row, values) in values.chunks_exact(columns).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            let at = row * stride + column;
            // SAFETY: the caller's matrix has so many rows that far apart.
            unsafe {
                match dtype {
                    Dtype::F32 => *(address as *mut f32).add(at) = value,
                    Dtype::F16 => *(address as *mut f16).add(at) = f16::from_f32(value),
                    Dtype::Bf16 => *(address as *mut bf16).add(at) = bf16::from_f32(value),
                }
            }
        }
    }
}

//! Where kernels run: a GPU, or their twins on the CPU. Both take the same calls, so that all that is built on them is tested without a GPU.

use std::fmt::Debug;
use std::sync::Arc;

use super::Dtype;
use crate::rcnn::Result;

/// Parameters of a kernel, as its C++ twin declares them.
///
/// # Safety
/// `#[repr(C)]`, without padding that is read, and addresses in it are those of the runtime's buffers.
pub(super) unsafe trait Params: Copy {}

/// One matrix product, row by row: D [m, n] = A [m, k] · B [k, n] (+ D) (+ bias) (→ ReLU), `batch` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Addresses, and values from one row to the next.
    pub a: u64,
    pub lda: usize,
    pub b: u64,
    pub ldb: usize,
    pub d: u64,
    pub ldd: usize,
    /// [n], of the type of D; 0 for none.
    pub bias: u64,
    /// D is added to.
    pub add: bool,
    pub relu: bool,
    /// Of A and B.
    pub dtype: Dtype,
    /// Of D.
    pub out: Dtype,
    pub batch: usize,
    /// Values from one product's matrix to the next one's: of A, B and D.
    pub strides: [usize; 3],
}

pub(super) trait Runtime: Send + Sync + Debug {
    /// Makes this thread one that calls the runtime.
    fn enter(&self) -> Result<()>;
    /// The address of so many bytes, a multiple of 256.
    fn alloc(&self, bytes: usize) -> Result<u64>;
    /// Of memory that no later call uses.
    fn free(&self, address: u64, bytes: usize);
    fn write(&self, address: u64, bytes: &[&[u8]]) -> Result<()>;
    fn zero(&self, address: u64, bytes: usize) -> Result<()>;
    /// Waits for all calls before.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()>;
    /// Calls the kernel `k_{name}` for items 0 to `count`.
    fn items(&self, name: &str, params: &[u8], count: usize) -> Result<()>;
    /// Calls the kernel `k_{name}` in `count` blocks of `threads` threads that share so many bytes.
    fn blocks(&self, name: &str, params: &[u8], count: usize, threads: usize, shared: usize) -> Result<()>;
    fn product(&self, product: &Product) -> Result<()>;
    /// Bytes at most in use so far.
    fn peak(&self) -> usize;
}

/// A runtime, with types.
#[derive(Debug, Clone)]
pub(super) struct Context(pub Arc<dyn Runtime>);

impl Context {
    pub fn buffer(&self, bytes: usize) -> Result<Buffer> {
        let bytes = bytes.max(1).next_multiple_of(256);
        Ok(Buffer { address: self.0.alloc(bytes)?, bytes, runtime: self.0.clone() })
    }

    pub fn upload<T: Copy>(&self, values: &[T]) -> Result<Buffer> {
        let buffer = self.buffer(std::mem::size_of_val(values))?;
        self.0.write(buffer.address, &[bytes_of(values)])?;
        Ok(buffer)
    }

    /// Values as `dtype`.
    pub fn upload_as(&self, values: &[f32], dtype: Dtype) -> Result<Buffer> {
        match dtype {
            Dtype::F32 => self.upload(values),
            Dtype::F16 => self.upload(&values.iter().map(|&v| half::f16::from_f32(v)).collect::<Vec<_>>()),
            Dtype::Bf16 => self.upload(&values.iter().map(|&v| half::bf16::from_f32(v)).collect::<Vec<_>>()),
        }
    }

    pub fn download<T: Copy + Default>(&self, address: u64, count: usize) -> Result<Vec<T>> {
        let mut values = vec![T::default(); count];
        // SAFETY: the values are initialised, and numbers of any bits are valid.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), std::mem::size_of_val(&values[..]))
        };
        self.0.read(address, bytes)?;
        Ok(values)
    }

    pub fn items<P: Params>(&self, name: &str, params: &P, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.0.items(name, bytes_of(std::slice::from_ref(params)), count)
    }

    pub fn blocks<P: Params>(&self, name: &str, params: &P, count: usize, threads: usize, shared: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.0.blocks(name, bytes_of(std::slice::from_ref(params)), count, threads, shared)
    }

    pub fn product(&self, product: &Product) -> Result<()> {
        if product.m == 0 {
            return Ok(());
        }
        self.0.product(product)
    }
}

fn bytes_of<T: Copy>(values: &[T]) -> &[u8] {
    // SAFETY: plain numbers, and structs of them without padding that is read.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), std::mem::size_of_val(values)) }
}

/// Memory of the runtime, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    pub address: u64,
    bytes: usize,
    runtime: Arc<dyn Runtime>,
}

impl Buffer {
    pub fn zero(&self) -> Result<()> {
        self.runtime.zero(self.address, self.bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.runtime.free(self.address, self.bytes);
    }
}

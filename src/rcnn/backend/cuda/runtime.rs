//! Where kernels run: a GPU, or their twins on the CPU. Both take the same calls, so that all that is built on them is tested without a GPU.

use std::ffi::c_void;
use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::Dtype;
use crate::rcnn::Result;

/// Parameters of a kernel, as its C++ twin declares them.
///
/// # Safety
/// `#[repr(C)]`, as the kernel declares it, and addresses in it are those of the runtime's buffers.
pub(super) unsafe trait Params: Copy {}

/// What buffers hold.
///
/// # Safety
/// It has no padding, and any bits are a value.
pub(super) unsafe trait Number: Copy {}

macro_rules! numbers {
    ($($number:ty)*) => {
        // SAFETY: a number, or its bits.
        $(unsafe impl Number for $number {})*
    };
}
numbers! { f32 i32 u32 u8 half::f16 half::bf16 }
// SAFETY: numbers side by side.
unsafe impl<T: Number, const N: usize> Number for [T; N] {}

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

impl Product {
    /// Of matrices whose rows follow each other, at addresses to be filled in.
    pub fn new([m, n, k]: [usize; 3], dtype: Dtype) -> Self {
        Self {
            m,
            n,
            k,
            a: 0,
            lda: k,
            b: 0,
            ldb: n,
            d: 0,
            ldd: n,
            bias: 0,
            add: false,
            relu: false,
            dtype,
            out: dtype,
            batch: 1,
            strides: [0; 3],
        }
    }
}

pub(super) trait Runtime: Send + Sync + Debug {
    /// Makes this thread one that calls the runtime.
    fn enter(&self) -> Result<()>;
    /// The address of so many bytes, which are not none; a multiple of 256.
    fn alloc(&self, bytes: usize) -> Result<u64>;
    /// Of memory that no later call uses.
    fn free(&self, address: u64, bytes: usize);
    fn write(&self, address: u64, bytes: &[&[u8]]) -> Result<()>;
    fn zero(&self, address: u64, bytes: usize) -> Result<()>;
    /// Waits for all calls before.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()>;
    /// Calls the kernel `k_{name}` for items 0 to `count`.
    fn items(&self, name: &str, params: &[MaybeUninit<u8>], count: usize) -> Result<()>;
    /// Calls the kernel `k_{name}` in `count` blocks of `threads` threads that share so many bytes.
    fn blocks(&self, name: &str, params: &[MaybeUninit<u8>], count: usize, threads: usize, shared: usize)
    -> Result<()>;
    fn product(&self, product: &Product) -> Result<()>;
    /// Bytes at most in use so far.
    fn peak(&self) -> usize;
}

/// A runtime, with types.
#[derive(Debug, Clone)]
pub(super) struct Context(pub Arc<dyn Runtime>);

impl Context {
    pub fn buffer(&self, bytes: usize) -> Result<Buffer> {
        let bytes = bytes.max(1);
        Ok(Buffer { address: self.0.alloc(bytes)?, bytes, runtime: self.0.clone() })
    }

    pub fn upload<T: Number>(&self, values: &[T]) -> Result<Buffer> {
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

    pub fn download<T: Number + Default>(&self, address: u64, count: usize) -> Result<Vec<T>> {
        let mut values = vec![T::default(); count];
        // SAFETY: the values are initialised, and any bits are one.
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
        self.0.items(name, params_of(params), count)
    }

    pub fn blocks<P: Params>(&self, name: &str, params: &P, count: usize, threads: usize, shared: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.0.blocks(name, params_of(params), count, threads, shared)
    }

    pub fn product(&self, product: &Product) -> Result<()> {
        if product.m == 0 {
            return Ok(());
        }
        self.0.product(product)
    }
}

/// A struct's bytes, of which those between its fields may be none.
pub(super) fn params_of<P: Params>(params: &P) -> &[MaybeUninit<u8>] {
    // SAFETY: any byte, written or not, is a `MaybeUninit<u8>`.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(params).cast(), size_of::<P>()) }
}

/// A copy of such bytes, aligned as the struct is.
pub(super) struct Aligned(Vec<MaybeUninit<u64>>);

impl Aligned {
    pub fn of(params: &[MaybeUninit<u8>]) -> Self {
        let mut words = vec![MaybeUninit::<u64>::uninit(); params.len().div_ceil(8)];
        // SAFETY: the words have room for the bytes, and may stay as unwritten as these are.
        unsafe { std::ptr::copy_nonoverlapping(params.as_ptr(), words.as_mut_ptr().cast(), params.len()) };
        Self(words)
    }

    pub fn address(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

fn bytes_of<T: Number>(values: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding, so that all bytes are initialised.
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

//! Matrix products by cuBLASLt, whose plans are made once for each shape.

use std::collections::HashMap;
use std::ffi::c_void;

use cudarc::cublaslt::{result as lt, sys};
use cudarc::driver::{result as driver, sys as cuda};

use super::Dtype;
use super::error::error;
use super::runtime::Product;
use crate::rcnn::{Error, Result};

#[derive(Debug)]
pub(super) struct Matmul {
    handle: sys::cublasLtHandle_t,
    stream: cuda::CUstream,
    workspace: u64,
    workspace_bytes: usize,
    plans: HashMap<Product, Plan>,
}

#[derive(Debug)]
struct Plan {
    operation: sys::cublasLtMatmulDesc_t,
    /// Of B, A and D: a row-major product is the column-major one of the transposed matrices, which are the same bytes.
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

fn failed(what: &str, e: lt::CublasError) -> Error {
    Error::Gpu(format!("cuBLAS: {what}: {:?}", e.0))
}

fn kind(dtype: Dtype) -> sys::cudaDataType {
    match dtype {
        Dtype::F32 => sys::cudaDataType_t::CUDA_R_32F,
        Dtype::F16 => sys::cudaDataType_t::CUDA_R_16F,
        Dtype::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
    }
}

/// The largest power of two, to 256, that an address and the steps from it are multiples of.
fn alignment(address: u64, step: usize) -> u32 {
    1 << (address | step as u64).trailing_zeros().min(8)
}

impl Matmul {
    /// On a stream of the current context.
    pub fn new(stream: cuda::CUstream, capability: i32) -> Result<Self> {
        // What NVIDIA advises for Hopper and for others.
        let workspace_bytes = if capability >= 90 { 32 << 20 } else { 4 << 20 };
        let handle = lt::create_handle().map_err(|e| failed("a handle", e))?;
        // SAFETY: the context is current; freed in `drop`.
        let workspace = unsafe { driver::malloc_sync(workspace_bytes) }.map_err(|e| error("cuBLAS' workspace", e))?;
        Ok(Self { handle, stream, workspace, workspace_bytes, plans: HashMap::new() })
    }

    pub fn run(&mut self, product: &Product) -> Result<()> {
        let p = *product;
        let steps = |dtype: Dtype, i: usize| p.strides[i] * dtype.bytes();
        let aligned =
            [alignment(p.a, steps(p.dtype, 0)), alignment(p.b, steps(p.dtype, 1)), alignment(p.d, steps(p.out, 2))];
        // A plan is for any addresses that are aligned so.
        let key = Product {
            a: aligned[0].into(),
            b: aligned[1].into(),
            d: aligned[2].into(),
            bias: u64::from(p.bias != 0),
            ..p
        };
        if !self.plans.contains_key(&key) {
            let plan = self.plan(&p, aligned)?;
            self.plans.insert(key, plan);
        }
        let plan = &self.plans[&key];
        let (one, beta) = (1.0f32, if p.add { 1.0f32 } else { 0.0 });
        // SAFETY: the plan's handles live as long as it does; the matrices are the caller's, of the sizes that the plan was made for.
        unsafe {
            if p.bias != 0 {
                let attribute = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
                set(plan.operation, attribute, &p.bias)?;
            }
            lt::matmul(
                self.handle,
                plan.operation,
                (&raw const one).cast(),
                (&raw const beta).cast(),
                p.b as *const c_void,
                plan.layouts[0],
                p.a as *const c_void,
                plan.layouts[1],
                p.d as *const c_void,
                plan.layouts[2],
                p.d as *mut c_void,
                plan.layouts[2],
                &raw const plan.algorithm,
                self.workspace as *mut c_void,
                self.workspace_bytes,
                self.stream.cast(),
            )
            .map_err(|e| failed(&format!("a product {} x {} x {}", p.m, p.n, p.k), e))
        }
    }

    fn plan(&self, p: &Product, aligned: [u32; 3]) -> Result<Plan> {
        use sys::cublasLtEpilogue_t as Epilogue;
        use sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE as EPILOGUE;
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        let epilogue = match (p.bias != 0, p.relu) {
            (false, false) => Epilogue::CUBLASLT_EPILOGUE_DEFAULT,
            (false, true) => Epilogue::CUBLASLT_EPILOGUE_RELU,
            (true, false) => Epilogue::CUBLASLT_EPILOGUE_BIAS,
            (true, true) => Epilogue::CUBLASLT_EPILOGUE_RELU_BIAS,
        };
        // Sums are f32; no f32 is rounded to TF32.
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let describe = |e| failed("a description", e);
        let operation = lt::create_matmul_desc(compute, sys::cudaDataType_t::CUDA_R_32F).map_err(describe)?;
        let layouts = [
            layout(p.dtype, p.n, p.k, p.ldb, p.batch, p.strides[1])?,
            layout(p.dtype, p.k, p.m, p.lda, p.batch, p.strides[0])?,
            layout(p.out, p.n, p.m, p.ldd, p.batch, p.strides[2])?,
        ];
        // SAFETY: the handles are new, and values of the attributes' types are set.
        unsafe {
            set(operation, EPILOGUE, &epilogue)?;
            if p.bias != 0 {
                // Any address, to say that there is one.
                set(operation, sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias)?;
            }
            let preference = lt::create_matmul_pref().map_err(describe)?;
            let prefer = |attribute, value: *const c_void, bytes| {
                lt::set_matmul_pref_attribute(preference, attribute, value, bytes).map_err(describe)
            };
            let workspace = self.workspace_bytes as u64;
            prefer(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, (&raw const workspace).cast(), 8)?;
            for (attribute, bytes) in [
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &aligned[1]),
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &aligned[0]),
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &aligned[2]),
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &aligned[2]),
            ] {
                prefer(attribute, std::ptr::from_ref(bytes).cast(), 4)?;
            }
            let [b, a, d] = layouts;
            let best = lt::get_matmul_algo_heuristic(self.handle, operation, b, a, d, d, preference);
            let destroyed = lt::destroy_matmul_pref(preference);
            let best = best.map_err(|e| failed(&format!("no algorithm for {p:?}"), e))?;
            destroyed.map_err(describe)?;
            Ok(Plan { operation, layouts, algorithm: best.algo })
        }
    }
}

/// # Safety
/// The attribute is a `T`.
unsafe fn set<T>(
    operation: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<()> {
    // SAFETY: the caller's.
    unsafe { lt::set_matmul_desc_attribute(operation, attribute, std::ptr::from_ref(value).cast(), size_of::<T>()) }
        .map_err(|e| failed("an attribute", e))
}

fn layout(
    dtype: Dtype,
    rows: usize,
    columns: usize,
    stride: usize,
    batch: usize,
    step: usize,
) -> Result<sys::cublasLtMatrixLayout_t> {
    use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
    let describe = |e| failed("a layout", e);
    let layout = lt::create_matrix_layout(kind(dtype), rows as u64, columns as u64, stride as i64).map_err(describe)?;
    if batch > 1 {
        let (count, step) = (batch as i32, step as i64);
        // SAFETY: values of the attributes' types.
        unsafe {
            lt::set_matrix_layout_attribute(
                layout,
                Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                (&raw const count).cast(),
                4,
            )
            .map_err(describe)?;
            let attribute = Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
            lt::set_matrix_layout_attribute(layout, attribute, (&raw const step).cast(), 8).map_err(describe)?;
        }
    }
    Ok(layout)
}

impl Drop for Matmul {
    fn drop(&mut self) {
        // SAFETY: nothing of it is used any more; an error at the end helps nobody.
        unsafe {
            for plan in self.plans.values() {
                let _ = lt::destroy_matmul_desc(plan.operation);
                for layout in plan.layouts {
                    let _ = lt::destroy_matrix_layout(layout);
                }
            }
            let _ = lt::destroy_handle(self.handle);
            let _ = driver::free_sync(self.workspace);
        }
    }
}

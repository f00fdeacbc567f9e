//! Vectors of f32, and which of them this processor has.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::sync::LazyLock;

/// Rows of a tile.
pub(super) const MR: usize = 6;

/// Instruction sets that the kernels are written for, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// AVX-512 with AMX's tiles of bf16.
    Amx,
    Avx512,
    Avx2,
    /// Of every 64-bit ARM.
    Neon,
    Portable,
}

impl Isa {
    /// The best that this processor has, and no better one than `DOCREADER_ISA` asks for (amx, avx512, avx2, neon, portable).
    pub fn best() -> Self {
        static BEST: LazyLock<Isa> =
            LazyLock::new(|| Isa::at_most(&std::env::var("DOCREADER_ISA").unwrap_or_default()));
        *BEST
    }

    /// The best there is from the one with this name on; of all, if none has it.
    fn at_most(name: &str) -> Self {
        let all = [Self::Amx, Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];
        let from = all.into_iter().find(|isa| isa.name() == name).unwrap_or(Self::Amx);
        *Self::available().iter().find(|isa| **isa >= from).unwrap_or(&Self::Portable)
    }

    /// All that this processor has, best first.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: LazyLock<Vec<Isa>> = LazyLock::new(|| {
            let mut all = vec![];
            #[cfg(target_arch = "x86_64")]
            {
                if super::amx::is_there() {
                    all.push(Isa::Amx);
                }
                if is_x86_feature_detected!("avx512f") {
                    all.push(Isa::Avx512);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    all.push(Isa::Avx2);
                }
            }
            #[cfg(target_arch = "aarch64")]
            all.push(Isa::Neon);
            all.push(Isa::Portable);
            all
        });
        &AVAILABLE
    }

    /// Itself.
    ///
    /// # Panics
    /// If this processor has it not: kernels made for it would be no instructions of it.
    pub(super) fn assert_available(self) -> Self {
        assert!(Self::available().contains(&self), "this processor has no {}", self.name());
        self
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "amx",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// See [`Simd::UNROLL`].
    pub(super) fn unroll(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512 => Avx512::UNROLL,
            _ => Portable::UNROLL,
        }
    }

    /// Whether tiles are so wide that what passes by them comes from the second level cache, else from the first.
    pub(super) fn is_wide(self) -> bool {
        self.nr() == 64
    }

    /// Columns of a tile.
    pub(super) fn nr(self) -> usize {
        match self {
            Self::Amx | Self::Avx512 => 64,
            Self::Avx2 | Self::Neon => 16,
            Self::Portable => 8,
        }
    }
}

/// What went past the caches is seen by whoever comes after this.
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: of every x86-64 processor.
    unsafe {
        _mm_sfence();
    }
}

/// Operations on a vector. Functions that are generic over it are inlined into callers that enable its instruction set.
pub(super) trait Simd: Copy + 'static {
    type V: Copy;
    const LANES: usize;
    /// Rows of B between two looks at the end of a tile's loop; each time a line is fetched. Where vectors are narrow, what counts and fetches
    /// takes turns from what multiplies.
    const UNROLL: usize = 4;
    /// Whether a tile fetches rows of A further on besides.
    const FETCHES_ROWS: bool = false;
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn splat(x: f32) -> Self::V;
    /// # Safety
    /// The processor has the instruction set, and `p` is good for reads of `LANES` values.
    unsafe fn load(p: *const f32) -> Self::V;
    /// # Safety
    /// The processor has the instruction set, and `p` is good for writes of `LANES` values.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Past the cache.
    ///
    /// # Safety
    /// As for [`Self::store`], and `p` is aligned to the vector.
    unsafe fn stream(p: *mut f32, v: Self::V);
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Into all caches; harmless wherever `p` points.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn prefetch(p: *const f32);
    /// Into the second level cache; harmless wherever `p` points.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn prefetch_far(p: *const f32);
}

/// A type of vectors that is an expression for each operation.
macro_rules! vectors {
    (
        $(#[$doc:meta])*
        $name:ident, $vector:ty, $lanes:literal $(, $constant:ident: $type:ty = $value:expr)*;
        $($operation:ident($($argument:ident: $of:ty),*) $(-> $result:ty)? { $body:expr })*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name;

        #[allow(unused_unsafe, reason = "not all expressions are of intrinsics")]
        impl Simd for $name {
            type V = $vector;
            const LANES: usize = $lanes;
            $(const $constant: $type = $value;)*
            $(
                #[inline(always)]
                unsafe fn $operation($($argument: $of),*) $(-> $result)? {
                    // SAFETY: the caller has the instruction set, and what is read and written; no prefetch faults.
                    unsafe { $body }
                }
            )*
        }
    };
}

#[cfg(target_arch = "x86_64")]
vectors! {
    Avx512, __m512, 16, UNROLL: usize = 1, FETCHES_ROWS: bool = true;
    splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
    load(p: *const f32) -> __m512 { _mm512_loadu_ps(p) }
    store(p: *mut f32, v: __m512) { _mm512_storeu_ps(p, v) }
    stream(p: *mut f32, v: __m512) { _mm512_stream_ps(p, v) }
    add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
    sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
    max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
    mul_add(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
    prefetch(p: *const f32) { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    prefetch_far(p: *const f32) { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
}

#[cfg(target_arch = "x86_64")]
vectors! {
    Avx2, __m256, 8;
    splat(x: f32) -> __m256 { _mm256_set1_ps(x) }
    load(p: *const f32) -> __m256 { _mm256_loadu_ps(p) }
    store(p: *mut f32, v: __m256) { _mm256_storeu_ps(p, v) }
    stream(p: *mut f32, v: __m256) { _mm256_stream_ps(p, v) }
    add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
    sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
    max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
    mul_add(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
    prefetch(p: *const f32) { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    prefetch_far(p: *const f32) { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
}

#[cfg(target_arch = "aarch64")]
vectors! {
    Neon, float32x4_t, 4;
    splat(x: f32) -> float32x4_t { vdupq_n_f32(x) }
    load(p: *const f32) -> float32x4_t { vld1q_f32(p) }
    store(p: *mut f32, v: float32x4_t) { vst1q_f32(p, v) }
    stream(p: *mut f32, v: float32x4_t) { vst1q_f32(p, v) }
    add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
    sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
    max(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmaxq_f32(a, b) }
    mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t { vfmaq_f32(c, a, b) }
    prefetch(p: *const f32) {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) p, options(nostack, preserves_flags, readonly))
    }
    prefetch_far(p: *const f32) {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) p, options(nostack, preserves_flags, readonly))
    }
}

vectors! {
    /// Eight values for the compiler to make the best of.
    Portable, [f32; 8], 8;
    splat(x: f32) -> [f32; 8] { [x; 8] }
    load(p: *const f32) -> [f32; 8] { p.cast::<[f32; 8]>().read_unaligned() }
    store(p: *mut f32, v: [f32; 8]) { p.cast::<[f32; 8]>().write_unaligned(v) }
    stream(p: *mut f32, v: [f32; 8]) { p.cast::<[f32; 8]>().write_unaligned(v) }
    add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] { std::array::from_fn(|i| a[i] + b[i]) }
    sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] { std::array::from_fn(|i| a[i] - b[i]) }
    max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] { std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] }) }
    mul_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] { std::array::from_fn(|i| a[i] * b[i] + c[i]) }
    prefetch(_p: *const f32) { () }
    prefetch_far(_p: *const f32) { () }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_less() {
        assert_eq!(Isa::at_most(""), Isa::available()[0]);
        assert_eq!(Isa::at_most("portable"), Isa::Portable);
        for isa in [Isa::Amx, Isa::Avx512, Isa::Avx2, Isa::Neon] {
            let got = Isa::at_most(isa.name());
            assert!(
                got >= isa && (got == isa || !Isa::available().contains(&isa)),
                "{} gave {}",
                isa.name(),
                got.name()
            );
        }
    }
}

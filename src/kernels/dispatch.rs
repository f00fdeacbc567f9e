//! Code for the vectors that this processor has.

/// Runs plain loops as compiled for this processor's vectors; `f` is inlined.
#[inline]
pub fn vectorized<T>(f: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        /// # Safety
        /// The processor has AVX2 and FMA.
        #[target_feature(enable = "avx2,fma")]
        fn avx2<T>(f: impl FnOnce() -> T) -> T {
            f()
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has both.
            return unsafe { avx2(f) };
        }
    }
    f()
}

/// Calls a function that is generic over `Simd` for the vectors of an instruction set, compiled for these:
/// `for_vectors!(isa, f(value: its type, …))`, or `f[N, …](…)` if it is generic over numbers besides.
///
/// # Safety
/// The caller sees to what the function demands, and that the processor has the instruction set.
macro_rules! for_vectors {
    ($isa:expr, $f:ident$([$($n:literal),*])?($($value:ident: $type:ty),* $(,)?)) => {{
        /// # Safety
        /// As for the macro.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        unsafe fn avx512($($value: $type),*) {
            // SAFETY: the macro's caller sees to what the function demands.
            unsafe { $f::<$crate::kernels::simd::Avx512 $($(, $n)*)?>($($value),*) }
        }
        /// # Safety
        /// As for the macro.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2($($value: $type),*) {
            // SAFETY: the macro's caller sees to what the function demands.
            unsafe { $f::<$crate::kernels::simd::Avx2 $($(, $n)*)?>($($value),*) }
        }
        match $isa {
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::simd::Isa::Amx | $crate::kernels::simd::Isa::Avx512 => avx512($($value),*),
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::simd::Isa::Avx2 => avx2($($value),*),
            #[cfg(target_arch = "aarch64")]
            $crate::kernels::simd::Isa::Neon => $f::<$crate::kernels::simd::Neon $($(, $n)*)?>($($value),*),
            _ => $f::<$crate::kernels::simd::Portable $($(, $n)*)?>($($value),*),
        }
    }};
}
pub(super) use for_vectors;

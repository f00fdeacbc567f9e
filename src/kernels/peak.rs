//! What the processor can do at best, to measure kernels against.

use std::hint::black_box;
use std::time::Instant;

use super::parallel::{for_each, threads};
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Isa, Portable, Simd};

const CHAINS: usize = 20;
const STEPS: usize = 2_000_000;

/// Multiplications and additions a second, in pairs, of all threads with operands in registers: the best of some tries.
pub fn peak(isa: Isa) -> f64 {
    let lanes = match isa {
        Isa::Amx | Isa::Avx512 => 16,
        Isa::Avx2 | Isa::Portable => 8,
    };
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        for_each(threads(), |_| {
            // SAFETY: `isa` is one that the processor has.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Amx | Isa::Avx512 => chains_avx512(),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => chains_avx2(),
                    _ => chains::<Portable>(),
                }
            }
        });
        best = best.min(started.elapsed().as_secs_f64());
    }
    (threads() * CHAINS * STEPS * lanes) as f64 / best
}

#[inline(always)]
unsafe fn chains<S: Simd>() {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let factor = S::splat(black_box(0.5));
        let mut sums = [S::splat(black_box(0.25)); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = S::mul_add(*sum, factor, factor);
            }
        }
        black_box(&sums);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn chains_avx512() {
    // SAFETY: this function's callers have the instruction set, here and below.
    unsafe { chains::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn chains_avx2() {
    unsafe { chains::<Avx2>() }
}

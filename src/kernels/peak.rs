//! What the processor can do at best, to measure kernels against.

use std::hint::black_box;
use std::time::Instant;

use super::amx;
use super::dispatch::for_vectors;
use super::parallel::{for_each, threads};
use super::simd::{Isa, Simd};

const STEPS: usize = 1_000_000;

/// Multiplications and additions a second, in pairs, of all threads with operands in registers: the best of some tries.
pub fn peak(isa: Isa) -> f64 {
    let isa = isa.assert_available();
    if isa == Isa::Amx {
        let pairs = STEPS / 20 * amx::SIDE * amx::SIDE * amx::STEP;
        // SAFETY: the processor has AMX.
        return pairs as f64 / fastest(|| unsafe { amx::chains(STEPS / 20) });
    }
    let lanes = match isa {
        Isa::Amx | Isa::Avx512 => 16,
        Isa::Avx2 | Isa::Portable => 8,
        Isa::Neon => 4,
    };
    let pairs = chains_of(lanes) * STEPS * lanes;
    // SAFETY: the processor has the instruction set.
    pairs as f64 / fastest(|| unsafe { for_vectors!(isa, chains()) })
}

/// Elapsed seconds of the best of some tries over the threads: the work of one thread by it is the rate of all.
fn fastest(f: impl Fn() + Sync) -> f64 {
    let seconds = (0..25).map(|_| {
        let started = Instant::now();
        for_each(threads(), |_| f());
        started.elapsed().as_secs_f64() / threads() as f64
    });
    seconds.fold(f64::MAX, f64::min)
}

/// Sums at a time: enough to hide how long one takes, and few enough for the registers. AVX2 has 16 of these, AVX-512 and NEON have 32.
const fn chains_of(lanes: usize) -> usize {
    if lanes == 8 { 12 } else { 20 }
}

/// # Safety
/// The processor has `S`.
#[inline(always)]
unsafe fn chains<S: Simd>() {
    // SAFETY: the caller has the instruction set.
    unsafe { if chains_of(S::LANES) == 12 { so_many::<S, 12>() } else { so_many::<S, 20>() } }
}

/// # Safety
/// The processor has `S`.
#[inline(always)]
unsafe fn so_many<S: Simd, const CHAINS: usize>() {
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

//! f32 values as sums of two bf16.

use std::arch::x86_64::*;

use super::tile::{Bf16Layout, SIDE, STEP, TILE};
use crate::kernels::buffer::{Buffer, channel_stride};

/// Bytes of what is nearest in a step, which is followed by what is left.
pub(super) const LINE: usize = STEP * size_of::<u16>();

/// Bytes that a row of A takes: its steps, and a cache line more, so that neighbours do not meet in few sets of the cache.
pub(super) fn pitch(form: Bf16Layout, blocks: usize) -> usize {
    let bytes = blocks * form.a_step();
    if bytes.is_multiple_of(128) { bytes + 64 } else { bytes }
}

/// Bytes that a pixel of a map takes whose values are split: likewise, but where sets of the cache would be few indeed.
pub(in crate::kernels) fn pixel(form: Bf16Layout, channels: usize) -> usize {
    let bytes = channels.div_ceil(STEP) * form.a_step();
    if bytes.is_multiple_of(1024) { bytes + 64 } else { bytes }
}

/// Writes `pixels` as the kernel reads them: so many, whose values lie `step` apart, to places that lie [`pitch`] apart.
///
/// # Safety
/// `from` is good for `count` values of each pixel, a multiple of 16, `to`, at the start of a cache line, for as many pitches, which are of whole ones,
/// and [`super::is_there`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn split(
    form: Bf16Layout,
    from: *const f32,
    count: usize,
    (pixels, step, pitch): (usize, usize, usize),
    to: *mut u8,
) {
    // SAFETY: the caller vouches for the values; pitches and steps keep what is written at cache lines.
    unsafe {
        for pixel in 0..pixels {
            let (from, to) = (from.add(pixel * step), to.add(pixel * pitch));
            for at in (0..count).step_by(STEP) {
                let low = _mm512_loadu_ps(from.add(at));
                let high = if at + 16 < count { _mm512_loadu_ps(from.add(at + 16)) } else { _mm512_setzero_ps() };
                store(form, (low, high), to.add(at / STEP * form.a_step()), LINE, false);
            }
        }
    }
}

/// Splits pixels of `stride` values into those of a map.
///
/// # Panics
/// If the map's pixels are not as many.
pub(in crate::kernels) fn split_row(form: Bf16Layout, from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    let pixels = from.len() / stride;
    assert!(stride.is_multiple_of(16) && to.len() == pixels * to_stride && super::is_there());
    assert!(to_stride * size_of::<f32>() >= pixel(form, stride));
    // SAFETY: as the assertions say; maps begin at cache lines, and so do their pixels.
    unsafe {
        split(form, from.as_ptr(), stride, (pixels, stride, to_stride * size_of::<f32>()), to.as_mut_ptr().cast())
    }
}

/// Copies pixels that are split already: so many, whose values lie `step` words apart, to places that lie `pitch` bytes apart.
///
/// # Safety
/// `from` is good for `bytes` of each pixel, `to` for as many pitches, and they do not overlap.
pub(super) unsafe fn copy(from: *const u8, bytes: usize, (pixels, step, pitch): (usize, usize, usize), to: *mut u8) {
    let step = step * size_of::<f32>();
    // SAFETY: the caller vouches for both, and nobody writes what is read.
    unsafe {
        if (step, bytes) == (pitch, pitch) {
            return from.copy_to_nonoverlapping(to, pixels * pitch);
        }
        for pixel in 0..pixels {
            from.add(pixel * step).copy_to_nonoverlapping(to.add(pixel * pitch), bytes);
        }
    }
}

/// Writes a step's values, past the caches or into them; what is left comes `apart` bytes after what is nearest.
///
/// # Safety
/// `to` is a cache line, and the place of what is left another if there are pairs, and [`super::is_there`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn store(form: Bf16Layout, (low, high): (__m512, __m512), to: *mut u8, apart: usize, stream: bool) {
    let nearest = nearest(low, high);
    // SAFETY: the caller vouches for the cache lines.
    unsafe {
        if stream {
            _mm512_stream_si512(to.cast(), nearest)
        } else {
            _mm512_store_si512(to.cast(), nearest)
        }
        if form == Bf16Layout::HiLo {
            let (near_low, near_high) = widen(nearest);
            let rest = self::nearest(_mm512_sub_ps(low, near_low), _mm512_sub_ps(high, near_high));
            let to = to.add(apart).cast();
            if stream { _mm512_stream_si512(to, rest) } else { _mm512_store_si512(to, rest) }
        }
    }
}

/// A step's values.
///
/// # Safety
/// `from` is what [`store`] wrote, and [`super::is_there`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn load(form: Bf16Layout, from: *const u8) -> (__m512, __m512) {
    // SAFETY: `from` is a cache line, followed by what is left if there are pairs.
    unsafe {
        let (low, high) = widen(_mm512_load_si512(from.cast()));
        if form == Bf16Layout::Hi {
            return (low, high);
        }
        let (rest_low, rest_high) = widen(_mm512_load_si512(from.add(LINE).cast()));
        (_mm512_add_ps(low, rest_low), _mm512_add_ps(high, rest_high))
    }
}

/// Writes a line's values, with zeros at the end: what is nearest to `part` bytes, what is left to as many behind them.
///
/// # Safety
/// `to` is good for that, at the start of a cache line, `part` is of whole ones, and [`super::is_there`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn split_line(form: Bf16Layout, from: &[f32], part: usize, to: *mut u8) {
    let load = |at: usize| {
        let count = from.len().saturating_sub(at).min(16);
        // SAFETY: the mask lets no more values be read than there are.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as u16, from.as_ptr().wrapping_add(at)) }
    };
    for step in 0..part / LINE {
        let values = (load(step * STEP), load(step * STEP + 16));
        // SAFETY: the step's line is one of `part`'s, and so is the one `part` bytes further.
        unsafe { store(form, values, to.add(step * LINE), part, false) };
    }
}

/// The nearest bf16 of 32 values.
///
/// # Safety
/// The processor has AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
fn nearest(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both are 64 bytes, and any will do.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
}

/// The f32 values of 32 bf16.
///
/// # Safety
/// The processor has AVX-512 with BW.
#[target_feature(enable = "avx512f,avx512bw")]
fn widen(values: __m512i) -> (__m512, __m512) {
    let half = |half: __m256i| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)));
    (half(_mm512_castsi512_si256(values)), half(_mm512_extracti64x4_epi64::<1>(values)))
}

/// B, [k, n], in panels of 32 columns; a panel is its steps of k, one after the other.
pub(super) struct Packed {
    form: Bf16Layout,
    steps: usize,
    /// With zero columns up to a multiple of 16.
    pub columns: usize,
    data: Buffer,
}

impl Packed {
    /// `at(step, k, column)` is the value of row `k` below [`STEP`] of a step.
    pub fn new(form: Bf16Layout, steps: usize, columns: usize, at: impl Fn(usize, usize, usize) -> f32 + Sync) -> Self {
        // Two bf16 where the buffer has an f32.
        let part = form.b_step() / 2;
        let data = Buffer::of_chunks(columns.div_ceil(SIDE) * steps * part, part, |i, part| {
            let (panel, step) = (i / steps, i % steps);
            // SAFETY: the same initialised bytes, borrowed as a whole, as numbers of any bits.
            let part = unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast::<u16>(), form.b_step()) };
            for column in 0..SIDE.min(columns - panel * SIDE) {
                // Pairs of k lie side by side.
                let tile = column / 16 * TILE + column % 16 * 2;
                for k in 0..STEP {
                    let value = at(step, k, panel * SIDE + column);
                    let nearest = to_bf16(value);
                    let place = tile + k / 2 * 32 + k % 2;
                    part[place] = nearest;
                    if form == Bf16Layout::HiLo {
                        part[place + 2 * TILE] = to_bf16(value - nearest_of(value));
                    }
                }
            }
        });
        Self { form, steps, columns: channel_stride(columns), data }
    }

    pub fn panels(&self) -> usize {
        self.columns.div_ceil(SIDE)
    }

    pub fn panel(&self, panel: usize, step: usize) -> *const u16 {
        self.data[(panel * self.steps + step) * self.form.b_step() / 2..].as_ptr().cast()
    }
}

/// The nearest bf16's value.
pub(super) fn nearest_of(value: f32) -> f32 {
    f32::from_bits(u32::from(to_bf16(value)) << 16)
}

/// The nearest bf16, to even.
fn to_bf16(value: f32) -> u16 {
    if value.is_nan() {
        return 0x7fc0;
    }
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

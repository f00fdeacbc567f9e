//! Rows of the first convolution, 7 × 7 at stride 2 on three channels: a filter's row is 21 values that follow each other in the image, and is a step.
//!
//! Pixels of the result lie six values apart in a line of the image, so a tile's rows overlap. What is nearest and what is left are lines of their
//! own for that, and each of the three products has steps of its own.

use super::split::{Packed, nearest_of, split_line};
use super::strip::write;
use super::tile::{Bf16Layout, Rows, SIDE, STEP, Sums, Tiles, multiply};
use crate::kernels::gemm::Epilogue;
use crate::kernels::shape::{CHANNELS, KERNEL, STRIDE, VALUES};

/// Lines of the image that a row of the result needs.
const LINES: usize = KERNEL;
/// Bytes from a pixel of the result to the next.
const PITCH: usize = STRIDE * CHANNELS * size_of::<u16>();

/// Sums of 32 pixels.
#[repr(C, align(64))]
struct Lines([[f32; SIDE]; SIDE]);

pub(in crate::kernels) struct Stem {
    form: Bf16Layout,
    packed: Packed,
}

impl Stem {
    /// `at(k, o)` is the weight of value `k` of the filter's 147.
    pub fn new(form: Bf16Layout, output: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        // Nearest by nearest, the image's rest by nearest, nearest by the weights' rest.
        let packed = Packed::new(Bf16Layout::Hi, LINES * form.products(), output, |step, k, o| {
            if k >= VALUES {
                return 0.0;
            }
            let value = at(step % LINES * VALUES + k, o);
            if step < 2 * LINES { value } else { value - nearest_of(value) }
        });
        Self { form, packed }
    }

    pub fn form(&self) -> Bf16Layout {
        self.form
    }

    /// f32 values that so many lines take, for rows of `width` pixels.
    pub fn scratch(&self, lines: usize, width: usize) -> usize {
        lines * self.line(width) / size_of::<f32>()
    }

    /// Bytes of a line: a row's last tile reads as far as the pixels that it has too many.
    fn line(&self, width: usize) -> usize {
        self.form.terms() * self.part(width)
    }

    fn part(&self, width: usize) -> usize {
        let bytes = (width.next_multiple_of(SIDE) - 1) * PITCH + STEP * size_of::<u16>();
        bytes.next_multiple_of(64)
    }

    /// Splits lines of the image, `stride` values apart.
    ///
    /// # Safety
    /// `to` has room as [`Self::scratch`] says, at the start of a cache line, and [`super::is_there`].
    pub unsafe fn split(&self, from: &[f32], stride: usize, width: usize, to: *mut u8) {
        let part = self.part(width);
        for (i, line) in from.chunks_exact(stride).enumerate() {
            // SAFETY: the caller has room for the lines; one is `terms` parts of whole cache lines, each for as many values as it has bytes by two.
            unsafe {
                let line = &line[..stride.min(part / size_of::<u16>())];
                split_line(self.form, line, part, to.add(i * self.line(width)));
            }
        }
    }

    /// A row of the result, of its first seven lines.
    ///
    /// # Safety
    /// `lines` are as [`Self::split`] made them, `out` is good for `width` pixels, `tail.bias` for the outputs, and [`super::is_there`].
    #[target_feature(enable = "avx512f")]
    pub unsafe fn row(&self, lines: *const u8, width: usize, (out, ldc): (*mut f32, usize), tail: Epilogue) {
        let line = self.line(width);
        let rest = self.part(width);
        let offsets: Vec<usize> = (0..self.form.products())
            .flat_map(|product| (0..LINES).map(move |i| i * line + if product == 1 { rest } else { 0 }))
            .collect();
        let mut sums = Lines([[0.0; SIDE]; SIDE]);
        let c = Sums { c: sums.0.as_mut_ptr().cast(), pitch: size_of::<[f32; SIDE]>() };
        // SAFETY: the caller vouches for the lines, which have what the last pixels' tiles read, and for the outputs.
        unsafe {
            let tiles = Tiles::new();
            for panel in 0..self.packed.panels() {
                let (b, first) = (self.packed.panel(panel, 0), panel * SIDE);
                let columns = (self.packed.columns - first).min(SIDE);
                for pixel in (0..width).step_by(SIDE) {
                    let rows = Rows { a: lines.add(pixel * PITCH), pitch: PITCH, offsets: &offsets };
                    multiply(&tiles, Bf16Layout::Hi, rows, (b, b), c);
                    for (i, row) in sums.0.iter().take(width - pixel).enumerate() {
                        let to = out.add((pixel + i) * ldc);
                        write(tail, row.as_ptr(), first..first + columns, to);
                    }
                }
            }
        }
    }
}

//! A map as the matrix that it is, times a packed one.

use std::ptr::null;

use super::gemm::{Epilogue, block};
use super::map::FeatureMap;
use super::packed::{NEAR_ROWS, Packed, Panels};
use super::parallel::{Shared, for_each, threads};
use super::prefetch::After;
use super::simd::{MR, fence};

/// How a product is cut: rows of a task, values of k at a time, panels of a task.
struct Blocking {
    rows: usize,
    k: usize,
    panels: usize,
}

impl Blocking {
    fn of(rows: usize, packed: &Panels<'_>) -> Self {
        let (k, all, width) = (packed.k.max(1), packed.count(), packed.width());
        // A block of A stays in the second level cache, and of narrow panels what is multiplied at a time in the first.
        let wide = packed.isa.is_wide();
        let (near, steps) = if wide { (96 << 10, 512) } else { (24 << 10, NEAR_ROWS) };
        let some = (256 / width).max(1);
        if k * all * width * size_of::<f32>() > 8 << 20 {
            // B comes from memory, so it is read few times, by as many rows at once as leave work for all threads.
            let (mut count, k) = if wide { (384, 1024) } else { (168, steps) };
            while count > 48 && rows.div_ceil(count) * all.div_ceil(some) < 4 * threads() {
                count /= 2;
            }
            return Self { rows: count, k, panels: some };
        }
        let k = k.div_ceil(k.div_ceil(steps));
        let mut count = (near / k).clamp(48, 192) / MR * MR;
        while count > 24 && rows.div_ceil(count) < 8 * threads() {
            count -= MR;
        }
        Self { rows: count, k, panels: if wide { all } else { all.min(some) } }
    }
}

/// `out = x * packed`, pixels as rows.
pub(super) fn matmul(x: &FeatureMap, packed: &Packed, out: &mut FeatureMap, tail: Epilogue) {
    let (rows, out_rows, lda, ldc) = (x.pixels(), out.pixels(), x.stride, out.stride);
    let packed = packed.panels();
    let blocking = Blocking::of(rows, &packed);
    let stream = tail.stream;
    let across = packed.count().div_ceil(blocking.panels);
    let (source, target) = (x.data(), Shared::new(out.data_mut()));
    assert!(lda >= packed.k && ldc >= packed.n && out_rows == rows);
    for_each(rows.div_ceil(blocking.rows) * across, |task| {
        let (row, panel) = (task / across * blocking.rows, task % across * blocking.panels);
        let count = blocking.rows.min(rows - row);
        let panels = panel..(panel + blocking.panels).min(packed.count());
        // What this thread is likely to do next.
        let next = (task + threads()) / across * blocking.rows;
        let ahead = |p: *const f32, stride: usize| if next < rows { p.wrapping_add(next * stride) } else { null() };
        for k0 in (0..packed.k).step_by(blocking.k) {
            let k1 = (k0 + blocking.k).min(packed.k);
            let last = k1 == packed.k;
            let tail = tail.part(k0 == 0, last);
            // SAFETY: the rows lie within both maps, and these of C are this task's alone, in its panels.
            unsafe {
                let a = source.as_ptr().add(row * lda);
                let c = target.get().add(row * ldc);
                let after = After {
                    a: if last { ahead(source.as_ptr(), lda) } else { a.add(k1) },
                    b: null(),
                    c: if last && !stream { ahead(target.get(), ldc) } else { null() },
                };
                block(count, (k0, k1), panels.clone(), (a, lda), packed, after, (c, ldc), tail);
            }
        }
        if tail.stream {
            fence();
        }
    });
}

//! A map as the matrix that it is, times a packed one.

use std::ptr::null;

use super::gemm::{Packed, ROWS, Tail, block};
use super::map::Map;
use super::parallel::{Shared, for_each, threads};

/// How a product is cut: rows of a task, values of k at a time, panels of a task.
struct Blocking {
    rows: usize,
    k: usize,
    panels: usize,
}

impl Blocking {
    fn of(rows: usize, packed: &Packed) -> Self {
        const NEAR: usize = 96 << 10;
        let (k, panels) = (packed.k.max(1), packed.panels());
        if k * panels * packed.width() * size_of::<f32>() > 8 << 20 {
            // B comes from memory, so it is read few times, by many rows at once.
            return Self { rows: 384, k: 1024, panels: (256 / packed.width()).max(1) };
        }
        let k = k.div_ceil(k.div_ceil(512));
        let mut count = (NEAR / k).clamp(48, 192) / ROWS * ROWS;
        while count > 24 && rows.div_ceil(count) < 8 * threads() {
            count -= ROWS;
        }
        Self { rows: count, k, panels }
    }
}

/// `out = x * packed`, pixels as rows.
pub(super) fn product(x: &Map, packed: &Packed, out: &mut Map, tail: Tail) {
    let (rows, lda, ldc) = (x.pixels(), x.stride, out.stride);
    let blocking = Blocking::of(rows, packed);
    let across = packed.panels().div_ceil(blocking.panels);
    let (source, target) = (x.data(), Shared::new(out.data_mut()));
    assert!(lda >= packed.k && ldc >= packed.n);
    for_each(rows.div_ceil(blocking.rows) * across, |task| {
        let (row, panel) = (task / across * blocking.rows, task % across * blocking.panels);
        let count = blocking.rows.min(rows - row);
        let panels = panel..(panel + blocking.panels).min(packed.panels());
        for k0 in (0..packed.k).step_by(blocking.k) {
            let k1 = (k0 + blocking.k).min(packed.k);
            let tail = tail.part(k0 == 0, k1 == packed.k);
            // SAFETY: the rows lie within both maps, and these of C are this task's alone, in its panels.
            unsafe {
                let a = source.as_ptr().add(row * lda);
                let c = target.get().add(row * ldc);
                block(count, (k0, k1), panels.clone(), (a, lda), packed, null(), (c, ldc), tail);
            }
        }
    });
}

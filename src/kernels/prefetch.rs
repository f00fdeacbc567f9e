//! Fetching ahead: what is multiplied next is brought near while tiles are made, a line every few steps of their loops. A burst of fetches would
//! stop the processor about as long as waiting for the lines does.

use std::ops::Range;
use std::ptr::null;

use super::packed::Panels;
use super::simd::MR;

/// Values of a cache line.
pub(super) const LINE: usize = 16;

/// Lines that a tile fetches: where the first is, and how many values further on each next one.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub at: *const f32,
    pub step: usize,
}

impl Lines {
    /// One that is near anyway.
    pub const NONE: Self = Self { at: [0.0f32].as_ptr(), step: 0 };
}

/// What comes after a block of a product; null where nobody knows. None of it is ever read.
#[derive(Clone, Copy)]
pub(super) struct After {
    /// A's next rows, as many and as far apart as those before.
    pub a: *const f32,
    /// The panel of B after the last.
    pub b: *const f32,
    /// C's next rows, unless they are written past the caches.
    pub c: *const f32,
}

impl After {
    pub const UNKNOWN: Self = Self { a: null(), b: null(), c: null() };
}

/// How the tiles of a panel share what is to be fetched.
pub(super) struct Fetch {
    /// Of a tile.
    lines: usize,
    /// Of a panel, in values.
    width: usize,
    parts: [Part; 3],
}

/// Runs of lines, each the work of some tiles, the last of which goes on beyond it. A run begins a line behind the one before.
#[derive(Clone, Copy)]
struct Part {
    lines: Lines,
    tiles: usize,
    runs: usize,
}

impl Fetch {
    /// For tiles of `k` rows of B: as many of what is at `next`.
    pub fn panel(b: &Panels<'_>, k: usize, next: *const f32) -> Self {
        let nothing = Part { lines: Lines::NONE, tiles: 0, runs: 0 };
        let mut fetch = Self { lines: (k / b.isa.unroll()).max(1), width: b.width(), parts: [nothing; 3] };
        if !next.is_null() {
            fetch.parts[0] = fetch.part(next, LINE, k * fetch.width / LINE, 1);
        }
        fetch
    }

    /// Besides, this panel's share, which is number `panel` of `panels`, in the rows that come next: of `k` columns of A, and its own columns of C.
    pub fn and_rows(
        mut self,
        after: After,
        (rows, k): (usize, usize),
        (panel, panels): (usize, usize),
        (lda, ldc): (usize, usize),
        column: usize,
    ) -> Self {
        if !after.c.is_null() {
            self.parts[1] = self.part(after.c.wrapping_add(column), ldc, rows, self.width.div_ceil(LINE));
        }
        if !after.a.is_null() {
            let from = |panel: usize| panel * k.div_ceil(LINE) / panels;
            let (first, end) = (from(panel), from(panel + 1));
            self.parts[2] = self.part(after.a.wrapping_add(first * LINE), lda, rows, end - first);
        }
        self
    }

    /// Besides, these lines of each strip; of two strips at most.
    pub fn and_strips(mut self, strips: impl Iterator<Item = *const f32>, lines: Range<usize>) -> Self {
        for (at, i) in strips.zip(1..self.parts.len()) {
            self.parts[i] = self.part(at.wrapping_add(lines.start * LINE), LINE, lines.len(), 1);
        }
        self
    }

    fn part(&self, at: *const f32, step: usize, count: usize, runs: usize) -> Part {
        Part { lines: Lines { at, step }, tiles: count.div_ceil(self.lines), runs }
    }

    /// What the tile that begins with this row fetches; tiles beyond the work fetch nothing, and work beyond the tiles is not done.
    pub fn of(&self, row: usize) -> Lines {
        let mut tile = row / MR;
        for Part { lines, tiles, runs } in self.parts {
            if tile < tiles * runs {
                let by = tile / tiles * LINE + tile % tiles * self.lines * lines.step;
                return Lines { at: lines.at.wrapping_add(by), ..lines };
            }
            tile -= tiles * runs;
        }
        Lines::NONE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::simd::Isa;
    use super::*;

    /// Of what comes after a block all lines are fetched.
    #[test]
    fn all_lines() {
        let (rows, k, panels, lda, ldc) = (36, 256, 16, 300, 260);
        let data = vec![0f32; Panels::values(Isa::Avx2, k, panels * 16)];
        let b = Panels::new(Isa::Avx2, k, panels * 16, &data);
        let (next_a, next_c) = (vec![0f32; rows * lda], vec![0f32; rows * ldc]);
        let after = After { a: next_a.as_ptr(), b: null(), c: next_c.as_ptr() };
        let mut fetched = BTreeSet::new();
        for panel in 0..panels {
            let fetch = Fetch::panel(&b, k, b.next(panel));
            let fetch = fetch.and_rows(after, (rows, k), (panel, panels), (lda, ldc), panel * 16);
            for lines in (0..rows).step_by(MR).map(|row| fetch.of(row)).filter(|lines| lines.step > 0) {
                fetched.extend((0..k / 4).map(|i| lines.at.wrapping_add(i * lines.step)));
            }
        }
        let lines = |row: &[f32]| row.chunks(LINE).map(<[f32]>::as_ptr).collect::<Vec<_>>();
        let mut wanted = lines(&data[k * 16..]);
        wanted.extend(next_a.chunks(lda).flat_map(|row| lines(&row[..k])));
        wanted.extend(next_c.chunks(ldc).flat_map(|row| lines(&row[..panels * 16])));
        let missing = wanted.iter().filter(|line| !fetched.contains(*line)).count();
        assert_eq!(missing, 0, "of {} lines", wanted.len());
    }
}

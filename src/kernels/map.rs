//! Feature maps, channels last, in memory that is used again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::amx::{self, Bf16Layout};
use super::arena::Arena;
use super::buffer::{Buffer, FITS, channel_stride};

fn stride(form: Option<Bf16Layout>, channels: usize) -> usize {
    form.map_or(channel_stride(channels), |form| amx::pixel(form, channels) / size_of::<f32>())
}

/// Values that a map of so many pixels takes in memory: of split ones the last tile reads beyond them.
pub(super) fn memory(form: Option<Bf16Layout>, pixels: usize, channels: usize) -> usize {
    (pixels + form.map_or(0, |_| amx::SIDE)).checked_mul(stride(form, channels)).expect(FITS)
}

/// Results of more bytes go past the caches.
pub(super) const LARGE: usize = 16 << 20;

/// Where maps come from and go back to. Clones share it.
#[derive(Clone)]
pub struct Workspace(Arc<Shelf>);

struct Shelf {
    arena: Option<Arena>,
    work: AtomicU64,
}

impl Default for Workspace {
    fn default() -> Self {
        Self(Arc::new(Shelf { arena: Arena::new(), work: AtomicU64::new(0) }))
    }
}

impl Workspace {
    /// Each map is an allocation of its own, so that a checker of memory sees its bounds.
    pub fn without_arena() -> Self {
        Self(Arc::new(Shelf { arena: None, work: AtomicU64::new(0) }))
    }

    /// A map of `count` images of `height` × `width` pixels; what is in it is left over from other maps.
    pub fn map(&self, count: usize, height: usize, width: usize, channels: usize) -> FeatureMap {
        self.map_of(None, (count, height, width), channels)
    }

    /// The same for plain values, or for those that are split into a form.
    pub(super) fn map_of(
        &self,
        form: Option<Bf16Layout>,
        (count, height, width): (usize, usize, usize),
        channels: usize,
    ) -> FeatureMap {
        // A product that wraps would be memory for fewer pixels than kernels write.
        let pixels = count.checked_mul(height).and_then(|rows| rows.checked_mul(width)).expect(FITS);
        let len = memory(form, pixels, channels);
        let range = self.0.arena.as_ref().and_then(|arena| arena.take(len));
        let memory = range.map_or_else(|| Memory::Own(Buffer::zeroed(len)), Memory::Arena);
        FeatureMap { count, height, width, channels, stride: stride(form, channels), form, memory, pool: self.clone() }
    }

    /// Multiplications and additions, in pairs, that the layers of these maps have asked for so far; Winograd's does fewer.
    pub fn work(&self) -> u64 {
        self.0.work.load(Ordering::Relaxed)
    }

    pub(super) fn count_work(&self, pairs: usize) {
        self.0.work.fetch_add(pairs as u64, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workspace")
    }
}

enum Memory {
    /// A range of the pool's arena.
    Arena(Range<usize>),
    /// Where there is no arena, or it is full.
    Own(Buffer),
}

/// Images of equal size, [count, height, width, channels]. A pixel's channels are followed by zeros, or anything finite, up to `stride`.
pub struct FeatureMap {
    pub(super) count: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// Values from one pixel to the next, or as many bytes.
    pub(super) stride: usize,
    /// As tiles of this form read values; there are none of `data` then.
    pub(super) form: Option<Bf16Layout>,
    memory: Memory,
    pool: Workspace,
}

impl FeatureMap {
    /// Images.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Values of `data` from one pixel to the next; of a split map as many bytes.
    pub fn stride(&self) -> usize {
        self.stride
    }

    pub fn pixels(&self) -> usize {
        self.count * self.height * self.width
    }

    /// Values that it takes in memory.
    pub fn values(&self) -> usize {
        match &self.memory {
            Memory::Arena(range) => range.len(),
            Memory::Own(buffer) => buffer.len(),
        }
    }

    pub fn pool(&self) -> &Workspace {
        &self.pool
    }

    /// # Panics
    /// If the values are split.
    pub fn data(&self) -> &[f32] {
        assert_eq!(self.form, None);
        self.words()
    }

    /// # Panics
    /// If the values are split.
    pub fn data_mut(&mut self) -> &mut [f32] {
        assert_eq!(self.form, None);
        self.words_mut()
    }

    /// The memory, whatever is in it.
    pub(super) fn words(&self) -> &[f32] {
        // SAFETY: `address` is good for so many values, which are initialised, since memory comes zeroed; they are ours.
        unsafe { std::slice::from_raw_parts(self.address(), self.pixels() * self.stride) }
    }

    pub(super) fn words_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for `words`; they are borrowed as a whole.
        unsafe { std::slice::from_raw_parts_mut(self.address(), self.pixels() * self.stride) }
    }

    /// The memory from this value on, which unlike a slice's pointer is good for what a last tile reads behind the pixels of a split map.
    ///
    /// # Panics
    /// If there is no such value.
    pub(super) fn pointer(&self, at: usize) -> *const f32 {
        assert!(at <= self.pixels() * self.stride);
        self.address().wrapping_add(at)
    }

    fn address(&self) -> *mut f32 {
        match (&self.memory, &self.pool.0.arena) {
            (Memory::Arena(range), Some(arena)) => arena.address(range),
            (Memory::Own(buffer), _) => buffer.address(),
            (Memory::Arena(_), None) => unreachable!("a range of no arena"),
        }
    }

    pub fn duplicate(&self) -> Self {
        let mut copy = self.pool.map_of(self.form, (self.count, self.height, self.width), self.channels);
        copy.words_mut().copy_from_slice(self.words());
        copy
    }

    /// The same values as `count` pixels of another shape, such as RoIs as rows of a matrix.
    ///
    /// # Panics
    /// If that makes another number of values, or channels that are not aligned, or values are split.
    pub fn reshape(mut self, count: usize, height: usize, width: usize, channels: usize) -> Self {
        assert_eq!(self.form, None);
        assert_eq!(self.pixels() * self.stride, count * height * width * channels);
        assert_eq!(channels, channel_stride(channels));
        (self.count, self.height, self.width) = (count, height, width);
        (self.channels, self.stride) = (channels, channels);
        self
    }
}

impl Drop for FeatureMap {
    fn drop(&mut self) {
        if let (Memory::Arena(range), Some(arena)) = (&self.memory, &self.pool.0.arena) {
            arena.give_back(range.clone());
        }
    }
}

impl std::fmt::Debug for FeatureMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FeatureMap [{}, {}, {}, {}]", self.count, self.height, self.width, self.channels)
    }
}

//! Feature maps, channels last, in memory that is used again.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::amx::{self, Bf16Layout};
use super::arena::Arena;
use super::parallel::{Shared, for_each};

const CHANNEL_ALIGN: usize = 16;
const CACHE_LINE: usize = 64;
const HUGE_PAGE: usize = 2 << 20;
const FITS: &str = "a size that memory can have";

/// As how many values so many channels of a pixel lie in memory: the next multiple of the widest vector.
pub fn channel_stride(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_ALIGN)
}

fn stride(form: Option<Bf16Layout>, channels: usize) -> usize {
    form.map_or(channel_stride(channels), |form| amx::pixel(form, channels) / size_of::<f32>())
}

/// Values that a map of so many pixels takes in memory: of split ones the last tile reads beyond them.
pub(super) fn memory(form: Option<Bf16Layout>, pixels: usize, channels: usize) -> usize {
    (pixels + form.map_or(0, |_| amx::SIDE)).checked_mul(stride(form, channels)).expect(FITS)
}

/// f32 values, at the start of a cache line, of huge pages where that pays.
pub(super) struct Buffer {
    data: *mut f32,
    len: usize,
}

// SAFETY: it owns its memory, like a Vec.
unsafe impl Send for Buffer {}
// SAFETY: its memory changes through `&mut` only.
unsafe impl Sync for Buffer {}

impl Buffer {
    pub fn zeroed(len: usize) -> Self {
        let data = Self::reserve(len);
        // SAFETY: so many values were allocated, and zero bytes are f32 values.
        unsafe { data.write_bytes(0, len) };
        Self { data, len }
    }

    /// Calls `fill` for every chunk of so many zeros; by all threads, since most of the time goes into memory that nobody had before.
    pub fn of_chunks(len: usize, chunk: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let data = Self::reserve(len);
        let target = Shared::to(data);
        for_each(len.div_ceil(chunk), |i| {
            let (data, count) = (target.at(i * chunk).get(), chunk.min(len - i * chunk));
            // SAFETY: so many values were allocated, of which this chunk is this task's alone; zero bytes are f32 values.
            let values = unsafe {
                data.write_bytes(0, count);
                std::slice::from_raw_parts_mut(data, count)
            };
            fill(i, values);
        });
        Self { data, len }
    }

    /// Memory for so many values, which nobody has written yet.
    fn reserve(len: usize) -> *mut f32 {
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty.
        let data = unsafe { alloc(layout) }.cast::<f32>();
        if data.is_null() {
            handle_alloc_error(layout);
        }
        #[cfg(target_os = "linux")]
        if layout.align() == HUGE_PAGE {
            // SAFETY: the range is ours; the advice changes no content, and may be refused.
            unsafe { libc::madvise(data.cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        data
    }

    /// One value a channel, and zeros up to the stride.
    pub fn of_channels(channels: usize, values: &[f32]) -> Self {
        let mut buffer = Self::zeroed(channel_stride(channels));
        buffer[..values.len()].copy_from_slice(values);
        buffer
    }

    fn layout(len: usize) -> Layout {
        let values = Layout::array::<f32>(len.max(1)).expect(FITS);
        let align = if values.size() >= 2 * HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
        values.align_to(align).expect(FITS)
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.data.cast(), Self::layout(self.len)) }
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `len` initialised values that we own.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: `len` initialised values that we own, borrowed as a whole.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}

/// Results of more bytes go past the caches.
pub(super) const LARGE: usize = 16 << 20;

thread_local! {
    static SCRATCH: RefCell<Buffer> = RefCell::new(Buffer::zeroed(0));
}

/// Calls `f` with the thread's scratch buffer, which has at least so many values, left over from whatever used it last.
pub(super) fn with_scratch<T>(len: usize, f: impl FnOnce(&mut Buffer) -> T) -> T {
    let mut scratch = SCRATCH.take();
    if scratch.len() < len {
        scratch = Buffer::zeroed(len);
    }
    let result = f(&mut scratch);
    SCRATCH.set(scratch);
    result
}

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
    pub count: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Values from one pixel to the next, or as many bytes.
    pub stride: usize,
    /// As tiles of this form read values; there are none of `data` then.
    pub(super) form: Option<Bf16Layout>,
    memory: Memory,
    pool: Workspace,
}

impl FeatureMap {
    pub fn pixels(&self) -> usize {
        self.count * self.height * self.width
    }

    /// Values that it takes in memory.
    pub fn values(&self) -> usize {
        match &self.memory {
            Memory::Arena(range) => range.len(),
            Memory::Own(buffer) => buffer.len,
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
            (Memory::Own(buffer), _) => buffer.data,
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

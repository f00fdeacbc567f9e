//! Memory for values: aligned, and of huge pages where that pays.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::parallel::{Shared, for_each};

const CHANNEL_ALIGN: usize = 16;
const CACHE_LINE: usize = 64;
const HUGE_PAGE: usize = 2 << 20;
pub(super) const FITS: &str = "a size that memory can have";

/// As how many values so many channels of a pixel lie in memory: the next multiple of the widest vector.
pub fn channel_stride(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_ALIGN)
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

    /// Where it begins, good for writes of whoever has it to write to.
    pub fn address(&self) -> *mut f32 {
        self.data
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

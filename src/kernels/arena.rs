//! Memory for maps: one range of addresses, handed out from its start, so that a page's maps lie where those of the page before lay, and small
//! ones where a large one was. Fresh memory costs more time than most layers, and hoarded memory a small machine.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses, not memory: only what is touched counts. 16 GiB of values.
const VALUES: usize = 4 << 30;
/// Maps begin at pages.
const STEP: usize = 1024;

pub(super) struct Arena {
    data: *mut f32,
    /// In order, with something in use between any two.
    free: Mutex<Vec<Range<usize>>>,
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for Arena {}
// SAFETY: the free list is behind a lock, and hands out a range once until it is given back.
unsafe impl Sync for Arena {}

impl Arena {
    /// `None` if the system does not give so many addresses.
    pub fn new() -> Option<Self> {
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        let bytes = VALUES * size_of::<f32>();
        // SAFETY: a new mapping, at an address that the system chooses, replaces no other.
        let data = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if data == libc::MAP_FAILED {
            return None;
        }
        #[cfg(target_os = "linux")]
        // SAFETY: the range is ours; the advice may be refused.
        unsafe {
            libc::madvise(data, bytes, libc::MADV_HUGEPAGE);
        }
        #[allow(clippy::single_range_in_vec_init, reason = "one free range, which is all")]
        Some(Self { data: data.cast(), free: Mutex::new(vec![0..VALUES]) })
    }

    /// The first free range that is long enough.
    pub fn take(&self, len: usize) -> Option<Range<usize>> {
        let len = len.max(1).next_multiple_of(STEP);
        let mut free = self.free();
        let at = free.iter().position(|range| range.len() >= len)?;
        let start = free[at].start;
        if free[at].len() == len {
            free.remove(at);
        } else {
            free[at].start += len;
        }
        Some(start..start + len)
    }

    pub fn give_back(&self, range: Range<usize>) {
        let mut free = self.free();
        let at = free.partition_point(|other| other.start < range.start);
        free.insert(at, range);
        for i in [at + 1, at] {
            if i > 0 && i < free.len() && free[i - 1].end == free[i].start {
                free[i - 1].end = free[i].end;
                free.remove(i);
            }
        }
    }

    /// Where a range begins.
    pub fn address(&self, range: &Range<usize>) -> *mut f32 {
        self.data.wrapping_add(range.start)
    }

    fn free(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; maps hold the arena, so that none has a range any more.
        unsafe { libc::munmap(self.data.cast(), VALUES * size_of::<f32>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_used_again() {
        let arena = Arena::new().unwrap();
        let (a, b, c) = (arena.take(5000).unwrap(), arena.take(1).unwrap(), arena.take(2048).unwrap());
        assert_eq!((&a, &b, &c), (&(0..5120), &(5120..6144), &(6144..8192)));
        arena.give_back(b);
        assert_eq!(arena.take(1025), Some(8192..10240), "the gap is too small");
        arena.give_back(a);
        assert_eq!(arena.take(3000), Some(0..3072), "both gaps are one");
        arena.give_back(c);
        arena.give_back(8192..10240);
        arena.give_back(0..3072);
        let free = arena.free();
        assert_eq!((free.len(), &free[0]), (1, &(0..VALUES)));
    }
}

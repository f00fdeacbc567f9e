//! Loops over tasks on all of rayon's threads: one shared counter, since the tasks of a layer are alike.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) fn threads() -> usize {
    rayon::current_num_threads()
}

/// Calls `f` for every task below `count`; tasks are handed out in order.
pub(super) fn for_each(count: usize, f: impl Fn(usize) + Sync) {
    if count <= 1 || threads() == 1 {
        return (0..count).for_each(f);
    }
    let next = AtomicUsize::new(0);
    rayon::broadcast(|_| {
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= count {
                break;
            }
            f(task);
        }
    });
}

/// A pointer that tasks share; each writes a range of its own.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: a pointer; code that writes through it says why no two tasks touch the same value.
unsafe impl Send for Shared {}
// SAFETY: as for `Send`.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(data: &mut [f32]) -> Self {
        Self::to(data.as_mut_ptr())
    }

    pub fn to(data: *mut f32) -> Self {
        Self(data)
    }

    /// The same, further on.
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    pub fn get(self) -> *mut f32 {
        self.0
    }
}

//! `amx` for processors that have none: types without values, so nothing here is ever called.

use super::gemm::Epilogue;
use super::map::FeatureMap;
use super::shape::Filters;

pub(super) const SIDE: usize = 32;
pub(super) const STEP: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bf16Layout {}

pub(super) enum Conv {}

pub(super) enum Stem {}

pub(super) fn pays(_: usize, _: usize) -> bool {
    false
}

/// # Safety
/// As for AMX's.
pub(super) unsafe fn chains(_: usize) {}

pub(super) fn pixel(form: Bf16Layout, _: usize) -> usize {
    match form {}
}

pub(super) fn split_row(form: Bf16Layout, _: &[f32], _: usize, _: &mut [f32], _: usize) {
    match form {}
}

impl Bf16Layout {
    pub fn of(_: bool) -> Self {
        unreachable!("there are no tiles")
    }
}

impl Conv {
    pub fn new(form: Bf16Layout, _: &Filters<'_>) -> Self {
        match form {}
    }

    pub fn linear(form: Bf16Layout, _: usize, _: usize, _: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        match form {}
    }

    pub fn form(&self) -> Bf16Layout {
        match *self {}
    }

    pub fn run(&self, _: &FeatureMap, _: &mut FeatureMap, _: Epilogue) {
        match *self {}
    }
}

impl Stem {
    pub fn new(form: Bf16Layout, _: usize, _: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        match form {}
    }

    pub fn form(&self) -> Bf16Layout {
        match *self {}
    }

    pub fn scratch(&self, _: usize, _: usize) -> usize {
        match *self {}
    }

    /// # Safety
    /// As for AMX's.
    pub unsafe fn split(&self, _: &[f32], _: usize, _: usize, _: *mut u8) {
        match *self {}
    }

    /// # Safety
    /// As for AMX's.
    pub unsafe fn row(&self, _: *const u8, _: usize, _: (*mut f32, usize), _: Epilogue) {
        match *self {}
    }
}

//! `amx` for processors that have none: types without values, so nothing here is ever called.

use super::conv::Filters;
use super::gemm::Tail;
use super::map::Map;

pub(super) const SIDE: usize = 32;
pub(super) const STEP: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {}

pub(super) enum Conv {}

pub(super) enum Stem {}

pub(super) fn pays(_: usize, _: usize) -> bool {
    false
}

pub(super) unsafe fn chains(_: usize) {}

pub(super) fn pixel(form: Form, _: usize) -> usize {
    match form {}
}

pub(super) fn split_row(form: Form, _: &[f32], _: usize, _: &mut [f32], _: usize) {
    match form {}
}

impl Form {
    pub fn of(_: bool) -> Self {
        unreachable!("there are no tiles")
    }
}

impl Conv {
    pub fn new(form: Form, _: &Filters<'_>) -> Self {
        match form {}
    }

    pub fn linear(form: Form, _: usize, _: usize, _: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        match form {}
    }

    pub fn form(&self) -> Form {
        match *self {}
    }

    pub fn run(&self, _: &Map, _: &mut Map, _: Tail) {
        match *self {}
    }
}

impl Stem {
    pub fn new(form: Form, _: usize, _: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        match form {}
    }

    pub fn form(&self) -> Form {
        match *self {}
    }

    pub fn scratch(&self, _: usize, _: usize) -> usize {
        match *self {}
    }

    pub unsafe fn split(&self, _: &[f32], _: usize, _: usize, _: *mut u8) {
        match *self {}
    }

    pub unsafe fn row(&self, _: *const u8, _: usize, _: (*mut f32, usize), _: Tail) {
        match *self {}
    }
}

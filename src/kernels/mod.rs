//! The loops that candle has no operator for, each behind a candle custom op and beside its reference test.

mod roi_align;

pub use roi_align::RoiAlign;

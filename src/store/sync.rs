//! What shared structures are made of, in one place: a model checker puts its own here.
//!
//! `tests/loom` builds the files of this module with another `sync` beside them, so that nothing in
//! them has to know.

pub(super) use core::hint::spin_loop;
pub(super) use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};
pub(super) use std::sync::Arc;

/// So often a reader looks before it gives up. Between two tries a writer is done with a place
/// several times over, unless it lost its processor right there, and then no number would do.
pub(super) const TRIES_MAX: u32 = 8;

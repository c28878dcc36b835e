//! In the place of `src/store/sync.rs`: the same names, as the model checker has them.

pub(super) use loom::hint::spin_loop;
pub(super) use loom::sync::Arc;
pub(super) use loom::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};

/// A second try shows what a third would.
pub(super) const TRIES_MAX: u32 = 2;

//! What threads share of the product, built from its own files with the atomics of a model checker.
//!
//! `store::sync` is the one file that is another here. The models are in `tests`, a file for each
//! shared structure; a new one is a line in `store` and such a file.

#[path = "../../../src/time/mod.rs"]
pub mod time;

#[path = "../../../src/store"]
pub mod store {
    mod bell;
    mod board;
    mod directory;
    mod gate;
    mod hash;
    mod look;
    mod prefetch;
    #[path = "../../tests/loom/src/sync.rs"]
    mod sync;

    pub use self::bell::Bell;
    pub use self::board::Board;
    pub use self::directory::{Directory, Full, Reader, Unsettled};
    pub use self::gate::Gate;
    pub use self::hash::{Fingerprint, HashKey, Hasher};
    pub use self::look::write_then_look;
    pub use self::prefetch::prefetch;
}

/// Tries every order in which the threads of `model` can run with so many preemptions at most, and
/// every value that each load may return.
pub fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

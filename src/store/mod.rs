//! Fixed-capacity storage: allocated and touched once, without protocol words.

mod allocator;
mod directory;
mod hash;
mod pool;
mod prefetch;
mod slab;

pub use self::allocator::{CountingAllocator, allocations_count, allocations_of_this_thread};
pub use self::directory::{Directory, Full};
pub use self::hash::{Fingerprint, HashKey, Hasher};
pub use self::pool::{Buffer, Pool};
pub use self::prefetch::prefetch;
pub use self::slab::Slab;

//! Fixed-capacity storage: allocated and touched once, without protocol words.

mod allocator;
mod bell;
mod board;
mod directory;
mod gate;
mod hash;
mod intervals;
pub mod lanes;
mod look;
mod pool;
mod prefetch;
mod slab;
mod sync;

pub use self::allocator::{CountingAllocator, allocations_count, allocations_of_this_thread};
pub use self::bell::Bell;
pub use self::board::Board;
pub use self::directory::{Directory, Full, Reader, Unsettled};
pub use self::gate::Gate;
pub use self::hash::{Fingerprint, HashKey, Hasher};
pub use self::intervals::{Inserted, Intervals, Octets};
pub use self::look::write_then_look;
pub use self::pool::{Buffer, Pool};
pub use self::prefetch::prefetch;
pub use self::slab::Slab;

//! A race that ThreadSanitizer must see: if it does not, what it says of the rest is worth nothing.

use std::cell::UnsafeCell;
use std::thread;

struct Shared(UnsafeCell<u64>);

// SAFETY: it is not, which is what this program is for.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared(UnsafeCell::new(0));

fn main() {
    let add = || {
        for _ in 0..1_000 {
            // SAFETY: the same.
            unsafe { *SHARED.0.get() += 1 };
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        scope.spawn(add);
        scope.spawn(add);
    });
    // SAFETY: both threads have ended.
    println!("{}", unsafe { *SHARED.0.get() });
}

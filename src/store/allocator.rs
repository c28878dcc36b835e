//! The allocator of the process, which counts what a thread allocates after its start.
//!
//! The packet path allocates nothing once it runs. This is how the process knows that it is so:
//! a worker starts the count of its thread when everything it needs is there, and publishes it.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Starts the count of this thread at zero.
pub fn allocations_count() {
    COUNT.set(Some(0));
}

/// How often this thread has allocated since it began to count; `None` if it never did, which is
/// also what a process sees that runs on another allocator.
pub fn allocations_of_this_thread() -> Option<u64> {
    COUNT.get()
}

fn note() {
    // A thread that is being torn down has no count left, and no work either.
    let _ = COUNT.try_with(|count| count.set(count.get().map(|n| n + 1)));
}

/// Passes everything on to `A` and counts.
#[derive(Debug, Default)]
pub struct CountingAllocator<A>(pub A);

// SAFETY: every method forwards its arguments unchanged to the allocator inside.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, octets: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promise about `octets`, `layout` and `size` is passed on.
        unsafe { self.0.realloc(octets, layout, size) }
    }

    unsafe fn dealloc(&self, octets: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise about `octets` and `layout` is passed on.
        unsafe { self.0.dealloc(octets, layout) }
    }
}

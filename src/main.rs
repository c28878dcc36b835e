//! The `roger` program.

#[global_allocator]
static ALLOCATOR: roger::store::CountingAllocator<mimalloc::MiMalloc> =
    roger::store::CountingAllocator(mimalloc::MiMalloc);

fn main() {}

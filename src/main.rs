//! The `roger` program.

use std::process::ExitCode;

/// Counts what a worker allocates after its start, which must be nothing.
#[global_allocator]
static ALLOCATOR: roger::store::CountingAllocator<mimalloc::MiMalloc> =
    roger::store::CountingAllocator(mimalloc::MiMalloc);

fn main() -> ExitCode {
    roger::cli::main(std::env::args_os())
}

//! Two threads that each write and then look for what the other one has written.

use super::sync::{SeqCst, fence};

/// To be called between the two: of any two threads that do so, at least one sees what the other has
/// written. Without it each may look before its own writing shows, and neither sees anything.
pub fn write_then_look() {
    fence(SeqCst);
}

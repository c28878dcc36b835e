//! Identifiers: small, `Copy`, and impossible to mix up.

use core::marker::PhantomData;

/// A worker, which is also a core and a shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorkerId(pub u8);

/// Which of the two worlds somebody belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Where short messages come from and delivery reports go to.
    Sms,
    /// Where instant messages go to and evidence comes from.
    Im,
}

/// How an instant message is sent (RFC 3428 and RFC 4975; TS 29.311 section 6.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// In a MESSAGE.
    Pager,
    /// In a session of its own.
    Large,
}

/// A slab entry and the life of it that is meant.
///
/// The generation guards against a late packet finding a reused entry.
#[derive(Debug)]
pub struct Handle<T> {
    /// Position in the slab.
    pub index: u32,
    /// Which occupant of that position.
    pub generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    /// Names occupant `generation` of position `index`.
    pub const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation, kind: PhantomData }
    }
}

impl<T> Copy for Handle<T> {}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Eq for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}

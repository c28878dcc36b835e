//! Who may send to a URI now, and who waits for a turn.
//!
//! A client must not start a MESSAGE outside of a dialog while an earlier one to the same URI is
//! pending (RFC 3428 section 8). A record that wants to send enters under the fingerprint of its
//! sending identity and Request-URI: it goes at once, or waits behind those that entered before it
//! under the same key. When one that counts as pending leaves, its turn passes to the first that
//! waits, which is then *ready*: it counts as pending from there on, and stands in one list with the
//! ready ones of all keys until it is taken from there.
//!
//! All of it lies in three arrays that are made at the start: a node for each record, a group for
//! each key in use (never more than records), and the buckets in which groups are found. Lists are
//! rings through the nodes, so that the first leads to the last and any one can step out.

use crate::store::Fingerprint;

const NONE: u32 = u32::MAX;

/// What came of [`Pending::enter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entered {
    /// It has its turn and counts as pending.
    Go,
    /// It waits until [`Pending::next_ready`] names it.
    Wait,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Out,
    Waiting,
    Ready,
    Pending,
}

/// Where a record is: two bits of state, thirty of group, and its neighbours in the ring of those
/// who wait in that group or of those who are ready.
#[derive(Clone, Copy, Debug)]
struct Node {
    place: u32,
    next: u32,
    previous: u32,
}

impl Node {
    const OUT: Self = Self { place: 0, next: NONE, previous: NONE };

    const fn state(self) -> State {
        match self.place & 3 {
            0 => State::Out,
            1 => State::Waiting,
            2 => State::Ready,
            _ => State::Pending,
        }
    }

    const fn group(self) -> usize {
        (self.place >> 2) as usize
    }

    const fn put(&mut self, state: State, group: u32) {
        self.place = group << 2 | state as u32;
    }
}

/// A key under which at least one is pending.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The fingerprint in four parts: words of eight octets would cost four octets of padding.
    key: [u32; 4],
    /// The first that waits.
    first: u32,
    /// The next group in the same bucket, or the next that is free.
    next: u32,
    pending: u16,
    max: u16,
}

impl Group {
    const FREE: Self = Self { key: [0; 4], first: NONE, next: NONE, pending: 0, max: 1 };
}

/// Octets for each record at most: there are less than two buckets for each.
const RECORD_SIZE_MAX: usize = 48;
const _: () =
    assert!(size_of::<Node>() + size_of::<Group>() + 2 * size_of::<u32>() <= RECORD_SIZE_MAX);

/// See the head of this file.
#[derive(Debug)]
pub struct Pending {
    nodes: Box<[Node]>,
    groups: Box<[Group]>,
    /// The first group of each.
    buckets: Box<[u32]>,
    free_group: u32,
    first_ready: u32,
    waiting: u32,
}

impl Pending {
    /// Octets for each record at most.
    pub const RECORD_SIZE: usize = RECORD_SIZE_MAX;

    /// Allocates and touches room for records with an index below `capacity`.
    pub fn new(capacity: u32) -> Self {
        assert!(capacity > 0);
        // The state takes two bits of the word that the group is kept in.
        assert!(capacity <= 1 << 30);
        let group = |index: u32| Group {
            next: if index + 1 == capacity { NONE } else { index + 1 },
            ..Group::FREE
        };
        Self {
            nodes: core::iter::repeat_n(Node::OUT, capacity as usize).collect(),
            groups: (0..capacity).map(group).collect(),
            buckets: core::iter::repeat_n(NONE, (capacity as usize).next_power_of_two()).collect(),
            free_group: 0,
            first_ready: NONE,
            waiting: 0,
        }
    }

    /// Octets of all arrays.
    pub fn size(&self) -> usize {
        size_of_val(&*self.nodes) + size_of_val(&*self.groups) + size_of_val(&*self.buckets)
    }

    /// The record at `index` asks to send under `key`, under which at most `max` may be pending (0 is
    /// taken for 1: nobody would ever come to an end). Who comes last says what `max` is.
    ///
    /// # Panics
    ///
    /// Panics if it has entered already and not left, or if `index` is not below the capacity.
    pub fn enter(&mut self, index: u32, key: Fingerprint, max: u16) -> Entered {
        assert!(self.state(index) == State::Out);
        let at = self.find(key).unwrap_or_else(|| self.make_group(key));
        let group = &mut self.groups[at as usize];
        group.max = max.max(1);
        if group.first == NONE && group.pending < group.max {
            group.pending += 1;
            self.nodes[index as usize].put(State::Pending, at);
            return Entered::Go;
        }
        self.nodes[index as usize].put(State::Waiting, at);
        group.first = join(&mut self.nodes, group.first, index);
        self.waiting += 1;
        // A `max` that has grown gives turns to those who came first.
        self.pass_on(at);
        Entered::Wait
    }

    /// The record at `index` ends, whether it is pending or waits. A turn that this frees passes to
    /// the first that waits under the same key. Nothing happens if it has not entered.
    pub fn leave(&mut self, index: u32) {
        let Some(node) = self.nodes.get(index as usize).copied() else { return };
        let at = node.group();
        match node.state() {
            State::Out => return,
            State::Waiting => {
                let group = &mut self.groups[at];
                group.first = part(&mut self.nodes, group.first, index);
                self.waiting -= 1;
            }
            State::Ready => {
                self.first_ready = part(&mut self.nodes, self.first_ready, index);
                self.groups[at].pending -= 1;
            }
            State::Pending => self.groups[at].pending -= 1,
        }
        self.nodes[index as usize] = Node::OUT;
        let at = node.place >> 2;
        self.pass_on(at);
        if self.groups[at as usize].pending == 0 {
            self.drop_group(at);
        }
    }

    /// Takes the record that has been ready for longest.
    pub fn next_ready(&mut self) -> Option<u32> {
        let index = self.first_ready;
        let node = self.nodes.get(index as usize).copied()?;
        self.first_ready = part(&mut self.nodes, index, index);
        self.nodes[index as usize].put(State::Pending, node.place >> 2);
        Some(index)
    }

    /// Whether a record is ready.
    pub const fn has_ready(&self) -> bool {
        self.first_ready != NONE
    }

    /// Whether the record at `index` waits for its turn and is not ready.
    pub fn is_waiting(&self, index: u32) -> bool {
        self.state(index) == State::Waiting
    }

    /// How many wait for their turn and are not ready.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    fn state(&self, index: u32) -> State {
        self.nodes.get(index as usize).map_or(State::Out, |node| node.state())
    }

    /// Makes those ready who have a turn now: one, unless `max` has grown.
    fn pass_on(&mut self, at: u32) {
        let group = &mut self.groups[at as usize];
        while group.first != NONE && group.pending < group.max {
            let index = group.first;
            group.first = part(&mut self.nodes, index, index);
            group.pending += 1;
            self.waiting -= 1;
            self.nodes[index as usize].put(State::Ready, at);
            self.first_ready = join(&mut self.nodes, self.first_ready, index);
        }
    }

    /// Keys are hashes under a secret key, so that any of their bits choose a bucket evenly.
    fn bucket(&self, key: [u32; 4]) -> usize {
        key[0] as usize & (self.buckets.len() - 1)
    }

    fn find(&self, key: Fingerprint) -> Option<u32> {
        let key = parts(key);
        let mut at = self.buckets[self.bucket(key)];
        while let Some(group) = self.groups.get(at as usize) {
            if group.key == key {
                return Some(at);
            }
            at = group.next;
        }
        None
    }

    /// There is one free: whoever asks for it is in no group, and every other record in one at most.
    fn make_group(&mut self, key: Fingerprint) -> u32 {
        let key = parts(key);
        let bucket = self.bucket(key);
        let at = self.free_group;
        let group = &mut self.groups[at as usize];
        self.free_group = group.next;
        *group = Group { key, next: self.buckets[bucket], ..Group::FREE };
        self.buckets[bucket] = at;
        at
    }

    fn drop_group(&mut self, at: u32) {
        let Group { key, next, first, .. } = self.groups[at as usize];
        assert!(first == NONE);
        let bucket = self.bucket(key);
        let mut link = &mut self.buckets[bucket];
        while *link != at {
            link = &mut self.groups[*link as usize].next;
        }
        *link = next;
        self.groups[at as usize].next = self.free_group;
        self.free_group = at;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
const fn parts(key: Fingerprint) -> [u32; 4] {
    let [low, high] = key.0;
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}

/// Puts a node at the end of the ring that begins at `first`; returns where that begins now.
fn join(nodes: &mut [Node], first: u32, index: u32) -> u32 {
    if first == NONE {
        let node = &mut nodes[index as usize];
        (node.next, node.previous) = (index, index);
        return index;
    }
    let last = nodes[first as usize].previous;
    let node = &mut nodes[index as usize];
    (node.next, node.previous) = (first, last);
    nodes[last as usize].next = index;
    nodes[first as usize].previous = index;
    first
}

/// Takes a node out of the ring that begins at `first`; returns where that begins now.
fn part(nodes: &mut [Node], first: u32, index: u32) -> u32 {
    let Node { next, previous, .. } = nodes[index as usize];
    if next == index {
        return NONE;
    }
    nodes[previous as usize].next = next;
    nodes[next as usize].previous = previous;
    if first == index { next } else { first }
}

#[cfg(test)]
mod tests;

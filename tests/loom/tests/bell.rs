//! A bell between one thread that sleeps and others that bring it work.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use roger_loom::check;
use roger_loom::store::Bell;

/// Work that was brought, and wakings.
struct Room {
    bell: Bell,
    work: AtomicUsize,
    wakings: AtomicUsize,
}

impl Room {
    fn new() -> Arc<Self> {
        let (work, wakings) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { bell: Bell::new(), work, wakings })
    }

    fn bring(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        if self.bell.ring() {
            self.wakings.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lies down, and says whether it sleeps: it has seen no work.
    fn rest(&self) -> bool {
        self.bell.lie_down();
        let sleeps = self.work.load(Ordering::Relaxed) == 0;
        if !sleeps {
            self.bell.get_up();
        }
        sleeps
    }
}

fn bringers(count: usize) {
    check(3, move || {
        let room = Room::new();
        let others: Vec<_> = (0..count)
            .map(|_| {
                let room = Arc::clone(&room);
                thread::spawn(move || room.bring())
            })
            .collect();
        let sleeps = room.rest();
        for other in others {
            other.join().unwrap();
        }
        let wakings = room.wakings.load(Ordering::Relaxed);
        // Who sleeps beside work is woken, and by one of those who brought it.
        assert!(!sleeps || wakings > 0, "asleep beside work");
        assert!(wakings <= 1, "woken twice");
    });
}

#[test]
fn nobody_sleeps_beside_work() {
    bringers(1);
}

#[test]
fn one_of_two_who_bring_work_wakes() {
    bringers(2);
}

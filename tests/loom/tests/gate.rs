//! A gate through which one thread speaks until another shuts it.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use roger_loom::check;
use roger_loom::store::Gate;

#[test]
fn after_it_was_shut_nothing_is_said_and_all_that_was_said_is_seen() {
    check(3, || {
        let (gate, said) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
        let speaker = {
            let (gate, said) = (Arc::clone(&gate), Arc::clone(&said));
            thread::spawn(move || {
                for _ in 0..2 {
                    if gate.enter() {
                        let so_far = said.load(Ordering::Relaxed);
                        said.store(so_far + 1, Ordering::Relaxed);
                        gate.leave();
                    }
                }
            })
        };
        let is_silent = gate.shut();
        let heard = said.load(Ordering::Relaxed);
        let is_silent_later = gate.shut();
        let heard_later = said.load(Ordering::Relaxed);
        speaker.join().unwrap();
        let all = said.load(Ordering::Relaxed);
        assert!(!is_silent || is_silent_later, "who is silent stays silent");
        assert!(!is_silent || heard == all, "something was said after it was shut");
        assert!(!is_silent_later || heard_later == all, "something was said after it was left");
        // Who was in it says that, and no more.
        assert!(all <= heard + 1, "it was entered after it was shut");
        assert!(!gate.enter());
    });
}

#[test]
fn two_who_shut_it_agree() {
    check(3, || {
        let gate = Arc::new(Gate::new());
        let other = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.shut())
        };
        let entered = gate.enter();
        if entered {
            gate.leave();
        }
        let is_silent = gate.shut();
        other.join().unwrap();
        assert!(is_silent && !gate.enter());
    });
}

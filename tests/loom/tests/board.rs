//! A board beside a gate: what one thread leaves behind when its word is taken from it.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use roger_loom::check;
use roger_loom::store::{Board, Gate};

#[test]
fn whatever_is_seen_of_a_place_was_written_to_it_as_a_whole() {
    check(3, || {
        let board = Arc::new(Board::<3>::new(1));
        let writer = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                board.write(0, [1, 10, 100]);
                board.mark(0, 2);
            })
        };
        for words in board.read() {
            assert!(matches!(words, [1 | 3, 10, 100]), "{words:?}");
        }
        writer.join().unwrap();
        assert_eq!(board.read().next(), Some([3, 10, 100]));
    });
}

#[test]
fn of_all_that_a_silenced_thread_has_spoken_about_the_board_is_true() {
    check(3, || {
        let (board, gate) = (Arc::new(Board::<3>::new(2)), Arc::new(Gate::new()));
        let spoken = Arc::new(AtomicUsize::new(0));
        let speaker = {
            let (board, gate, spoken) =
                (Arc::clone(&board), Arc::clone(&gate), Arc::clone(&spoken));
            thread::spawn(move || {
                board.write(0, [1, 10, 100]);
                board.write(1, [1, 20, 200]);
                if !gate.enter() {
                    return;
                }
                spoken.store(1, Ordering::Relaxed);
                gate.leave();
                board.clear(0);
                if !gate.enter() {
                    return;
                }
                spoken.store(2, Ordering::Relaxed);
                gate.leave();
            })
        };
        if gate.shut() {
            let left: Vec<_> = board.read().collect();
            match spoken.load(Ordering::Relaxed) {
                0 => {}
                1 => assert!(left.contains(&[1, 20, 200]), "{left:?}"),
                _ => assert_eq!(left, [[1, 20, 200]]),
            }
        }
        speaker.join().unwrap();
    });
}

//! What the supervisor makes of what it sees.

use super::*;
use crate::oam::verdicts::line::tests::account;
use crate::worker::crew;

fn rounds(accounts: Option<Arc<ArrayQueue<Account>>>) -> (Rounds, Receiver<Loss>) {
    let (tell, losses) = channel::unbounded();
    let charge = Charge {
        crew: crew(1),
        common: crate::engine::Neighbours::none(0).common(),
        tally: Arc::new(Tally::new(0)),
        accounts,
        rules: Box::new([]),
        lost_after_ms: 500,
        steered: Vec::new(),
        doors: Vec::new(),
    };
    let watches = Box::new([(Watch::default(), 0)]);
    (Rounds { charge, watches, lost: Arc::default(), tell }, losses)
}

#[test]
fn whose_word_was_taken_is_lost_even_if_it_takes_one_more_turn() {
    let (mut rounds, losses) = rounds(None);
    let crew = Arc::clone(&rounds.charge.crew);
    assert!(crew[0].gate().enter());
    while rounds.watches[0].1 == 0 {
        rounds.look();
    }
    // It was waited for in the middle of sending, and goes on: its word is gone all the same.
    crew[0].gate().leave();
    crew[0].show_turn();
    rounds.look();
    let loss = losses.try_recv().unwrap();
    assert!(!loss.was_speaking && !loss.is_broken);
}

#[test]
fn accounts_that_nobody_takes_are_counted_and_hold_nobody_up() {
    let ring = Arc::new(ArrayQueue::new(1));
    let (rounds, _losses) = rounds(Some(ring));
    let began = now();
    for _ in 0..100 {
        rounds.tell(&account(b"a", b"b"), began.plus_ms(50));
    }
    assert!(now() < began.plus_ms(1_000));
    assert_eq!(rounds.charge.tally.counters.read(Counter::AccountsLost), 99);
}

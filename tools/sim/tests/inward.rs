//! Messages of IM users to the SMS side: quiet seeds, the same story twice, every bug found.

use sim::{InwardBug, run_inward};

#[test]
fn no_seed_breaks_an_invariant() {
    let (mut messages, mut delivered, mut repeated) = (0, 0, 0);
    for seed in 0..60 {
        let outcome = run_inward(seed, None, false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        messages += outcome.messages;
        delivered += outcome.delivered;
        repeated += outcome.repeated;
    }
    // Enough is delivered, enough is not, and enough comes again.
    assert!(messages > 200 && repeated > 50, "{messages} {repeated}");
    assert!(delivered > messages / 3 && delivered < messages, "{delivered} of {messages}");
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in [1, 2] {
        let (first, again) = (run_inward(seed, None, true), run_inward(seed, None, true));
        assert_eq!((first.digest, &first.trace), (again.digest, &again.trace));
        assert_eq!(run_inward(seed, None, false).digest, first.digest, "telling changes nothing");
    }
    assert_ne!(run_inward(1, None, false).digest, run_inward(2, None, false).digest);
}

#[test]
fn every_planted_bug_is_found() {
    for bug in InwardBug::ALL {
        let is_found = |seed| run_inward(seed, Some(bug), false).violation.is_some();
        assert!((0..300).any(is_found), "{} is not found", bug.name());
    }
}

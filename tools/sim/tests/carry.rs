//! Sessions that pass: quiet seeds, the same story twice, every bug found.

use sim::{CarryBug, run_carry};

#[test]
fn no_seed_breaks_an_invariant() {
    let (mut joined, mut messages, mut whole, mut delivered, mut reports) = (0, 0, 0, 0, 0);
    for seed in 0..60 {
        let outcome = run_carry(seed, None, false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        joined += outcome.joined;
        messages += outcome.messages;
        whole += outcome.whole;
        delivered += outcome.delivered;
        reports += outcome.reports;
    }
    // Enough passes, enough does not, and enough is known of what does.
    assert!(joined > 60 && messages > 200 && reports > 30, "{joined} {messages} {reports}");
    assert!(whole > messages / 3 && whole < messages, "{whole} of {messages}");
    assert!(delivered > whole / 3 && delivered < whole, "{delivered} of {whole}");
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in [1, 2] {
        let (first, again) = (run_carry(seed, None, true), run_carry(seed, None, true));
        assert_eq!((first.digest, &first.trace), (again.digest, &again.trace));
        assert_eq!(run_carry(seed, None, false).digest, first.digest, "telling changes nothing");
    }
    assert_ne!(run_carry(1, None, false).digest, run_carry(2, None, false).digest);
}

#[test]
fn every_planted_bug_is_found() {
    for bug in CarryBug::ALL {
        let is_found = |seed| run_carry(seed, Some(bug), false).violation.is_some();
        assert!((0..300).any(is_found), "{} is not found", bug.name());
    }
}

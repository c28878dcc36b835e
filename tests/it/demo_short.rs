//! The demo from end to end: both actors and the engine in one process, every outcome injected.

use roger::cli::Terminal;
use roger::cli::demo::{Arguments, Driver, Screen, run};
use roger::load::short::case::Case;
use roger::load::summary::Summary;
use roger::load::truth::Outcome;

fn play(driver: Driver) -> (Summary, String) {
    let arguments = Arguments { rate: 268, seconds: 1, driver, seed: 7, json: false };
    let mut shown = Vec::new();
    let terminal = Terminal { output: false, error: false };
    let summary = run(&arguments, &mut Screen::new(&mut shown, terminal)).unwrap();
    (summary, String::from_utf8(shown).unwrap())
}

#[track_caller]
fn expect_every_outcome_and_no_fault(summary: &Summary) {
    assert!(summary.is_clean(), "{:#?}", summary.faults);
    let shorts = summary.short_messages.sums;
    let trunk = &summary.trunk;
    assert_eq!((summary.messages, shorts.messages, trunk.messages), (268, 67, 67));
    assert_eq!(trunk.verdicts.values().sum::<u64>(), 67);
    assert_eq!(trunk.verdicts[&'D'], trunk.responses[&200]);
    assert!(trunk.responses.len() > 1 && trunk.faulty == 0);
    // A short message has a verdict for each time that it is submitted.
    assert_eq!(summary.verdicts, 134 + 67 + shorts.submissions);
    assert_eq!(summary.reports + summary.silent, 134 + 67 + shorts.submissions);
    assert_eq!((summary.refused, summary.strays), (0, 0));
    let injected: Vec<Outcome> = summary.rows.iter().map(|row| row.outcome).collect();
    assert_eq!(injected, Outcome::ALL);
    let contradicting = &summary.rows[Outcome::OkThenBusy as usize];
    assert_eq!(summary.contradicted, contradicting.messages);
}

#[track_caller]
fn expect_every_case_of_a_short_message(summary: &Summary) {
    let sums = summary.short_messages.sums;
    assert_eq!(sums.rp_acks + sums.rp_errors, sums.submissions);
    assert_eq!((sums.false_rp_acks, sums.lost_reports, sums.seen_twice), (0, 0, 0));
    let rows = &summary.short_messages.rows;
    let injected: Vec<Case> = rows.iter().map(|row| row.case).collect();
    assert_eq!(injected, Case::ALL);
    for row in rows {
        assert_eq!(row.sums.seen > 0, row.case.right().seen, "{:?}", row.case);
    }
    // What was proved or refused for good is absorbed, what was not is tried again.
    for case in [Case::NotFound, Case::ErrorLost, Case::AckLost, Case::InFlight] {
        assert_eq!(
            rows[case as usize].sums.absorbed, rows[case as usize].sums.messages,
            "{case:?}"
        );
    }
    let silent = &rows[Case::SilentHas as usize].sums;
    assert_eq!((silent.recognised, silent.seen), (silent.messages, silent.messages));
    assert_eq!(rows[Case::Unavailable as usize].sums.absorbed, 0);
}

#[test]
fn every_message_of_the_demo_gets_its_one_right_verdict() {
    let (summary, shown) = play(Driver::Auto);
    expect_every_outcome_and_no_fault(&summary);
    expect_every_case_of_a_short_message(&summary);
    assert!(shown.contains("--MESSAGE--> engine :"), "{shown}");
    assert!(shown.contains("--RP-DATA--> engine :"), "{shown}");
    assert!(shown.contains("==MESSAGE==> engine :"), "{shown}");
}

#[test]
fn the_portable_driver_comes_to_the_same() {
    let (summary, shown) = play(Driver::Mmsg);
    expect_every_outcome_and_no_fault(&summary);
    expect_every_case_of_a_short_message(&summary);
    assert!(shown.contains("mmsg"), "{shown}");
}

//! The demo from end to end: both actors and the engine in one process, every outcome injected.

use roger::cli::Terminal;
use roger::cli::demo::{Arguments, Driver, Screen, run};
use roger::load::summary::Summary;
use roger::load::truth::Outcome;

fn play(driver: Driver) -> (Summary, String) {
    let arguments = Arguments { rate: 200, seconds: 1, driver, seed: 7, json: false };
    let mut shown = Vec::new();
    let terminal = Terminal { output: false, error: false };
    let summary = run(&arguments, &mut Screen::new(&mut shown, terminal)).unwrap();
    (summary, String::from_utf8(shown).unwrap())
}

#[track_caller]
fn expect_every_outcome_and_no_fault(summary: &Summary) {
    assert!(summary.is_clean(), "{:#?}", summary.faults);
    assert_eq!((summary.messages, summary.verdicts), (200, 200));
    assert_eq!(summary.reports + summary.silent, 200);
    assert_eq!((summary.refused, summary.strays), (0, 0));
    let injected: Vec<Outcome> = summary.rows.iter().map(|row| row.outcome).collect();
    assert_eq!(injected, Outcome::ALL);
    let contradicting = &summary.rows[Outcome::OkThenBusy as usize];
    assert_eq!(summary.contradicted, contradicting.messages);
}

#[test]
fn every_message_of_the_demo_gets_its_one_right_verdict() {
    let (summary, shown) = play(Driver::Auto);
    expect_every_outcome_and_no_fault(&summary);
    assert!(shown.contains("--MESSAGE--> engine :"), "{shown}");
}

#[test]
fn the_portable_driver_comes_to_the_same() {
    let (summary, shown) = play(Driver::Mmsg);
    expect_every_outcome_and_no_fault(&summary);
    assert!(shown.contains("mmsg"), "{shown}");
}

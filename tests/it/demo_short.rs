//! The demo from end to end: both actors and the engine in one process, every outcome injected.

use roger::cli::Terminal;
use roger::cli::demo::{Arguments, Driver, Screen, run};
use roger::load::short::case::Case;
use roger::load::summary::Summary;
use roger::load::truth::Outcome;

fn play(driver: Driver) -> (Summary, String) {
    let arguments = Arguments { rate: 300, seconds: 1, driver, seed: 7, json: false };
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
    assert_eq!((summary.messages, shorts.messages, trunk.messages), (300, 75, 75));
    assert_eq!(trunk.verdicts.values().sum::<u64>(), 75);
    assert_eq!(trunk.verdicts[&'D'], trunk.responses[&200]);
    assert!(trunk.responses.len() > 1 && trunk.faulty == 0);
    // A short message has a verdict for each time that it is submitted.
    assert_eq!(summary.verdicts, 150 + 75 + shorts.submissions);
    assert_eq!(summary.reports + summary.silent, 150 + 75 + shorts.submissions);
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
    let (rows, large) = (&summary.short_messages.rows, &summary.large_messages);
    let injected: Vec<Case> = rows.iter().chain(&large.rows).map(|row| row.case).collect();
    assert_eq!(injected, Case::ALL);
    for row in rows.iter().chain(&large.rows) {
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

/// Each session was needed, and what came in a second one was known by its Message-ID.
#[track_caller]
fn expect_every_session(summary: &Summary) {
    let large = &summary.large_messages;
    for row in &large.rows {
        let (case, sums) = (row.case, &row.sums);
        let sessions = sums.messages * u64::from(case.right().transactions);
        assert_eq!((sums.sessions, sums.false_rp_acks), (sessions, 0), "{case:?}");
        let is_known = matches!(case, Case::SessionSilent | Case::SessionLost);
        assert_eq!(sums.recognised, if is_known { sums.messages } else { 0 }, "{case:?}");
    }
    let count = |name| summary.counters.get(name).copied().unwrap_or_default();
    assert_eq!(count("large_messages") + count("large_again"), large.sums.sessions);
    let switched = &large.rows[Case::SessionSwitched as usize - Case::Session as usize];
    assert_eq!(count("pager_to_large"), switched.sums.messages);
}

#[test]
fn every_message_of_the_demo_gets_its_one_right_verdict() {
    let (summary, shown) = play(Driver::Auto);
    expect_every_outcome_and_no_fault(&summary);
    expect_every_case_of_a_short_message(&summary);
    expect_every_session(&summary);
    assert!(shown.contains("--MESSAGE--> engine :"), "{shown}");
    assert!(shown.contains("--RP-DATA--> engine :"), "{shown}");
    assert!(shown.contains("==MESSAGE==> engine :"), "{shown}");
    assert!(shown.contains("--INVITE---> im :"), "{shown}");
}

#[test]
fn the_portable_driver_comes_to_the_same() {
    let (summary, shown) = play(Driver::Mmsg);
    expect_every_outcome_and_no_fault(&summary);
    expect_every_case_of_a_short_message(&summary);
    expect_every_session(&summary);
    assert!(shown.contains("mmsg"), "{shown}");
}

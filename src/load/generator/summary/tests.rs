//! Runs whose figures stand, and runs whose figures do not.

use super::*;
use crate::load::generator::message::tests::plan;
use crate::load::generator::plan::{End, Pace};
use crate::load::generator::record::Seen;
use crate::load::generator::{answerer, sender};
use crate::load::table::Paint;

/// A thousand messages in a second, all answered 200 after 100 us, each a microsecond late.
struct Case {
    records: Records,
    total: Interval,
}

impl Case {
    fn new() -> Self {
        let end = Some(End { address: "127.0.0.1:0".parse().unwrap(), cpu: None });
        let plan =
            Plan { pace: Pace::new(1_000_000), sender: end, answerer: end, ..plan(Profile::Pager) };
        let mut total = Interval::new().unwrap();
        let sent = (0..1_000).map(|number| {
            let mut sent = Sent {
                at_ns: 1 + plan.pace.due_ns(number),
                status: 200,
                transmissions: 1,
                finals: 1,
                ..Sent::default()
            };
            sent.flags.set(Flags::RESOLVED);
            sent
        });
        total.intended.record_n(101_000, 1_000).unwrap();
        total.actual.record_n(100_000, 1_000).unwrap();
        total.pacing.record_n(1_000, 1_000).unwrap();
        let sender = sender::Told {
            sent: sent.collect(),
            start_ns: 0,
            last_ns: 0,
            counts: sender::Counts::default(),
            interval: Box::new(Interval::new().unwrap()),
            cost: Cost { cpu_ns: 2_000_000, allocations: Some(0), ..Cost::default() },
        };
        let seen = Seen { mark: 1, status: 200, transactions: 1, ..Seen::default() };
        let answerer = answerer::Told {
            seen: core::iter::repeat_n(seen, 1_000).collect(),
            counts: answerer::Counts::default(),
            sessions: None,
            cost: Cost::default(),
        };
        let records = Records { plan, sender: Some(sender), answerer: Some(answerer) };
        Self { records, total }
    }

    fn sent(&mut self, number: usize) -> &mut Sent {
        &mut self.records.sender.as_mut().unwrap().sent[number]
    }

    fn seen(&mut self, number: usize) -> &mut Seen {
        &mut self.records.answerer.as_mut().unwrap().seen[number]
    }

    fn sum_up(&self, thresholds: &[&str]) -> Summary {
        let thresholds: Vec<Threshold> =
            thresholds.iter().map(|text| text.parse().unwrap()).collect();
        Summary::of(&self.records, &self.total, &thresholds, false)
    }

    fn sentence(&self) -> (bool, String) {
        let standing = self.sum_up(&[]).standing.unwrap();
        (standing.stands, standing.sentence)
    }
}

#[test]
fn a_quiet_generator_has_figures_that_stand() {
    let summary = Case::new().sum_up(&["p99.9>1ms", "lost>0", "achieved<99%"]);
    assert!(summary.ok && summary.thresholds.iter().all(|result| result.pass));
    let standing = summary.standing.as_ref().unwrap();
    assert!(standing.stands);
    assert_eq!(standing.sentence, "generator noise is below 1% of p99.9: figures stand");
    assert_eq!((summary.delivered, summary.messages), (1_000, 1_000));
    assert!((summary.achieved.unwrap() - 1_000.0).abs() < 0.1);
}

#[test]
fn a_late_generator_has_none() {
    let mut case = Case::new();
    case.total.pacing.record_n(15_000, 2).unwrap();
    assert_eq!(case.sentence().1, "generator noise is below 15% of p99.9: figures stand");
    case.total.pacing.record_n(16_000, 10).unwrap();
    let (stands, sentence) = case.sentence();
    assert!(!stands && sentence.contains("the generator itself was late"), "{sentence}");
}

#[test]
fn a_generator_that_loses_or_falls_behind_has_none() {
    let mut case = Case::new();
    case.records.answerer.as_mut().unwrap().cost.socket_drops = 7;
    assert_eq!(
        case.sentence(),
        (false, String::from("figures do not stand: the generator itself dropped 7 datagrams"))
    );
    let mut case = Case::new();
    case.sent(999).at_ns += 20_000_000;
    let (stands, sentence) = case.sentence();
    assert!(!stands && sentence.contains("achieved 98.0 % of the rate"), "{sentence}");
}

#[test]
fn without_an_answer_nothing_stands_and_no_latency_passes() {
    let mut case = Case::new();
    case.total = Interval::new().unwrap();
    let summary = case.sum_up(&["p50>1s"]);
    assert_eq!((summary.standing.as_ref(), summary.ok), (None, false));
    assert!(summary.text(Paint::Plain).contains("no message was answered while it was measured"));
}

#[test]
fn whoever_plays_one_end_believes_what_he_is_told() {
    let mut case = Case::new();
    (case.records.answerer, case.records.plan.answerer) = (None, None);
    assert!(case.sum_up(&[]).ok);
    case.sent(7).status = 480;
    let summary = case.sum_up(&[]);
    assert_eq!((summary.ok, summary.failed, &summary.audit), (false, 1, &None));
    // With the other end beside it, a failure that was asked for is none of the tested system's.
    let mut case = Case::new();
    (case.sent(7).status, case.seen(7).status) = (480, 480);
    assert!(case.sum_up(&[]).ok);
    assert!(!case.sum_up(&["failed>0"]).ok);
}

#[test]
fn what_is_open_when_a_run_is_ended_is_not_judged() {
    let mut case = Case::new();
    *case.sent(999) = Sent { at_ns: case.sent(999).at_ns, ..Sent::default() };
    *case.seen(999) = Seen::default();
    let summary = case.sum_up(&["unresolved>0"]);
    assert_eq!((summary.unfinished, summary.outcomes["unfinished"]), (1, 1));
    assert_eq!(summary.audit.as_ref().unwrap().judged, 999);
    assert!(summary.audit.as_ref().unwrap().is_clean() && !summary.ok);
}

#[test]
fn warm_up_is_audited_and_not_paced() {
    let mut case = Case::new();
    case.records.plan.warmup = 400;
    case.sent(3).at_ns = 2;
    case.seen(3).transactions = 2;
    let summary = case.sum_up(&[]);
    assert_eq!((summary.warmup, summary.audit.unwrap().duplicated), (400, 1));
    assert!((summary.seconds - 0.599).abs() < 1e-6, "{}", summary.seconds);
}

#[test]
fn the_page_says_what_matters_first() {
    let mut case = Case::new();
    case.seen(5).status = 480;
    let summary = case.sum_up(&["p50>50us"]);
    let text = summary.text(Paint::Plain);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("pager over udp to 10.0.0.1:5060   1,000 msg/s offered"));
    assert!(lines[2].starts_with("verdict (intended)        101us"), "{}", lines[2]);
    assert!(lines[2].ends_with("<- use this one"));
    assert!(lines[4].starts_with("generator pacing err      1.0us"), "{}", lines[4]);
    assert!(text.contains("lost 0   duplicated 0   false 1   wrong 0"), "{text}");
    assert!(text.contains(
        "message 5 (beef0001-00000005): false; the sender was told 200, the answering end said 480"
    ));
    assert!(text.contains("threshold p50>50us: 101us, FAIL"), "{text}");
    assert!(text.contains("sender: 2.00 us of cpu a message"), "{text}");
}

#[test]
fn whoever_only_answers_says_how_often() {
    let mut case = Case::new();
    (case.records.sender, case.records.plan.sender) = (None, None);
    let counts = &mut case.records.answerer.as_mut().unwrap().counts;
    (counts.requests, counts.silent) = (1_003, 3);
    counts.responses = core::iter::repeat_n(0, 201).collect();
    counts.responses[200] = 1_000;
    let summary = case.sum_up(&[]);
    assert_eq!(summary.audit, None);
    let text = summary.text(Paint::Plain);
    assert!(text.starts_with("requests 1,003   left unanswered 3   (200: 1,000)\n"), "{text}");
}

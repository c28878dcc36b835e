//! A test for each hazard of a Large Message that is a matter of counting.

use super::super::*;
use super::positions;
use crate::delivery::coverage::{Effect, End, Observation, Standing};
use crate::delivery::{Evidence, Mapping, MsrpRole, Role, Verdict};

/// A message of which chunks of these sizes were sent, the last one with `$`, and handed over.
fn sent(sizes: &[u64], role: MsrpRole, uris: usize) -> Ledger {
    let mut ledger = Ledger::new(sizes.iter().sum(), role, uris);
    send(&mut ledger, sizes);
    ledger
}

fn send(ledger: &mut Ledger, sizes: &[u64]) {
    for (place, size) in sizes.iter().enumerate() {
        let number = ledger.begin().unwrap();
        ledger.write(*size);
        ledger.end(if place + 1 == sizes.len() { End::Last } else { End::More });
        assert!(ledger.hand_over(number));
    }
}

fn direct(sizes: &[u64]) -> Ledger {
    sent(sizes, MsrpRole::Endpoint, 1)
}

fn relayed(sizes: &[u64]) -> Ledger {
    sent(sizes, MsrpRole::Relay, 1)
}

fn ok(ledger: &mut Ledger, chunk: u32) -> Effect {
    response(ledger, chunk, 200)
}

fn response(ledger: &mut Ledger, chunk: u32, status: u16) -> Effect {
    ledger.observe(Observation::Response { chunk, status })
}

/// A REPORT with a Byte-Range as it stands on the wire.
fn report(ledger: &mut Ledger, range: (u64, u64), total: u64, status: u16) -> Effect {
    let octets = Some(positions(range.0, range.1));
    ledger.observe(Observation::Report { octets, total: Some(total), status })
}

/// The verdict if it ends now, with the evidence.
#[track_caller]
fn decided(ledger: &Ledger) -> (Verdict, Evidence) {
    let (Standing::Decided(evidence) | Standing::Again(evidence)) = ledger.standing() else {
        panic!("{:?}", ledger.standing())
    };
    (Verdict::from_evidence(evidence, &Mapping::of(Role::Proxy)), evidence)
}

fn waited(mut ledger: Ledger) -> (Verdict, Evidence) {
    ledger.observe(Observation::Waited);
    decided(&ledger)
}

const ROLES: [(MsrpRole, usize); 5] = [
    (MsrpRole::Endpoint, 1),
    (MsrpRole::Endpoint, 2),
    (MsrpRole::Relay, 1),
    (MsrpRole::ImServer, 1),
    (MsrpRole::B2bua, 1),
];

#[test]
fn h15_200_to_the_last_chunk_is_no_proof_without_those_before_it() {
    let mut ledger = direct(&[10, 10, 10]);
    ok(&mut ledger, 0);
    ok(&mut ledger, 2);
    assert_eq!(ledger.standing(), Standing::Open);
    assert_eq!(ledger.acknowledged().first_gap(), Octets::new(10, 20));
    let mut silent = ledger;
    silent.observe(Observation::Timeout { chunk: 1 });
    assert_eq!(waited(silent), (Verdict::Unknown, Evidence::MsrpTimeout));
    response(&mut ledger, 1, 403);
    assert_eq!(decided(&ledger), (Verdict::Permanent, Evidence::MsrpResponse(403)));
}

#[test]
fn h16_chunks_are_acknowledged_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut ledger = direct(&[10, 10, 10]);
        for (place, chunk) in order.into_iter().enumerate() {
            assert_eq!(ledger.standing(), Standing::Open, "{order:?} {place}");
            ok(&mut ledger, chunk);
        }
        assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Acknowledged), "{order:?}");
    }
}

#[test]
fn h17_reports_with_a_gap_prove_nothing_until_it_is_filled() {
    let mut ledger = relayed(&[4_096, 3_904]);
    report(&mut ledger, (1, 4_000), 8_000, 200);
    report(&mut ledger, (4_097, 8_000), 8_000, 200);
    ok(&mut ledger, 0);
    ok(&mut ledger, 1);
    assert_eq!(ledger.standing(), Standing::Accepted);
    assert_eq!(ledger.reported().first_gap(), Some(positions(4_001, 4_096)));
    assert_eq!(waited(ledger), (Verdict::Unknown, Evidence::ReportMissing));
    report(&mut ledger, (4_001, 4_096), 8_000, 200);
    assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Reported));
}

#[test]
fn h18_what_is_beyond_the_total_does_not_count_and_a_smaller_total_is_suspicious() {
    let mut ledger = relayed(&[100]);
    report(&mut ledger, (51, 200), 200, 200);
    assert_eq!(ledger.reported().intervals(), [Octets::new(50, 100).unwrap()]);
    assert_eq!(ledger.reported().beyond(), 1);
    assert_eq!(report(&mut ledger, (101, 150), 100, 200), Effect::Stray);
    assert_eq!(ledger.reported().beyond(), 2);
    assert_eq!(ledger.standing(), Standing::Open);
    // A total that is smaller: the recipient has something else than was sent.
    let mut smaller = direct(&[50, 50]);
    ok(&mut smaller, 0);
    report(&mut smaller, (1, 50), 50, 200);
    assert!(smaller.reported().is_empty());
    ok(&mut smaller, 1);
    assert_eq!(smaller.standing(), Standing::Doubtful);
    assert_eq!(waited(smaller), (Verdict::Unknown, Evidence::ReportMissing));
    // The whole message named as it is, is proof after all.
    report(&mut smaller, (1, 100), 100, 200);
    assert_eq!(decided(&smaller), (Verdict::Delivered, Evidence::Reported));
    // So is one whose total is not known to the recipient.
    let mut unnamed = relayed(&[100]);
    let octets = Some(positions(1, 100));
    unnamed.observe(Observation::Report { octets, total: None, status: 200 });
    assert_eq!(decided(&unnamed), (Verdict::Delivered, Evidence::Reported));
}

#[test]
fn h19_a_report_before_the_200_is_enough_and_a_later_error_contradicts_it() {
    for (role, uris) in ROLES {
        let mut ledger = sent(&[10, 10], role, uris);
        report(&mut ledger, (1, 20), 20, 200);
        assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Reported));
        assert_eq!(response(&mut ledger, 1, 403), Effect::Contradiction);
        assert_eq!(ledger.contradictions(), 1);
        assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Reported));
        assert!(!ledger.contradicts(Verdict::Delivered));
    }
}

#[test]
fn h20_a_failure_report_counts_before_the_verdict_and_contradicts_after_it() {
    let mut before = direct(&[10, 10]);
    ok(&mut before, 0);
    report(&mut before, (1, 10), 20, 403);
    ok(&mut before, 1);
    assert_eq!(decided(&before), (Verdict::Permanent, Evidence::MsrpReport(403)));
    let mut after = direct(&[10, 10]);
    ok(&mut after, 0);
    ok(&mut after, 1);
    assert_eq!(decided(&after).0, Verdict::Delivered);
    assert!(!after.contradicts(Verdict::Delivered));
    report(&mut after, (1, 10), 20, 403);
    assert!(after.contradicts(Verdict::Delivered));
    // A failure that was told, and proof of delivery after it.
    let mut told = relayed(&[10]);
    report(&mut told, (1, 10), 10, 403);
    assert_eq!(decided(&told).0, Verdict::Permanent);
    assert!(!told.contradicts(Verdict::Permanent));
    report(&mut told, (1, 10), 10, 200);
    assert!(told.contradicts(Verdict::Permanent) && told.contradicts(Verdict::Temporary));
    assert!(!told.contradicts(Verdict::Unknown));
    // 408 says that somebody does not know: it takes nothing back, but no D follows from it either.
    let mut unknown = direct(&[10]);
    report(&mut unknown, (1, 10), 10, 408);
    ok(&mut unknown, 0);
    assert_eq!(unknown.standing(), Standing::Doubtful);
    assert_eq!(waited(unknown), (Verdict::Unknown, Evidence::MsrpReport(408)));
}

#[test]
fn h21_success_for_the_same_octets_undoes_a_failure() {
    for status in [403, 408, 481] {
        let mut ledger = relayed(&[10, 10]);
        report(&mut ledger, (1, 10), 20, status);
        report(&mut ledger, (11, 20), 20, 200);
        let standing = ledger.standing();
        assert_ne!(standing, Standing::Open, "{status}");
        report(&mut ledger, (1, 5), 20, 200);
        assert_eq!(ledger.standing(), standing, "half of it: {status}");
        report(&mut ledger, (1, 10), 20, 200);
        assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Reported), "{status}");
    }
    // Of a message without octets too: the stronger word counts.
    let mut empty = relayed(&[0]);
    report(&mut empty, (1, 0), 0, 403);
    assert_eq!(decided(&empty).0, Verdict::Permanent);
    report(&mut empty, (1, 0), 0, 200);
    assert_eq!(decided(&empty), (Verdict::Delivered, Evidence::Reported));
    assert!(!empty.contradicts(Verdict::Delivered));
    // Of two failures both must be undone, and undone they leave the rest open.
    let mut two = relayed(&[10, 10, 10]);
    report(&mut two, (1, 10), 30, 403);
    report(&mut two, (11, 20), 30, 413);
    report(&mut two, (1, 10), 30, 200);
    assert_eq!(decided(&two), (Verdict::Permanent, Evidence::MsrpReport(403)));
    report(&mut two, (11, 20), 30, 200);
    assert_eq!(two.standing(), Standing::Open);
}

#[test]
fn h22_repeated_reports_and_responses_change_nothing() {
    let mut ledger = relayed(&[10, 10]);
    assert_eq!(report(&mut ledger, (1, 12), 20, 200), Effect::Counted);
    ok(&mut ledger, 0);
    let once = ledger;
    for _ in 0..1_000 {
        assert_eq!(report(&mut ledger, (1, 12), 20, 200), Effect::Repeated);
        assert_eq!(report(&mut ledger, (3, 7), 20, 200), Effect::Repeated);
        assert_eq!(ok(&mut ledger, 0), Effect::Repeated);
        assert_eq!(response(&mut ledger, 0, 403), Effect::Repeated);
    }
    assert_eq!(ledger, once);
}

#[test]
fn h23_what_belongs_to_another_session_is_about_nothing_here() {
    let mut ledger = direct(&[10]);
    ledger.observe(Observation::Lost);
    ledger.again(MsrpRole::Endpoint, 1);
    let fresh = ledger;
    // The old chunk's number is not given again, so its late response finds nothing.
    assert_eq!(response(&mut ledger, 0, 403), Effect::Repeated);
    assert_eq!(ok(&mut ledger, 7), Effect::Stray);
    assert_eq!(report(&mut ledger, (1, 10), 10, 200), Effect::Stray);
    assert_eq!(ledger, fresh);
    assert_eq!(ledger.begin(), Some(1));
}

#[test]
fn h24_no_200_for_30_s_is_unknown_only_when_the_wait_for_reports_is_over() {
    let mut ledger = direct(&[10, 10]);
    assert_eq!(ledger.observe(Observation::Timeout { chunk: 0 }), Effect::Counted);
    assert_eq!(ledger.observe(Observation::Timeout { chunk: 0 }), Effect::Repeated);
    assert_eq!(ledger.standing(), Standing::Doubtful);
    // The 200 comes late, and all is as it was.
    let mut late = ledger;
    ok(&mut late, 0);
    assert_eq!(late.standing(), Standing::Open);
    assert_eq!(waited(late), (Verdict::Unknown, Evidence::ReportMissing));
    ledger.observe(Observation::Timeout { chunk: 1 });
    assert_eq!(waited(ledger), (Verdict::Unknown, Evidence::MsrpTimeout));
    // The peer never says 200, but it reports.
    let mut reported = ledger;
    report(&mut reported, (1, 20), 20, 200);
    assert_eq!(decided(&reported), (Verdict::Delivered, Evidence::Reported));
    // The 200s come late.
    ok(&mut ledger, 0);
    ok(&mut ledger, 1);
    assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Acknowledged));
}

#[test]
fn h24_408_from_a_relay_is_what_a_time_out_of_our_own_is() {
    let mut ledger = relayed(&[10]);
    ok(&mut ledger, 0);
    report(&mut ledger, (1, 10), 10, 408);
    assert_eq!(ledger.standing(), Standing::Doubtful);
    ledger.observe(Observation::Waited);
    assert_eq!(ledger.standing(), Standing::Again(Evidence::MsrpReport(408)));
}

#[test]
fn h26_200_from_a_relay_to_everything_proves_acceptance_only() {
    for (role, uris) in ROLES {
        let mut ledger = sent(&[10, 10], role, uris);
        ok(&mut ledger, 0);
        ok(&mut ledger, 1);
        if (role, uris) == (MsrpRole::Endpoint, 1) {
            assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Acknowledged));
            continue;
        }
        assert_eq!(ledger.standing(), Standing::Accepted, "{role:?} {uris}");
        assert_eq!(waited(ledger), (Verdict::Unknown, Evidence::ReportMissing));
        report(&mut ledger, (1, 20), 20, 200);
        assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Reported));
    }
    assert!(!MsrpRole::Endpoint.speaks_for_the_recipient(0));
}

#[test]
fn h27_an_end_between_the_last_octet_and_its_200_is_unknown_and_sent_again_once() {
    for (end, evidence) in
        [(Observation::Bye, Evidence::ByeAfterEnd), (Observation::Lost, Evidence::ConnectionLost)]
    {
        let mut ledger = direct(&[10, 10]);
        ok(&mut ledger, 0);
        ledger.observe(end);
        assert_eq!(ledger.standing(), Standing::Again(evidence));
        assert_eq!(decided(&ledger).0, Verdict::Unknown);
        ledger.again(MsrpRole::Endpoint, 1);
        assert!(ledger.acknowledged().is_empty());
        let mut delivered = ledger;
        send(&mut delivered, &[20]);
        ok(&mut delivered, 2);
        assert_eq!(decided(&delivered), (Verdict::Delivered, Evidence::Acknowledged));
        // Whatever else comes of the second one, the first may have been delivered.
        let mut refused = ledger;
        send(&mut refused, &[20]);
        response(&mut refused, 2, 413);
        assert_eq!(decided(&refused), (Verdict::Unknown, evidence));
        let mut lost = ledger;
        send(&mut lost, &[20]);
        lost.observe(end);
        assert_eq!(lost.standing(), Standing::Decided(evidence));
        let mut unused = ledger;
        unused.observe(Observation::Lost);
        assert_eq!(unused.standing(), Standing::Decided(evidence), "not a third time");
        assert_eq!(ledger.settled(Evidence::InviteTimeout), evidence);
    }
}

#[test]
fn h27_what_is_certain_of_the_first_session_stays_certain() {
    // 481: it was not taken. Nothing of the first session is left in doubt.
    let mut ledger = direct(&[10]);
    response(&mut ledger, 0, 481);
    assert_eq!(ledger.standing(), Standing::Again(Evidence::MsrpResponse(481)));
    ledger.again(MsrpRole::Endpoint, 1);
    assert_eq!(ledger.settled(Evidence::InviteTimeout), Evidence::InviteTimeout);
    send(&mut ledger, &[10]);
    response(&mut ledger, 1, 481);
    assert_eq!(ledger.standing(), Standing::Decided(Evidence::MsrpResponse(481)));
}

#[test]
fn h28_what_came_before_the_end_counts_before_it() {
    let mut ledger = direct(&[10]);
    ok(&mut ledger, 0);
    ledger.observe(Observation::Lost);
    ledger.observe(Observation::Bye);
    assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Acknowledged));
}

#[test]
fn h29_an_aborted_message_was_certainly_not_delivered() {
    let mut ledger = Ledger::new(20, MsrpRole::Endpoint, 1);
    ledger.begin();
    ledger.write(10);
    ledger.end(End::More);
    ok(&mut ledger, 0);
    ledger.begin();
    ledger.write(10);
    ledger.end(End::Abort);
    ledger.hand_over(1);
    ok(&mut ledger, 1);
    assert!(ledger.acknowledged().is_covered());
    report(&mut ledger, (1, 20), 20, 200);
    assert_eq!(decided(&ledger), (Verdict::Temporary, Evidence::Aborted));
    assert_eq!(ledger.begin(), None);
    ledger.observe(Observation::Lost);
    assert_eq!(decided(&ledger), (Verdict::Temporary, Evidence::Aborted));
}

#[test]
fn h30_413_stops_the_message_whatever_was_acknowledged() {
    for status in [413, 415] {
        let mut ledger = Ledger::new(30, MsrpRole::Endpoint, 1);
        ledger.begin();
        ledger.write(10);
        ledger.end(End::More);
        ledger.begin();
        ledger.write(5);
        assert!(!ledger.is_to_be_aborted());
        response(&mut ledger, 1, status);
        assert_eq!(ok(&mut ledger, 0), Effect::Counted);
        assert!(ledger.is_to_be_aborted());
        assert_eq!(decided(&ledger), (Verdict::Permanent, Evidence::MsrpResponse(status)));
        ledger.end(End::Abort);
        assert!(!ledger.is_to_be_aborted());
        assert_eq!(ledger.begin(), None);
        assert_eq!(decided(&ledger), (Verdict::Permanent, Evidence::MsrpResponse(status)));
        // Between two chunks nothing is open that could be aborted, and nothing more is begun.
        let mut between = Ledger::new(30, MsrpRole::Endpoint, 1);
        between.begin();
        between.write(10);
        between.end(End::More);
        response(&mut between, 0, status);
        assert!(!between.is_to_be_aborted());
        assert_eq!(between.begin(), None);
    }
}

/// RFC 4975 sections 7.3.2 and 10.5: whatever failed, no more of the message is sent in this session, even
/// if success is reported of the same octets afterwards.
#[test]
fn what_failed_is_sent_no_further() {
    for status in [403, 408, 413, 481] {
        let mut ledger = Ledger::new(30, MsrpRole::Relay, 1);
        ledger.begin();
        ledger.write(10);
        ledger.end(End::More);
        ledger.begin();
        ledger.write(1);
        report(&mut ledger, (1, 10), 30, status);
        assert!(ledger.is_to_be_aborted(), "{status}");
        report(&mut ledger, (1, 10), 30, 200);
        assert!(ledger.is_to_be_aborted(), "{status}");
        let mut undone = ledger;
        undone.end(End::Abort);
        assert_eq!(decided(&undone), (Verdict::Temporary, Evidence::Aborted), "{status}");
        assert_eq!(ledger.standing(), Standing::Open);
        ledger.end(End::More);
        assert_eq!(ledger.begin(), None, "{status}");
    }
    // 408 to a part of it, and ended: certain, because it was never whole, and sent again because of 408.
    for (end, evidence) in [(End::Abort, Evidence::Aborted), (End::More, Evidence::Unfinished)] {
        let mut ledger = Ledger::new(30, MsrpRole::Endpoint, 1);
        ledger.begin();
        ledger.write(10);
        response(&mut ledger, 0, 408);
        ledger.end(end);
        ledger.observe(Observation::Waited);
        assert_eq!(ledger.standing(), Standing::Again(evidence));
        assert_eq!(decided(&ledger).0, Verdict::Temporary);
        ledger.again(MsrpRole::Endpoint, 1);
        assert_eq!(ledger.settled(Evidence::InviteTimeout), Evidence::InviteTimeout);
    }
    // So is what nobody answers while the rest waits for its turn.
    let mut silent = Ledger::new(30, MsrpRole::Endpoint, 1);
    silent.begin();
    silent.write(10);
    silent.end(End::More);
    silent.hand_over(0);
    silent.observe(Observation::Timeout { chunk: 0 });
    assert!(silent.begin().is_some(), "a time-out stops nothing");
    silent.observe(Observation::Waited);
    assert_eq!(silent.standing(), Standing::Again(Evidence::Unfinished));
    response(&mut silent, 0, 200);
    assert_eq!(silent.standing(), Standing::Decided(Evidence::Unfinished), "nobody is silent");
}

#[test]
fn h52_the_timer_of_a_chunk_begins_when_its_last_octet_was_handed_over() {
    let mut ledger = Ledger::new(10, MsrpRole::Endpoint, 1);
    ledger.begin();
    ledger.write(10);
    assert_eq!(ledger.observe(Observation::Timeout { chunk: 0 }), Effect::Stray);
    assert!(!ledger.hand_over(0), "its end has not been given");
    ledger.end(End::Last);
    assert_eq!(ledger.observe(Observation::Timeout { chunk: 0 }), Effect::Stray);
    assert_eq!(ledger.standing(), Standing::Open);
    let mut answered = ledger;
    ok(&mut answered, 0);
    assert!(!answered.hand_over(0), "answered before the kernel said that it was sent");
    assert!(ledger.hand_over(0));
    assert!(!ledger.hand_over(0));
    assert_eq!(ledger.observe(Observation::Timeout { chunk: 0 }), Effect::Counted);
}

#[test]
fn a_session_that_ends_early_leaves_it_certain() {
    let mut unused = Ledger::new(10, MsrpRole::Endpoint, 1);
    unused.begin();
    unused.write(10);
    unused.end(End::Last);
    let mut never = unused;
    unused.observe(Observation::Lost);
    assert_eq!(unused.standing(), Standing::Again(Evidence::ConnectionUnused));
    assert_eq!(decided(&unused).0, Verdict::Temporary);
    never.observe(Observation::NeverConnected);
    assert_eq!(never.standing(), Standing::Decided(Evidence::NeverConnected));
    // One octet has left: nobody knows.
    for end in [Observation::Lost, Observation::NeverConnected] {
        let mut partly = Ledger::new(10, MsrpRole::Endpoint, 1);
        partly.begin();
        partly.write(1);
        partly.depart();
        partly.observe(end);
        assert_eq!(decided(&partly), (Verdict::Unknown, Evidence::ConnectionLost));
    }
    let mut bye = Ledger::new(20, MsrpRole::Endpoint, 1);
    bye.begin();
    bye.write(20);
    bye.depart();
    let mut over = bye;
    bye.observe(Observation::Bye);
    assert_eq!(bye.standing(), Standing::Decided(Evidence::ByeBeforeEnd));
    assert_eq!(decided(&bye).0, Verdict::Temporary);
    over.observe(Observation::Waited);
    assert_eq!(decided(&over), (Verdict::Temporary, Evidence::Unfinished));
}

#[test]
fn a_report_without_a_byte_range_is_about_all_that_was_sent() {
    let whole = Observation::Report { octets: None, total: None, status: 200 };
    let mut ledger = relayed(&[10, 10]);
    ledger.observe(whole);
    assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Reported));
    // While it is being sent, it speaks of what was sent, and never of the end.
    let mut early = Ledger::new(20, MsrpRole::Relay, 1);
    assert_eq!(early.observe(whole), Effect::Stray);
    early.begin();
    early.write(20);
    assert_eq!(early.observe(whole), Effect::Counted);
    assert_eq!(early.reported().first_gap(), Some(positions(20, 20)));
    early.end(End::Last);
    assert_eq!(early.standing(), Standing::Open);
    early.observe(whole);
    assert_eq!(decided(&early), (Verdict::Delivered, Evidence::Reported));
}

#[test]
fn nobody_can_speak_of_what_was_not_sent() {
    for status in [200, 403, 408] {
        let mut ledger = Ledger::new(20, MsrpRole::Relay, 1);
        ledger.begin();
        ledger.write(10);
        ledger.end(End::More);
        let before = ledger;
        assert_eq!(report(&mut ledger, (11, 20), 20, status), Effect::Stray, "{status}");
        assert_eq!(ledger, before);
    }
    let mut open = Ledger::new(20, MsrpRole::Endpoint, 1);
    open.begin();
    open.write(20);
    assert_eq!(ok(&mut open, 0), Effect::Stray, "its end was not sent");
    open.end(End::Last);
    assert_eq!(open.standing(), Standing::Open);
    ok(&mut open, 0);
    assert_eq!(decided(&open).0, Verdict::Delivered);
}

#[test]
fn the_recipient_may_acknowledge_some_of_it_and_report_the_rest() {
    let mut ledger = direct(&[10, 10]);
    ok(&mut ledger, 1);
    report(&mut ledger, (1, 10), 20, 200);
    assert_eq!(decided(&ledger), (Verdict::Delivered, Evidence::Acknowledged));
    // The other way round the end is not acknowledged, but everything reported or nothing.
    let mut other = direct(&[10, 10]);
    ok(&mut other, 0);
    report(&mut other, (11, 20), 20, 200);
    assert_eq!(other.standing(), Standing::Open);
    // A relay's word and the recipient's do not make one.
    let mut relay = relayed(&[10, 10]);
    ok(&mut relay, 1);
    report(&mut relay, (1, 10), 20, 200);
    assert_eq!(relay.standing(), Standing::Accepted);
    assert_eq!(waited(relay), (Verdict::Unknown, Evidence::ReportMissing));
}

#[test]
fn of_several_failures_the_first_certain_one_counts() {
    let mut ledger = direct(&[10, 10, 10]);
    response(&mut ledger, 0, 408);
    assert_eq!(ledger.standing(), Standing::Doubtful);
    response(&mut ledger, 1, 481);
    response(&mut ledger, 2, 403);
    assert_eq!(decided(&ledger), (Verdict::Temporary, Evidence::MsrpResponse(481)));
    // A success that is not known is no success, and no failure either.
    let mut strange = direct(&[10]);
    response(&mut strange, 0, 202);
    assert_eq!(waited(strange), (Verdict::Unknown, Evidence::MsrpResponse(202)));
}

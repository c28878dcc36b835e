//! Sessions that pass through, and messages of which only REPORTs can prove that they were received: how long
//! these are waited for.

use roger::delivery::{Evidence, MsrpRole, Verdict};
use roger::engine::Serving;

use crate::bench::{Bench, IM, IM_2};
use crate::carry::{BOBS, Joined, carry_setup, inside, statuses};
use crate::large::{answer_ok, later, only, response, value};

fn joined() -> Joined {
    Joined::with(Bench::with(carry_setup(MsrpRole::Relay)))
}

/// Alice has sent `m000{number}`, and the relay has it; what it got.
fn accepted(joined: &mut Joined, number: u32) -> String {
    let fields =
        format!("Message-ID: m000{number}\r\nByte-Range: 1-5/5\r\nSuccess-Report: yes\r\n");
    let written = joined.alice_sends(&format!("al0{number}"), &fields, "Hello", '$');
    joined.bob(&response(&written, "200 OK"));
    assert!(joined.alice_gets().starts_with(&format!("MSRP al0{number} 200")));
    assert!(joined.bench.engine.pop_account().is_none());
    written
}

fn report(written: &str) -> String {
    let (to, id) = (value(written, "From-Path"), value(written, "Message-ID"));
    format!(
        "MSRP rep{id} REPORT\r\nTo-Path: {to}\r\nFrom-Path: {BOBS}\r\nMessage-ID: {id}\r\n\
         Byte-Range: 1-5/5\r\nStatus: 000 200 OK\r\n-------rep{id}$\r\n"
    )
}

#[test]
fn where_nobody_new_is_served_reports_are_waited_for() {
    let mut joined = joined();
    let written = accepted(&mut joined, 1);
    joined.bench.engine.serve(Serving::Refusing);
    assert!(later(&mut joined.bench, 5_000).is_empty(), "no BYE");
    assert_eq!(joined.bench.engine.open(), 1);
    joined.bob(&report(&written));
    assert!(joined.alice_gets().contains(" REPORT\r\n"));
    assert_eq!((joined.account().evidence, joined.bench.engine.open()), (Evidence::Reported, 0));
    joined.over(&[IM, IM_2]);
}

#[test]
fn where_a_session_has_ended_no_report_is_waited_for() {
    for is_caller in [true, false] {
        let mut joined = joined();
        let written: Vec<String> = (1..=3).map(|number| accepted(&mut joined, number)).collect();
        // One of those in the middle is reported: the others wait on.
        joined.bob(&report(&written[1]));
        assert!(joined.alice_gets().contains(" REPORT\r\n"));
        assert_eq!((joined.account().verdict, joined.bench.engine.open()), (Verdict::Delivered, 2));
        let (from, dialog) = match is_caller {
            true => (IM_2, joined.ok.clone()),
            false => (IM, joined.ack.clone()),
        };
        let left = joined.bench.give(from, &inside("BYE", 9, &dialog, is_caller));
        assert_eq!(statuses(&left), [200]);
        // What was said before the BYE of Bob may come for a second (hazard H28).
        if !is_caller {
            assert!(later(&mut joined.bench, 900).is_empty());
            joined.bob(&report(&written[0]));
            assert_eq!(joined.account().evidence, Evidence::Reported);
        }
        let left = later(&mut joined.bench, 200);
        let bye = only(&left, "BYE").clone();
        for _ in 0..if is_caller { 2 } else { 1 } {
            let account = joined.bench.engine.pop_account().unwrap();
            assert_eq!(account.evidence, Evidence::ReportMissing, "nobody can say any more");
        }
        assert!(joined.bench.engine.pop_account().is_none());
        assert_eq!(joined.bench.engine.open(), 0);
        let to = bye.to.to_string();
        joined.bench.give(&to, &answer_ok(&bye));
        later(&mut joined.bench, 40_000);
        assert_eq!(joined.bench.engine.calls(), 0);
    }
}

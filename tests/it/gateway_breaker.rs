//! What somebody who wants to break the promise would try with short messages: one message, one
//! verdict, its proof.

use crate::bench::{Bench, IM, IM_2, SBC, answer, answer_with, endpoint};
use crate::short::{Short, ack, answered, bench_with, error, rp_of, submit, taken};
use roger::delivery::{Answer, Report, Role, RpResult, Verdict};
use roger::engine::{Credentials, Setup};
use roger::metrics::Counter;
use roger::packet::SendError;

const SBC_2: &str = "10.0.0.2:5060";
const IM_3: &str = "10.0.0.11:5070";

/// A submission whose request has other words in the place of some.
fn with(short: &Short, from: &str, to: &str) -> Vec<u8> {
    let octets = short.request();
    let at = octets.windows(from.len()).position(|some| some == from.as_bytes()).unwrap();
    [&octets[..at], to.as_bytes(), &octets[at + from.len()..]].concat()
}

/// No report could repeat them, so nothing is taken that would need one.
#[test]
fn addresses_and_call_ids_that_no_report_has_room_for_are_refused() {
    let long = |len: usize| "a".repeat(len);
    let text = Short::new(1, "a");
    let refused = Short { dcs: 0x04, ..text.clone() };
    for (what, from, to) in [
        ("recipient", "+15550000001@im", format!("{}@im", long(1_100))),
        ("recipient", "+15550000001@im", format!("{}@im", long(7_000))),
        ("sender", "sip:sc@sbc", format!("sip:{}@sbc", long(1_100))),
        ("sender", "sip:sc@sbc", format!("sip:{}@sbc", long(7_000))),
    ] {
        for short in [&text, &refused] {
            let mut bench = Bench::new();
            let left = bench.give_octets(SBC, &with(short, from, &to), false);
            assert_eq!((left.len(), left[0].status()), (1, 513), "{what}");
            assert_eq!((bench.engine.open(), bench.count(Counter::RefusedSize)), (0, 1));
        }
    }
    // The longest that fit are reported, with everything at its longest.
    let mut short = Short::new(1, "a");
    short.recipient = format!("sip:{}@im", long(1_000));
    short.fields = format!("P-Asserted-Identity: <sip:{}@sb>\r\n", long(1_000));
    let mut sizes = [0; 2];
    for len in (500..5_900).step_by(60) {
        let mut bench = Bench::new();
        let request = with(&short, "rp-1@sbc", &format!("{}@sbc", long(len)));
        let left = bench.give_octets(SBC, &request, false);
        match left[0].status() {
            200 => {
                assert_eq!(rp_of(&left[1])[..4], [0x04, 1, 0x01, 111], "too long for a pager");
                assert!(left[1].field("in-reply-to").starts_with(&long(len)));
                sizes[0] += 1;
            }
            status => {
                assert_eq!((status, left.len()), (513, 1));
                sizes[1] += 1;
            }
        }
    }
    assert!(sizes[0] > 20 && sizes[1] > 5, "{sizes:?}");
}

/// R8: a report that nobody can be sent is no report.
#[test]
fn nothing_is_taken_from_whom_no_report_can_reach() {
    const FAR: &str = "[2001:db8::1]:5060";
    let mut bench = bench_with(|setup| setup.peers[0].addresses = Box::new([endpoint(FAR)]));
    let left = bench.give_octets(FAR, &Short::new(1, "a").request(), false);
    assert_eq!((left.len(), left[0].status()), (1, 403), "{}", left[0].text);
    assert_eq!(bench.engine.open(), 0);
}

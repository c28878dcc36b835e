//! Messages to the SMS side with several workers: whatever comes where, the worker that has the session decides.

use roger::delivery::{Form, Report, Verdict};
use roger::engine::home_of;
use roger::metrics::Counter;
use roger::packet::{Flow, StreamEvent};
use roger::store::HashKey;

use crate::bench::{IM, Left, SBC, answer, endpoint};
use crate::inward::{BOTH, MSRP_SOCKET, Talk, connection, inward_setup, mr, of_sc, offer, replies};
use crate::inward::{request, rp_report};
use crate::workers::Group;

const WORKERS: usize = 3;

/// Who sends, as the IM side vouches for it: his home is another one than that of the From.
const ASSERTED: &str = "sip:alice@im.example";
const FROM: &str = "sip:anonymous@anonymous.invalid";

fn home(uri: &str) -> usize {
    home_of(HashKey([11, 12]), uri.as_bytes(), WORKERS).0.into()
}

fn group() -> Group {
    Group::with(WORKERS, |setup| *setup = inward_setup(16))
}

fn asserted(text: &str) -> String {
    text.replace(ASSERTED, FROM)
        .replace("Max-Forwards", &format!("P-Asserted-Identity: <{ASSERTED}>\r\nMax-Forwards"))
}

/// The session, whose INVITE and ACK come to these workers.
fn open(group: &mut Group, number: u32, (invite_at, ack_at): (usize, usize)) -> Talk {
    let left = group.give(invite_at, IM, &asserted(&offer(number, "text/plain")));
    assert_eq!(left[0].status(), 200, "{left:#?}");
    let sdp = String::from_utf8(left[0].body().to_vec()).unwrap();
    let path = sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let to = left[0].field("to").to_owned();
    let id = connection(u16::try_from(number).unwrap());
    let talk = Talk { number, id, path, to };
    assert!(group.give(ack_at, IM, &talk.request("ACK", 1).replace(ASSERTED, FROM)).is_empty());
    let bench = &mut group.benches[home(ASSERTED)];
    let flow = Flow::to(endpoint("10.0.0.9:7777"), MSRP_SOCKET);
    let flow = Flow { connection: Some(id), ..flow };
    let event = StreamEvent::Opened { flow, owner: None, certificate: None, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    talk
}

/// The only MESSAGE among what has left, answered at this worker.
fn submitted(group: &mut Group, at: usize, left: &[Left]) -> Left {
    let parts: Vec<_> = left.iter().filter(|left| left.is_request()).collect();
    assert_eq!(parts.len(), 1, "{left:#?}");
    assert!(group.give(at, SBC, &answer(&parts[0].text, "202 Accepted")).is_empty());
    parts[0].clone()
}

/// A MESSAGE of the SC at this worker; what leaves because of it, beside its 200.
fn of_sc_at(group: &mut Group, at: usize, number: u32, reply: &str, rp: &[u8]) -> Vec<Left> {
    let mut left = group.benches[at].give_octets(SBC, &of_sc(number, reply, rp), false);
    left.extend(group.hand());
    assert_eq!(left.remove(0).status(), 200);
    left.extend(group.wait_ms(4));
    left
}

#[test]
fn answers_and_reports_find_their_message_from_every_worker() {
    assert_ne!(home(ASSERTED), home(FROM), "else nothing is shown");
    for shift in 0..WORKERS {
        let mut group = group();
        let at = |place: usize| (place + shift) % WORKERS;
        let talk = open(&mut group, 1, (at(0), at(1)));
        let left = talk.whole(&mut group.benches[home(ASSERTED)], BOTH, &"a".repeat(300));
        let first = submitted(&mut group, at(2), &left);
        let left = of_sc_at(&mut group, at(1), 1, &replies(&first), &[3, mr(&first)]);
        let second = submitted(&mut group, at(0), &left);
        assert!(of_sc_at(&mut group, at(0), 2, &replies(&second), &[3, mr(&second)]).is_empty());
        for (number, part) in [(3, &first), (4, &second)] {
            assert!(group.accounts().is_empty());
            let left = of_sc_at(&mut group, at(2), number, "", &rp_report(mr(part), 0));
            group.give(at(1), SBC, &answer(&left[0].text, "200 OK"));
        }
        let report = talk.heard(&mut group.benches[home(ASSERTED)]);
        assert!(report.contains("Status: 000 200"), "{report}");
        let accounts = group.accounts();
        assert_eq!(accounts.len(), 1, "{accounts:#?}");
        assert_eq!(
            (accounts[0].verdict, accounts[0].report),
            (Verdict::Delivered, Report::Msrp(200))
        );
        assert_eq!(accounts[0].form, Form::Submitted { parts: 2, taken: 2, received: 2 });
        // It comes again by way of another worker.
        let again = open(&mut group, 2, (at(2), at(0)));
        let left = again.whole(&mut group.benches[home(ASSERTED)], BOTH, &"a".repeat(300));
        assert!(left.is_empty(), "{left:#?}");
        assert_eq!(group.count(Counter::SubmissionsRepeated), 1);
        let bye = again.request("BYE", 2).replace(ASSERTED, FROM);
        assert_eq!(group.give(at(1), IM, &bye)[0].status(), 200);
        assert_eq!(group.count(Counter::StatusReportsStray), 0);
        assert_eq!(group.count(Counter::SubmissionStray), 0);
    }
}

/// RFC 3261 section 9.1: a CANCEL has nothing of its INVITE but what names it.
#[test]
fn a_cancel_is_understood_wherever_it_comes() {
    for worker in 0..WORKERS {
        let mut group = group();
        let talk = open(&mut group, 1, (worker, worker));
        let uri = "sip:+491711234567@sms.example;user=phone";
        let cancel = |number| {
            request(number, "INVITE", 1, uri, "", "")
                .replace("INVITE sip", "CANCEL sip")
                .replace("1 INVITE", "1 CANCEL")
                .replace(ASSERTED, FROM)
        };
        let left = group.give(worker, IM, &cancel(1));
        assert_eq!((left.len(), left[0].status()), (1, 200), "{left:#?}");
        assert_eq!(group.give(worker, IM, &cancel(2))[0].status(), 481);
        let left = talk.whole(&mut group.benches[home(ASSERTED)], BOTH, "hello");
        submitted(&mut group, worker, &left);
    }
}

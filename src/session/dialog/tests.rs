//! Dialogs as both ends know them, request by request, and every short conversation against a model.

use super::*;
use crate::wire::sip::{self, Message, Originate, Routes, Transport};

const CALLER: (&[u8], &[u8]) = (b"sip:alice@example.com", b"sip:bob@example.net");

fn names(remote_tag: &'static [u8]) -> Names<'static> {
    Names { call_id: b"1@a", local_tag: b"alice", remote_tag }
}

fn kept<'v>(routes: &'v [&'v [u8]], target: &[u8]) -> Kept {
    Kept::new(&names(b"bob"), CALLER, routes.iter().copied(), target).unwrap()
}

fn confirmed() -> Dialog {
    Dialog::of_response(200, 7).unwrap()
}

fn answered() -> Dialog {
    let mut dialog = Dialog::of_request(200, 7).unwrap();
    assert_eq!(dialog.on_request(Method::Ack, 7), Ok(Request::Ack));
    dialog
}

#[test]
fn only_some_responses_make_a_dialog() {
    for status in 100..700 {
        let expected = match status {
            101..=199 => Some(State::Early),
            200..=299 => Some(State::Confirmed),
            _ => None,
        };
        assert_eq!(Dialog::of_response(status, 1).map(|it| it.state()), expected, "{status}");
        assert_eq!(Dialog::of_request(status, 1).map(|it| it.state()), expected, "{status}");
    }
}

#[test]
fn a_dialog_is_known_by_all_its_names() {
    let kept = kept(&[], b"sip:bob@192.0.2.2");
    assert!(kept.is(&names(b"bob")));
    for other in [
        names(b"BOB"),
        names(b""),
        Names { call_id: b"1@A", ..names(b"bob") },
        Names { local_tag: b"alic", ..names(b"bob") },
        Names { local_tag: b"bob", remote_tag: b"alice", ..names(b"bob") },
    ] {
        assert!(!kept.is(&other), "{other:?}");
    }
    // Who knows RFC 2543 only has no tag.
    let untagged = Kept::new(&names(b""), CALLER, core::iter::empty(), b"sip:b").unwrap();
    assert!(untagged.is(&names(b"")) && !untagged.is(&names(b"bob")));
}

/// RFC 3261 section 13.2.2.4: one INVITE, two 2xx, two dialogs; the second is ended.
#[test]
fn each_2xx_of_a_fork_is_a_dialog_of_its_own() {
    let mut early = Dialog::of_response(180, 7).unwrap();
    let first = kept(&[], b"sip:bob@192.0.2.2");
    let second = Kept::new(&names(b"bob2"), CALLER, core::iter::empty(), b"sip:bob@192.0.2.3");
    let second = second.unwrap();
    assert!(first.is(&names(b"bob")) && !first.is(&names(b"bob2")) && second.is(&names(b"bob2")));
    assert_eq!(early.on_invite_response(7, 200), Some(7));
    assert_eq!(early.state(), State::Confirmed);
    // The same 2xx again: acknowledged again, and nothing else.
    let before = early;
    assert_eq!(early.on_invite_response(7, 200), Some(7));
    assert_eq!(early, before);
    let mut unwanted = Dialog::of_response(200, 7).unwrap();
    assert_eq!(unwanted.next_request(Method::Bye, 1), Some(8));
    assert_eq!(unwanted.state(), State::Ended);
    // It is acknowledged as long as its 2xx comes.
    assert_eq!(unwanted.on_invite_response(7, 200), Some(7));
    assert_eq!(unwanted.state(), State::Ended);
    assert_eq!(early.state(), State::Confirmed);
}

#[test]
fn an_early_dialog_ends_with_its_invite() {
    for status in [302, 408, 486, 487, 603] {
        let mut dialog = Dialog::of_response(180, 7).unwrap();
        assert_eq!(dialog.on_invite_response(7, status), None);
        assert_eq!(dialog.state(), State::Ended, "{status}");
        let mut callee = Dialog::of_request(183, 7).unwrap();
        callee.answer_invite(status);
        assert_eq!(callee.state(), State::Ended, "{status}");
    }
    let mut forgotten = Dialog::of_response(180, 7).unwrap();
    forgotten.terminate();
    assert_eq!(forgotten.on_request(Method::Bye, 1), Err(Refusal::Ended));
}

#[test]
fn requests_come_in_the_order_of_their_numbers() {
    let mut callee = answered();
    assert_eq!(callee.on_request(Method::Options, 7), Err(Refusal::OutOfOrder));
    assert_eq!(callee.on_request(Method::Options, 6), Err(Refusal::OutOfOrder));
    // A gap is no error: somebody was asked for credentials in between.
    assert_eq!(callee.on_request(Method::Options, 9), Ok(Request::Other));
    assert_eq!(callee.on_request(Method::Bye, 8), Err(Refusal::OutOfOrder));
    assert_eq!(callee.state(), State::Confirmed);
    assert_eq!(callee.on_request(Method::Bye, 10), Ok(Request::Bye { is_pending: false }));
    assert_eq!(callee.on_request(Method::Options, 11), Err(Refusal::Ended));
    // The caller knows no number of theirs before the first: any will do.
    let mut caller = confirmed();
    assert_eq!(caller.on_request(Method::Info, 0), Ok(Request::Other));
    assert_eq!(caller.on_request(Method::Info, 0), Err(Refusal::OutOfOrder));
    for (refusal, status) in [
        (Refusal::Ended, 481),
        (Refusal::OutOfOrder, 500),
        (Refusal::Overlapping, 500),
        (Refusal::Crossing, 491),
    ] {
        assert_eq!(refusal.status(), status);
    }
}

#[test]
fn an_ack_has_the_number_of_its_invite_and_is_never_refused() {
    let mut callee = Dialog::of_request(200, 7).unwrap();
    assert_eq!(callee.on_request(Method::Ack, 6), Ok(Request::StrayAck));
    assert_eq!(callee.on_request(Method::Ack, 7), Ok(Request::Ack));
    assert_eq!(callee.on_request(Method::Ack, 7), Ok(Request::StrayAck));
    assert_eq!(callee.on_request(Method::Invite, 8), Ok(Request::Invite));
    assert_eq!(callee.on_request(Method::Ack, 8), Ok(Request::StrayAck));
    callee.answer_invite(200);
    assert_eq!(callee.on_request(Method::Ack, 8), Ok(Request::Ack));
    assert_eq!(callee.on_request(Method::Bye, 9), Ok(Request::Bye { is_pending: false }));
    assert_eq!(callee.on_request(Method::Ack, 9), Ok(Request::StrayAck));
}

#[test]
fn invites_neither_overlap_nor_cross() {
    let mut dialog = answered();
    assert_eq!(dialog.on_request(Method::Invite, 8), Ok(Request::Invite));
    assert_eq!(dialog.on_request(Method::Invite, 9), Err(Refusal::Overlapping));
    assert_eq!(dialog.next_request(Method::Invite, 1), None);
    // What is refused has changed nothing: 9 may come as another request.
    assert_eq!(dialog.on_request(Method::Update, 9), Ok(Request::Update));
    dialog.answer_invite(488);
    assert_eq!(dialog.state(), State::Confirmed, "the session stays as it was");
    assert_eq!(dialog.next_request(Method::Invite, 100), Some(100));
    assert_eq!(dialog.on_request(Method::Invite, 10), Err(Refusal::Crossing));
    assert_eq!(dialog.next_request(Method::Info, 1), Some(101));
    assert!(!dialog.on_final(200));
    // Nor does a 2xx to an earlier one, which comes again, end it.
    assert_eq!(dialog.on_invite_response(7, 200), Some(7));
    assert_eq!(dialog.next_request(Method::Invite, 1), None, "the INVITE is still open");
    assert_eq!(dialog.on_invite_response(100, 491), None);
    assert_eq!(dialog.next_request(Method::Invite, 1), Some(102));
    assert_eq!(dialog.on_invite_response(102, 200), Some(102));
    assert_eq!(dialog.on_request(Method::Invite, 10), Ok(Request::Invite));
}

#[test]
fn bye_comes_from_either_side_and_waits_for_the_ack() {
    // The callee waits for the ACK, or until there will be none.
    let mut callee = Dialog::of_request(200, 7).unwrap();
    assert_eq!(callee.next_request(Method::Bye, 1), None);
    let mut unheard = callee;
    unheard.give_up_ack();
    assert_eq!(unheard.next_request(Method::Bye, 1), Some(1));
    callee.on_request(Method::Ack, 7).unwrap();
    assert_eq!(callee.next_request(Method::Bye, 1), Some(1));
    assert_eq!(callee.next_request(Method::Bye, 1), None, "once");
    // BYE of both at the same time: theirs finds nothing any more.
    assert_eq!(callee.on_request(Method::Bye, 8), Err(Refusal::Ended));
    // Early: the caller may, the callee must not.
    let mut ringing = Dialog::of_request(180, 7).unwrap();
    assert!(!ringing.may_send_bye());
    assert_eq!(ringing.next_request(Method::Bye, 1), None);
    assert_eq!(ringing.on_request(Method::Bye, 8), Ok(Request::Bye { is_pending: true }));
    let mut calling = Dialog::of_response(180, 7).unwrap();
    assert_eq!((calling.end(), calling.next_request(Method::Bye, 1)), (End::Caller, Some(8)));
    assert_eq!(ringing.end(), End::Callee);
    // The INVITE that was pending is answered 487: nothing is left to change.
    ringing.answer_invite(487);
    assert_eq!(ringing.state(), State::Ended);
}

#[test]
fn who_knows_nothing_of_the_dialog_ends_it() {
    for (status, is_over) in [(200, false), (404, false), (408, true), (481, true), (500, false)] {
        let mut dialog = confirmed();
        assert_eq!(dialog.next_request(Method::Update, 1), Some(8));
        assert_eq!(dialog.on_final(status), is_over, "{status}");
        let mut invited = confirmed();
        invited.next_request(Method::Invite, 1);
        invited.on_invite_response(8, status);
        assert_eq!(invited.state() == State::Ended, is_over, "{status}");
    }
}

#[test]
fn numbers_of_ours_grow_by_one_and_end() {
    let mut dialog = answered();
    assert_eq!(dialog.next_request(Method::Message, 500), Some(500));
    assert_eq!(dialog.next_request(Method::Message, 9), Some(501));
    assert_eq!(dialog.next_request(Method::Ack, 9), None);
    assert_eq!(dialog.next_request(Method::Cancel, 9), None);
    assert_eq!(dialog.next_request(Method::Message, 9), Some(502));
    let mut last = Dialog::of_response(200, (1 << 31) - 1).unwrap();
    assert_eq!(last.next_request(Method::Message, 1), None);
}

/// RFC 3261 section 12.2.1.1, with its own example.
#[test]
fn requests_follow_the_route_set() {
    let target: &[u8] = b"sip:user@remoteua";
    let none = kept(&[], target);
    assert_eq!((none.request_uri(), none.next_hop()), (target, target));
    assert_eq!(none.routes(), Routes { values: b"", target: b"" });
    let loose = kept(&[b"<sip:p1;lr>", b"<sip:p2>"], target);
    assert_eq!((loose.request_uri(), loose.next_hop()), (target, &b"sip:p1;lr"[..]));
    assert_eq!(loose.routes(), Routes { values: b"<sip:p1;lr>,<sip:p2>", target: b"" });
    let strict =
        kept(&[b"<sip:proxy1>", b"<sip:proxy2>", b"<sip:proxy3;lr>;x=1", b"<sip:proxy4>"], target);
    assert_eq!((strict.request_uri(), strict.next_hop()), (&b"sip:proxy1"[..], &b"sip:proxy1"[..]));
    let values: &[u8] = b"<sip:proxy2>,<sip:proxy3;lr>;x=1,<sip:proxy4>";
    assert_eq!(strict.routes(), Routes { values, target });
    let alone = kept(&[b"<sip:proxy1>"], target);
    assert_eq!(alone.routes(), Routes { values: b"", target });
    assert_eq!((none.local(), none.remote()), CALLER);
}

/// Both ends know a request by the dialog that it was written from.
#[test]
fn a_request_is_written_from_the_dialog() {
    for (routes, uri, count) in [
        (&[][..], "sip:bob@192.0.2.2", 0),
        (&[&b"<sip:p1;lr>"[..], b"<sip:p2;lr>"][..], "sip:bob@192.0.2.2", 2),
        (&[&b"<sip:p1>"[..], b"<sip:p2;lr>"][..], "sip:p1", 2),
    ] {
        let kept = kept(routes, b"sip:bob@192.0.2.2");
        let bye = Originate {
            transport: Transport::Tcp,
            sent_by: b"192.0.2.1",
            branch: b"z9hG4bK7",
            ..kept.request(Method::Bye, 8)
        };
        let mut slot = [0; 1_000];
        let len = sip::originate(&bye, &mut slot).unwrap();
        assert_eq!(len, bye.size());
        let Ok(Message::Request(read)) = sip::parse(&slot[..len]) else { panic!() };
        let fields = &read.fields;
        assert_eq!((read.fault, read.method, fields.cseq), (None, Method::Bye, 8));
        assert_eq!(read.uri.of(read.octets), uri.as_bytes());
        assert_eq!((fields.route_count, fields.max_forwards), (count, Some(70)));
        let names = Names {
            call_id: fields.call_id.of(read.octets),
            local_tag: fields.from_tag.of(read.octets),
            remote_tag: fields.to_tag.of(read.octets),
        };
        assert!(kept.is(&names));
        let parties = (fields.from_uri.of(read.octets), fields.to_uri.of(read.octets));
        assert_eq!(parties, CALLER);
    }
}

#[test]
fn a_refreshed_target_replaces_the_old_one_and_no_route() {
    let mut kept = kept(&[b"<sip:p1;lr>"], b"sip:bob@192.0.2.2");
    for target in [&b"sip:bob@192.0.2.200:5070;transport=tcp"[..], b"sip:b", b"sip:bob@192.0.2.3"] {
        kept.set_target(target).unwrap();
        assert_eq!(kept.target(), target);
        assert_eq!(kept.routes().values, b"<sip:p1;lr>");
        assert!(kept.is(&names(b"bob")));
    }
    // The 2xx says the way anew.
    kept.set_routes([&b"<sip:p9;lr>"[..], b"<sip:p8;lr>"].into_iter(), b"sip:bob@h").unwrap();
    assert_eq!(kept.routes().values, b"<sip:p9;lr>,<sip:p8;lr>");
    assert_eq!((kept.target(), kept.remote()), (&b"sip:bob@h"[..], CALLER.1));
    let long = [b'a'; crate::limits::DIALOG_SIZE];
    assert_eq!(kept.set_target(&long), Err(Full));
    assert_eq!(kept.target(), b"sip:bob@h");
    let full = Kept::new(&names(b"bob"), CALLER, core::iter::once(&long[..]), b"sip:b");
    assert_eq!(full.err(), Some(Full));
    let much: Vec<u8> = core::iter::repeat_n(b'a', 70_000).collect();
    assert_eq!(kept.set_target(&much), Err(Full));
}

/// Two ends that send each other what they may, in every order of six steps: whatever one may send the
/// other one takes, unless it crosses with something that ends or changes the dialog.
#[test]
fn what_one_end_may_send_the_other_takes() {
    // Who sends, and what; each is taken at once, so that nothing crosses.
    const STEPS: [(bool, Method); 6] = [
        (true, Method::Invite),
        (false, Method::Invite),
        (true, Method::Info),
        (false, Method::Update),
        (true, Method::Bye),
        (false, Method::Bye),
    ];
    let mut talks = 0;
    for number in 0..STEPS.len().pow(6) {
        let (mut caller, mut callee) = (confirmed(), answered());
        let mut rest = number;
        for _ in 0..6 {
            let (by_caller, method) = STEPS[rest % STEPS.len()];
            rest /= STEPS.len();
            let (from, to) =
                if by_caller { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
            let Some(cseq) = from.next_request(method, 1) else {
                assert_eq!(from.state(), State::Ended, "{number}");
                continue;
            };
            let taken = to.on_request(method, cseq);
            assert!(taken.is_ok(), "{number} {method:?} {taken:?}");
            if method == Method::Invite {
                to.answer_invite(200);
                assert!(!to.may_send_bye());
                assert_eq!(from.on_invite_response(cseq, 200), Some(cseq));
                assert_eq!(to.on_request(Method::Ack, cseq), Ok(Request::Ack));
            }
            talks += 1;
        }
        assert_eq!(caller.state(), callee.state(), "{number}");
    }
    assert!(talks > 100_000, "{talks}");
}

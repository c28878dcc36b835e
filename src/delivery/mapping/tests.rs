//! The table against the standards said once more, and what must hold of every row.

use super::rows::is_cause_of_ours;
use super::*;
use crate::delivery::{Asked, Final, Role};

const ROLES: [Role; 4] = [Role::Proxy, Role::Endpoint, Role::ImServer, Role::Gateway];

/// The verdict column once more, in another form, from the standards' text.
fn letter(status: u16, role: Role, retry_after: bool, asked: Asked) -> char {
    match status {
        200..=201 | 203..=299 if matches!(role, Role::Proxy | Role::Endpoint) => 'D',
        200..=299 => 'A',
        301 => 'P',
        300 | 302..=399 => 'T',
        401 | 407 => {
            if asked == Asked::WithCredentials {
                'P'
            } else {
                'T'
            }
        }
        404 | 413 | 513 if retry_after => 'T',
        482 if asked == Asked::Again => 'U',
        408 | 487 | 504 => 'U',
        430 | 480 | 481 | 486 | 491 => 'T',
        501 | 505 | 513 | 580 => 'P',
        500..=599 => 'T',
        _ => 'P',
    }
}

fn of(status: u16, role: Role) -> Final {
    Final { status, role, retry_after: false, asked: Asked::Once }
}

#[test]
fn the_verdict_column_is_that_of_the_standards() {
    for role in ROLES {
        let mapping = Mapping::of(role);
        for status in 200..700 {
            for retry_after in [false, true] {
                for asked in [Asked::Once, Asked::Again, Asked::WithCredentials] {
                    let found = mapping.verdict(Final { status, role, retry_after, asked });
                    let expected = letter(status, role, retry_after, asked);
                    assert_eq!(found.letter(), expected, "{status} {role:?} {asked:?}");
                }
            }
        }
        for status in [0, 100, 199, 700, u16::MAX] {
            assert_eq!(mapping.verdict(of(status, role)), Verdict::Unknown, "{status}");
            assert!(mapping.effective(status).is_none());
        }
    }
}

#[test]
fn every_status_and_every_event_has_exactly_one_row() {
    let named = |status: u16, leg: Leg| -> Vec<On> {
        let ons = TABLE.iter().map(|row| row.on).filter(|on| on.leg() == leg);
        let names = |on: &On| match on {
            On::Statuses(all) | On::Invite(all) | On::Msrp(all) => all.contains(&status),
            On::Class(_) | On::InviteClass(_) | On::MsrpClass(_) | On::MsrpOther => false,
            On::Event(_) => false,
        };
        ons.filter(names).collect()
    };
    for status in 0..=1_000 {
        let class = status / 100;
        let msrp_class = if [2, 4].contains(&class) { On::MsrpClass(class) } else { On::MsrpOther };
        for (leg, found, of_class) in [
            (Leg::Message, row_of_status(status), On::Class(class)),
            (Leg::Invite, row_of_invite(status), On::InviteClass(class)),
            (Leg::Msrp, Some(row_of_msrp(status)), msrp_class),
        ] {
            if leg != Leg::Msrp && !(200..700).contains(&status) {
                assert!(found.is_none(), "{leg:?} {status}");
                continue;
            }
            match named(status, leg).as_slice() {
                [only] => assert_eq!(*only, found.unwrap().on, "{leg:?} {status}"),
                [] => assert_eq!(found.unwrap().on, of_class, "{leg:?} {status}"),
                more => panic!("{status} has the rows {more:?}"),
            }
        }
    }
    for event in Event::ALL {
        assert_eq!(row_of_event(event).on, On::Event(event));
    }
    assert_eq!(row_of_msrp(u16::MAX).on, On::MsrpOther);
}

#[test]
fn rows_stand_in_the_order_of_their_statuses() {
    let first = |row: &Row| match row.on {
        On::Statuses(statuses) | On::Invite(statuses) | On::Msrp(statuses) => {
            assert!(statuses.is_sorted(), "{statuses:?}");
            statuses[0]
        }
        // After those that are named; the usual 2xx before the special one.
        On::Class(2) | On::InviteClass(2) => 200,
        On::Class(class) | On::InviteClass(class) | On::MsrpClass(class) => class * 100 + 99,
        On::MsrpOther => 1_000,
        On::Event(_) => u16::MAX,
    };
    let legs: Vec<u8> = TABLE.iter().map(|row| row.on.leg() as u8).collect();
    assert!(legs.is_sorted(), "{legs:?}");
    for leg in Leg::ALL {
        let rows = TABLE.iter().filter(|row| row.on.leg() == leg);
        let order: Vec<u16> = rows.map(first).collect();
        assert!(order.is_sorted(), "{leg:?} {order:?}");
    }
}

#[test]
fn only_causes_that_a_mobile_station_may_send_are_ours_and_never_22() {
    for cause in 0..=u8::MAX {
        let legal = [81, 95, 96, 97, 98, 99, 111].contains(&cause);
        assert_eq!(is_cause_of_ours(cause), legal, "{cause}");
        assert_eq!(rp_cause_way(cause) == Way::Both, legal, "{cause}");
        let answer = Mapping::of(Role::Proxy)
            .answer(Verdict::Permanent, Evidence::Content { cause, fcs: 0x9F });
        let expected = if legal { cause } else { 111 };
        assert_eq!(answer, Answer::Error { cause: expected, fcs: 0x9F }, "{cause}");
    }
    for row in TABLE {
        assert!(row.cause.is_none_or(is_cause_of_ours), "{:?}", row.on);
    }
}

#[test]
fn each_verdict_is_told_alike_in_every_form() {
    for row in TABLE {
        let (trying, end) = (row.tp_status.still_trying, row.tp_status.at_the_end);
        let state = row.message_state;
        match row.verdict {
            Verdict::Delivered => {
                assert_eq!((row.cause, end, state), (None, 0x00, MessageState::Delivered));
            }
            Verdict::Accepted => assert_eq!((end, state), (0x01, MessageState::Unknown)),
            Verdict::Unknown => assert_eq!((end, state), (0x62, MessageState::Unknown)),
            Verdict::Permanent => {
                assert!((0x40..=0x45).contains(&end) && trying.is_none(), "{:?}", row.on);
                assert_eq!(state == MessageState::Rejected, end == 0x42, "{:?}", row.on);
            }
            Verdict::Temporary => assert_eq!(state, MessageState::Undeliverable),
        }
        assert!(trying.is_none_or(|trying| (0x20..=0x25).contains(&trying)), "{:?}", row.on);
        let discarded = row.on == On::Event(Event::Discarded);
        assert_eq!(row.cause.is_none(), row.verdict == Verdict::Delivered || discarded);
        assert_eq!(row.sm_error == SmError::SUCCESS, row.cause.is_none(), "{:?}", row.on);
        assert!(fcs_name(row.fcs).is_some() && rp_cause_name(111).is_some());
        assert!(trying.into_iter().chain([end]).all(|one| tp_status_name(one).1.is_some()));
        assert!(!row.source.is_empty());
    }
}

#[test]
fn the_rp_layer_is_told_what_the_row_says() {
    let mapping = Mapping::of(Role::Proxy);
    let told = |verdict, status| mapping.answer(verdict, Evidence::Final(of(status, Role::Proxy)));
    let error = |fcs| Answer::Error { cause: 111, fcs };
    assert_eq!(told(Verdict::Delivered, 200), Answer::Ack);
    assert_eq!(told(Verdict::Accepted, 202), error(0xFF));
    for status in [406, 415, 488, 493, 606] {
        assert_eq!(told(Verdict::Permanent, status), error(0x90));
    }
    for status in [405, 501] {
        assert_eq!(told(Verdict::Permanent, status), error(0xB0));
        // A repetition within permanent_window is told the same.
        let earlier = Evidence::Earlier { verdict: Verdict::Permanent, status };
        assert_eq!(mapping.answer(Verdict::Permanent, earlier), error(0xB0));
    }
    assert_eq!(told(Verdict::Permanent, 413), error(0xFF));
    assert_eq!(mapping.answer(Verdict::Unknown, Evidence::Deadline), error(0xFF));
    assert_eq!(mapping.answer(Verdict::Accepted, Evidence::Discarded), Answer::Ack);
    let earlier = Evidence::Earlier { verdict: Verdict::Delivered, status: 0 };
    assert_eq!(mapping.answer(Verdict::Delivered, earlier), Answer::Ack);
}

#[test]
fn what_is_set_holds_and_says_who_set_it() {
    let mut mapping = Mapping::of(Role::Proxy);
    let by_file = || Origin::Configuration("roger.toml:23".into());
    assert_eq!(mapping.effective(404).unwrap().origin, Origin::Standard);
    mapping.set(404, Verdict::Temporary, by_file()).unwrap();
    mapping.set(413, Verdict::Permanent, by_file()).unwrap();
    mapping.set(482, Verdict::Temporary, by_file()).unwrap();
    mapping.set(401, Verdict::Temporary, by_file()).unwrap();
    let of = |status, retry_after, asked| {
        mapping.verdict(Final { status, role: Role::Proxy, retry_after, asked })
    };
    assert_eq!(of(404, false, Asked::Once), Verdict::Temporary);
    assert_eq!(of(413, true, Asked::Once), Verdict::Permanent);
    assert_eq!(of(401, false, Asked::WithCredentials), Verdict::Temporary);
    assert_eq!(of(482, false, Asked::Once), Verdict::Temporary);
    assert_eq!(of(482, false, Asked::Again), Verdict::Unknown);
    assert_eq!(of(403, false, Asked::Once), Verdict::Permanent);
    let effective = mapping.effective(404).unwrap();
    assert_eq!(effective.origin.to_string(), "roger.toml:23");
    assert_eq!(effective.row.verdict, Verdict::Temporary);
    assert_eq!(effective.row.tp_status, TpStatus { still_trying: Some(0x22), at_the_end: 0x62 });
}

#[test]
fn a_preset_says_what_its_rows_say_and_gives_way_to_the_file() {
    let mut mapping = Mapping::of(Role::Proxy);
    for status in [477, 478] {
        assert_eq!(mapping.verdict(of(status, Role::Proxy)), Verdict::Permanent);
    }
    mapping.preset(Preset::Kamailio).unwrap();
    for status in [477, 478] {
        assert_eq!(mapping.verdict(of(status, Role::Proxy)), Verdict::Temporary);
        let origin = mapping.effective(status).unwrap().origin;
        assert_eq!(origin.to_string(), "preset kamailio");
    }
    mapping.set(477, Verdict::Unknown, Origin::Configuration("x:1".into())).unwrap();
    assert_eq!(mapping.effective(477).unwrap().origin.to_string(), "x:1");
    assert_eq!(mapping.verdict(of(477, Role::Proxy)), Verdict::Unknown);
}

#[test]
fn nothing_can_be_set_that_would_make_a_report_false() {
    for role in ROLES {
        for status in 0..=800 {
            for verdict in Verdict::ALL {
                let mut mapping = Mapping::of(role);
                let found = mapping.set(status, verdict, Origin::Standard);
                let success = (200..300).contains(&status);
                let own = matches!(role, Role::Proxy | Role::Endpoint);
                let expected = match (status, verdict.letter()) {
                    (0..200 | 700.., _) => Err(Refusal::NotFinal),
                    (202, 'D') => Err(Refusal::AcceptedOnly),
                    (_, 'D') if !success => Err(Refusal::NotDelivered),
                    (_, 'D') if !own => Err(Refusal::RoleOnlyAccepts),
                    (_, 'A') if !success => Err(Refusal::NotAccepted),
                    (_, 'P' | 'T') if success => Err(Refusal::NotFailed),
                    _ => Ok(()),
                };
                assert_eq!(found, expected, "{status} {verdict:?} {role:?}");
                if found.is_err() && (200..700).contains(&status) {
                    let before = Mapping::of(role).verdict(of(status, role));
                    assert_eq!(mapping.verdict(of(status, role)), before);
                }
            }
        }
    }
}

/// The verdict column of INVITE once more: certain throughout, because nothing has left.
fn invite_letter(status: u16, retry_after: bool, asked: Asked) -> char {
    match status {
        401 | 407 if asked == Asked::WithCredentials => 'P',
        404 | 413 | 513 if retry_after => 'T',
        301 | 501 | 505 | 513 | 580 => 'P',
        401 | 407 | 408 | 430 | 480 | 481 | 486 | 487 | 491 | 600 => 'T',
        200..=399 | 500..=599 => 'T',
        _ => 'P',
    }
}

#[test]
fn nothing_about_an_invite_is_unknown_or_delivered() {
    for role in ROLES {
        let mapping = Mapping::of(role);
        for status in 0..=u16::MAX {
            for retry_after in [false, true] {
                for asked in [Asked::Once, Asked::Again, Asked::WithCredentials] {
                    let response = Final { status, role, retry_after, asked };
                    let found = Verdict::from_evidence(Evidence::Invite(response), &mapping);
                    let expected = match status {
                        200..700 => invite_letter(status, retry_after, asked),
                        _ => 'T',
                    };
                    assert_eq!(found.letter(), expected, "{response:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_set_for_a_peer_holds_for_its_invites_as_far_as_it_is_certain() {
    let mut mapping = Mapping::of(Role::Proxy);
    mapping.preset(Preset::Kamailio).unwrap();
    mapping.set(403, Verdict::Temporary, Origin::Configuration("x:1".into())).unwrap();
    mapping.set(404, Verdict::Unknown, Origin::Configuration("x:2".into())).unwrap();
    mapping.set(299, Verdict::Delivered, Origin::Configuration("x:3".into())).unwrap();
    for (status, letter, origin) in [
        (477, 'T', "preset kamailio"),
        (403, 'T', "x:1"),
        (404, 'P', "standard"),
        (299, 'T', "standard"),
        (488, 'P', "standard"),
    ] {
        assert_eq!(mapping.invite(of(status, Role::Proxy)).letter(), letter, "{status}");
        let effective = mapping.effective_invite(status).unwrap();
        assert_eq!(effective.row.verdict.letter(), letter, "{status}");
        assert_eq!(effective.origin.to_string(), origin, "{status}");
    }
    assert!(mapping.effective_invite(199).is_none());
}

#[test]
fn what_is_set_for_invites_holds_for_them_alone_and_first() {
    let at = |place: &str| Origin::Configuration(place.into());
    let mut mapping = Mapping::of(Role::Proxy);
    mapping.set(404, Verdict::Temporary, at("x:1")).unwrap();
    mapping.set_on(Leg::Invite, 404, Verdict::Permanent, at("x:2")).unwrap();
    mapping.set_on(Leg::Invite, 486, Verdict::Permanent, at("x:3")).unwrap();
    mapping.set_on(Leg::Msrp, 413, Verdict::Permanent, at("x:4")).unwrap();
    mapping.set_on(Leg::Msrp, 413, Verdict::Temporary, at("x:5")).unwrap();
    for (status, message, invite, msrp) in
        [(404, 'T', 'P', 'P'), (486, 'T', 'P', 'P'), (413, 'P', 'P', 'T'), (403, 'P', 'P', 'P')]
    {
        let letters = [
            mapping.verdict(of(status, Role::Proxy)),
            mapping.invite(of(status, Role::Proxy)),
            mapping.msrp(status),
        ];
        assert_eq!(letters.map(Verdict::letter), [message, invite, msrp], "{status}");
    }
    // It then means that with a Retry-After and with credentials too.
    let later = Final { retry_after: true, ..of(404, Role::Proxy) };
    assert_eq!(mapping.invite(later), Verdict::Permanent);
    for (effective, letter, origin) in [
        (mapping.effective_invite(404).unwrap(), 'P', "x:2"),
        (mapping.effective_msrp(413), 'T', "x:5"),
        (mapping.effective_msrp(404), 'P', "standard"),
    ] {
        assert_eq!(
            (effective.row.verdict.letter(), &*effective.origin.to_string()),
            (letter, origin)
        );
        assert_eq!(effective.row.exception, Exception::Never);
    }
    for evidence in [Evidence::MsrpResponse(413), Evidence::MsrpReport(413)] {
        assert_eq!(Verdict::from_evidence(evidence, &mapping), Verdict::Temporary);
    }
}

#[test]
fn nothing_can_be_set_of_a_session_that_would_make_a_report_false() {
    for status in 0..=1_000 {
        for verdict in Verdict::ALL {
            let success = (200..300).contains(&status);
            let set = |leg| {
                let mut mapping = Mapping::of(Role::Endpoint);
                let found = mapping.set_on(leg, status, verdict, Origin::Standard);
                let now = match leg {
                    Leg::Invite => mapping.invite(of(status, Role::Endpoint)),
                    Leg::Message | Leg::Msrp => mapping.msrp(status),
                };
                (found, now)
            };
            let expected = match (status, verdict.letter()) {
                (0..200 | 700.., _) => Err(Refusal::NotFinal),
                _ if success => Err(Refusal::Opens),
                (_, 'D') => Err(Refusal::NotDelivered),
                (_, 'U' | 'A') => Err(Refusal::Certain),
                _ => Ok(()),
            };
            let (found, now) = set(Leg::Invite);
            assert_eq!(found, expected, "INVITE {status} {verdict:?}");
            assert_eq!(
                now.letter(),
                if found.is_ok() {
                    verdict.letter()
                } else {
                    Mapping::of(Role::Endpoint).invite(of(status, Role::Endpoint)).letter()
                }
            );
            let expected = match (status, verdict.letter()) {
                _ if success => Err(Refusal::Covered),
                (_, 'D') => Err(Refusal::NotDelivered),
                (_, 'A') => Err(Refusal::NotAccepted),
                (481 | 506, 'U') => Err(Refusal::SentAgain),
                _ => Ok(()),
            };
            let (found, now) = set(Leg::Msrp);
            assert_eq!(found, expected, "MSRP {status} {verdict:?}");
            assert_eq!(now == verdict, found.is_ok() || row_of_msrp(status).verdict == verdict);
        }
    }
}

#[test]
fn the_verdict_column_of_msrp_is_that_of_its_standard() {
    let mapping = Mapping::of(Role::Gateway);
    for status in 0..=1_000 {
        let expected = match status {
            // One 200 is one hop's word about one chunk: never a delivery.
            200 => 'A',
            201..=299 | 408 => 'U',
            481 => 'T',
            400..=499 | 501 => 'P',
            _ => 'T',
        };
        for evidence in [Evidence::MsrpResponse(status), Evidence::MsrpReport(status)] {
            let found = Verdict::from_evidence(evidence, &mapping);
            assert_eq!(found.letter(), expected, "{evidence:?}");
            let again = Row::of(evidence).unwrap().again;
            assert_eq!(again, [408, 481, 506].contains(&status), "{status}");
        }
    }
    for (evidence, letter, again) in [
        (Evidence::Acknowledged, 'D', false),
        (Evidence::Reported, 'D', false),
        (Evidence::MsrpTimeout, 'U', true),
        (Evidence::ReportMissing, 'U', false),
        (Evidence::Unfinished, 'T', false),
        (Evidence::Aborted, 'T', false),
        (Evidence::ByeBeforeEnd, 'T', false),
        (Evidence::ByeAfterEnd, 'U', true),
        (Evidence::NeverConnected, 'T', false),
        (Evidence::ConnectionUnused, 'T', true),
        (Evidence::ConnectionLost, 'U', true),
        (Evidence::InviteTimeout, 'T', false),
        (Evidence::InviteError, 'T', false),
        (Evidence::AnswerUnusable, 'P', false),
    ] {
        assert_eq!(Verdict::from_evidence(evidence, &mapping).letter(), letter, "{evidence:?}");
        assert_eq!(Row::of(evidence).unwrap().again, again, "{evidence:?}");
        let event = Event::of(evidence).unwrap();
        assert_eq!(Row::of(evidence).unwrap().on, On::Event(event));
        assert_ne!(event.leg(), Leg::Message);
    }
}

/// A repetition within permanent_window is answered from the status alone ([`Evidence::Earlier`]), so
/// that must say the same as what was said first.
#[test]
fn what_is_permanent_is_told_alike_when_only_its_status_is_left() {
    let mapping = Mapping::of(Role::Endpoint);
    for status in 200..700 {
        for evidence in [
            Evidence::Invite(of(status, Role::Endpoint)),
            Evidence::MsrpResponse(status),
            Evidence::MsrpReport(status),
        ] {
            let verdict = Verdict::from_evidence(evidence, &mapping);
            assert_eq!(evidence.status(), status);
            let is_msrp = Row::of(evidence).unwrap().on.leg() == Leg::Msrp;
            // What MSRP does not define is what 400 is, whatever SIP may call it.
            let is_known = !is_msrp || msrp_meaning(status).is_some();
            if verdict == Verdict::Permanent && is_known {
                let earlier = Evidence::Earlier { verdict, status };
                let first = mapping.answer(verdict, evidence);
                assert_eq!(mapping.answer(verdict, earlier), first, "{evidence:?}");
            }
        }
    }
}

//! The rows, and where each status and each event finds its own.

use crate::delivery::Verdict::{Accepted, Delivered, Permanent, Temporary, Unknown};
use crate::delivery::mapping::On::{
    Class, Invite, InviteClass, Msrp, MsrpClass, MsrpOther, Statuses,
};
use crate::delivery::mapping::{Event, Exception, Leg, On, Row, SmError};

/// The table.
pub const TABLE: &[Row] = &[
    // Success: the recipient's user agent has it, or somebody has promised to see to it.
    Row::new(Class(2), Delivered, "RFC 3428 section 7"),
    Row::new(Statuses(&[202]), Accepted, "RFC 3428 section 7"),
    // Elsewhere, or not there any more. The next attempt asks again.
    Row::new(Statuses(&[301]), Permanent, "RFC 3261 section 21.3")
        .ends(0x43)
        .extended(SmError::DEREGISTERED),
    Row::new(Class(3), Temporary, "RFC 3261 section 21.3")
        .pair(0x22, 0x43)
        .extended(SmError::DEREGISTERED),
    // What we said was not understood, or not wanted in this form.
    Row::new(Statuses(&[401, 407]), Temporary, "RFC 3261 section 22")
        .tries("once more with credentials, where the peer has username and password_file")
        .except(Exception::Credentials)
        .ends(0x40)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Statuses(&[402, 403]), Permanent, "RFC 3428 section 7")
        .ends(0x42)
        .extended(SmError::CALL_BARRED)
        .rejected(),
    Row::new(Statuses(&[404]), Permanent, "RFC 3428 section 7")
        .except(Exception::RetryAfter)
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    Row::new(Statuses(&[405, 501]), Permanent, "RFC 3428 section 7")
        .fcs(0xB0)
        .ends(0x41)
        .extended(SmError::NOT_SM_EQUIPPED),
    Row::new(Statuses(&[406, 415, 488, 493, 606]), Permanent, "RFC 3428 section 7")
        .fcs(0x90)
        .ends(0x41),
    // RFC 4320 section 4: it races with a success that is under way (hazard H9).
    Row::new(Statuses(&[408]), Unknown, "RFC 4320 section 4.2"),
    Row::new(Statuses(&[410]), Permanent, "RFC 3428 section 7")
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    // Never RP-Cause 22: the service centre would wait for an alert that nobody sends (H57).
    Row::new(Statuses(&[413, 513]), Permanent, "RFC 3428 section 7")
        .except(Exception::RetryAfter)
        .ends(0x41),
    Row::new(Statuses(&[414, 416]), Permanent, "RFC 3428 section 7").ends(0x43),
    Row::new(Statuses(&[430]), Temporary, "RFC 3428 section 7").extended(SmError::DEREGISTERED),
    Row::new(Statuses(&[480]), Temporary, "RFC 3428 section 7").extended(SmError::DEREGISTERED),
    Row::new(Statuses(&[481]), Temporary, "RFC 3428 section 7").ends(0x40),
    Row::new(Statuses(&[482]), Permanent, "RFC 3428 section 7").except(Exception::Copy),
    Row::new(Statuses(&[484, 485]), Permanent, "RFC 3428 section 7")
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    Row::new(Statuses(&[486]), Temporary, "RFC 3428 section 7")
        .pair(0x21, 0x61)
        .extended(SmError::SUBSCRIBER_BUSY),
    Row::new(Statuses(&[487]), Unknown, "RFC 3261 section 9.2"),
    Row::new(Statuses(&[491]), Temporary, "RFC 3428 section 7").pair(0x21, 0x61),
    Row::new(Class(4), Permanent, "RFC 3261 section 8.1.3.2"),
    // A server's trouble passes, unless it says that it will never do it.
    Row::new(Statuses(&[502]), Temporary, "RFC 3428 section 7")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Statuses(&[503]), Temporary, "RFC 3263 section 4.3")
        .tries("the next server, where there is one (RFC 3263 section 4.3)")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Statuses(&[504]), Unknown, "RFC 3261 section 21.5.5"),
    Row::new(Statuses(&[505, 580]), Permanent, "RFC 3428 section 7"),
    // Perhaps a 503 on its way through a proxy (hazard H10), so nothing is held against the server.
    Row::new(Class(5), Temporary, "RFC 3428 section 7")
        .pair(0x25, 0x65)
        .extended(SmError::SYSTEM_FAILURE),
    // It reached the recipient, who refused it (R7); no other place may be asked, and a block that
    // hides behind 603 is a refusal like any other (hazards H7 and H56).
    Row::new(Statuses(&[604]), Permanent, "RFC 3428 section 7")
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    Row::new(Class(6), Permanent, "RFC 3428 section 7")
        .ends(0x42)
        .extended(SmError::CALL_BARRED)
        .rejected(),
    // No final response decides. What has not left is certainly not there.
    Row::new(On::Event(Event::TimerF), Unknown, "RFC 3261 section 8.1.3.1"),
    Row::new(On::Event(Event::Deadline), Unknown, "RFC 4320 section 4.2"),
    Row::new(On::Event(Event::DeadlineUnsent), Temporary, "RFC 3428 section 7")
        .pair(0x20, 0x60)
        .extended(SmError::SC_CONGESTION),
    Row::new(On::Event(Event::UriWait), Temporary, "RFC 3428 section 8")
        .pair(0x20, 0x60)
        .extended(SmError::SC_CONGESTION),
    Row::new(On::Event(Event::NeverSent), Temporary, "RFC 3263 section 4.3")
        .tries("the next server, where there is one (RFC 3263 section 4.3)")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    // After the first transmission a transport error proves nothing about that one.
    Row::new(On::Event(Event::Unreachable), Unknown, "RFC 3261 section 18.4"),
    Row::new(On::Event(Event::Shutdown), Unknown, "RFC 3261 section 8.1.3.1"),
    Row::new(On::Event(Event::WorkerLost), Unknown, "RFC 3261 section 8.1.3.1"),
    Row::new(On::Event(Event::Content), Permanent, "TS 24.011 section 8.2.5.4").ends(0x45),
    // The phone would have acknowledged it and shown nothing; nobody has seen it.
    Row::new(On::Event(Event::Discarded), Accepted, "TS 23.040 section 9.2.3.9").acknowledged(),
    // The INVITE for a Large Message. Nothing is transferred before there is a session, so that every
    // failure is certain. A 2xx decides only if it came too late and its session was ended unused.
    Row::new(InviteClass(2), Temporary, "RFC 3261 section 9.1"),
    Row::new(Invite(&[301]), Permanent, "RFC 3261 section 13.2.2.2")
        .ends(0x43)
        .extended(SmError::DEREGISTERED),
    Row::new(InviteClass(3), Temporary, "RFC 3261 section 13.2.2.2")
        .pair(0x22, 0x43)
        .extended(SmError::DEREGISTERED),
    Row::new(Invite(&[401, 407]), Temporary, "RFC 3261 section 22")
        .tries("once more with credentials, where the peer has username and password_file")
        .except(Exception::Credentials)
        .ends(0x40)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Invite(&[402, 403]), Permanent, "RFC 3261 section 13.2.2.3")
        .ends(0x42)
        .extended(SmError::CALL_BARRED)
        .rejected(),
    Row::new(Invite(&[404]), Permanent, "RFC 3261 section 13.2.2.3")
        .except(Exception::RetryAfter)
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    Row::new(Invite(&[405, 501]), Permanent, "RFC 3261 section 13.2.2.3")
        .tries(IN_PARTS)
        .fcs(0xB0)
        .ends(0x41)
        .extended(SmError::NOT_SM_EQUIPPED),
    Row::new(Invite(&[406, 415, 488, 493, 606]), Permanent, "RFC 3261 section 13.2.2.3")
        .tries(IN_PARTS)
        .fcs(0x90)
        .ends(0x41),
    // With an INVITE it is certain: it is no longer proceeding anywhere, or its 2xx is ended unused.
    Row::new(Invite(&[408]), Temporary, "RFC 3261 section 13.2.2.3").silent(),
    Row::new(Invite(&[410]), Permanent, "RFC 3261 section 13.2.2.3")
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    Row::new(Invite(&[413, 513]), Permanent, "RFC 3261 section 13.2.2.3")
        .except(Exception::RetryAfter)
        .ends(0x41),
    Row::new(Invite(&[414, 416]), Permanent, "RFC 3261 section 13.2.2.3").ends(0x43),
    Row::new(Invite(&[420, 421, 494]), Permanent, "RFC 3261 section 13.2.2.3")
        .tries(IN_PARTS)
        .ends(0x41),
    Row::new(Invite(&[430, 480]), Temporary, "RFC 3261 section 13.2.2.3")
        .extended(SmError::DEREGISTERED),
    Row::new(Invite(&[481]), Temporary, "RFC 3261 section 13.2.2.3").ends(0x40),
    Row::new(Invite(&[484, 485]), Permanent, "RFC 3261 section 13.2.2.3")
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    // 600 is busy now and everywhere (section 21.6.1). That a 6xx has reached the recipient counts for
    // a MESSAGE, which it brings along; an INVITE brings nothing yet.
    Row::new(Invite(&[486, 600]), Temporary, "RFC 3261 section 21.4.24")
        .pair(0x21, 0x61)
        .extended(SmError::SUBSCRIBER_BUSY),
    Row::new(Invite(&[487]), Temporary, "RFC 3261 section 9.2").silent(),
    Row::new(Invite(&[491]), Temporary, "RFC 3261 section 14.1").pair(0x21, 0x61),
    Row::new(InviteClass(4), Permanent, "RFC 3261 section 8.1.3.2"),
    Row::new(Invite(&[502]), Temporary, "RFC 3261 section 13.2.2.3")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Invite(&[503]), Temporary, "RFC 3263 section 4.3")
        .tries("the next server, where there is one (RFC 3263 section 4.3)")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Invite(&[504]), Temporary, "RFC 3261 section 13.2.2.3").silent(),
    Row::new(Invite(&[505, 580]), Permanent, "RFC 3261 section 13.2.2.3"),
    Row::new(InviteClass(5), Temporary, "RFC 3261 section 13.2.2.3")
        .pair(0x25, 0x65)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(Invite(&[604]), Permanent, "RFC 3261 section 13.2.2.3")
        .ends(0x43)
        .extended(SmError::UNKNOWN_SUBSCRIBER),
    Row::new(InviteClass(6), Permanent, "RFC 3261 section 13.2.2.3")
        .ends(0x42)
        .extended(SmError::CALL_BARRED)
        .rejected(),
    Row::new(On::Event(Event::InviteTimeout), Temporary, "RFC 3261 section 17.1.1.2").silent(),
    Row::new(On::Event(Event::InviteError), Temporary, "RFC 3261 section 17.1.4")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(On::Event(Event::AnswerUnusable), Permanent, "RFC 4975 section 8")
        .tries(IN_PARTS)
        .ends(0x41),
    // The MSRP session. One 200 says that one hop has one chunk; what all of them together prove are
    // the events below.
    Row::new(Msrp(&[200]), Accepted, "RFC 4975 section 10.1"),
    // No code of success but 200 is defined, so nobody knows what it says.
    Row::new(MsrpClass(2), Unknown, "RFC 4975 section 10"),
    Row::new(Msrp(&[400]), Permanent, "RFC 4975 section 10.2"),
    Row::new(Msrp(&[403]), Permanent, "RFC 4975 section 10.3").ends(0x42).rejected(),
    // As a time-out of our own (hazard H24): the recipient may have it.
    Row::new(Msrp(&[408]), Unknown, "RFC 4975 section 10.4").again(),
    // It stops the message, whatever was acknowledged of it before (hazard H30).
    Row::new(Msrp(&[413]), Permanent, "RFC 4975 section 10.5").ends(0x41),
    Row::new(Msrp(&[415]), Permanent, "RFC 4975 section 10.6").fcs(0x90).ends(0x41),
    Row::new(Msrp(&[423]), Permanent, "RFC 4975 section 10.7"),
    // The chunk was not taken, so the message is not whole. The session is of no use any more.
    Row::new(Msrp(&[481]), Temporary, "RFC 4975 section 10.8").pair(0x25, 0x65).again(),
    Row::new(MsrpClass(4), Permanent, "RFC 4975 section 10.2"),
    Row::new(Msrp(&[501]), Permanent, "RFC 4975 section 10.9")
        .fcs(0xB0)
        .ends(0x41)
        .extended(SmError::NOT_SM_EQUIPPED),
    Row::new(Msrp(&[506]), Temporary, "RFC 4975 section 10.10").pair(0x25, 0x65).again(),
    Row::new(MsrpOther, Temporary, "RFC 4975 section 10").pair(0x25, 0x65),
    Row::new(On::Event(Event::Acknowledged), Delivered, "RFC 4975 section 5.3"),
    Row::new(On::Event(Event::Reported), Delivered, "RFC 4975 section 7.1.3"),
    Row::new(On::Event(Event::MsrpTimeout), Unknown, "RFC 4975 section 7.1.1").again(),
    // A relay that has taken everything has perhaps lost it (hazard H26).
    Row::new(On::Event(Event::ReportMissing), Unknown, "RFC 4975 section 7.1.3"),
    // Without its last chunk no message is whole (RFC 4975 section 7.3.1). The ledger may have it sent
    // again where a time-out or 408 is why.
    Row::new(On::Event(Event::Unfinished), Temporary, "RFC 4975 section 7.3.1").pair(0x25, 0x65),
    Row::new(On::Event(Event::Aborted), Temporary, "RFC 4975 section 7.1").pair(0x25, 0x65),
    Row::new(On::Event(Event::ByeBeforeEnd), Temporary, "RFC 4975 section 7.3.1").pair(0x25, 0x65),
    Row::new(On::Event(Event::ByeAfterEnd), Unknown, "RFC 4975 section 5.4").again(),
    Row::new(On::Event(Event::NeverConnected), Temporary, "RFC 4975 section 5.4")
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(On::Event(Event::ConnectionUnused), Temporary, "RFC 4975 section 5.4")
        .again()
        .pair(0x20, 0x60)
        .extended(SmError::SYSTEM_FAILURE),
    Row::new(On::Event(Event::ConnectionLost), Unknown, "RFC 4975 section 5.4").again(),
];

/// What is tried where the peer has no Large Messages.
const IN_PARTS: &str = "its parts as MESSAGEs, where it came in parts";

/// The first status that is final, and how many there are (RFC 3261 section 7.2).
pub(super) const FIRST: u16 = 200;
pub(super) const STATUSES: usize = 500;

const NONE: u8 = u8::MAX;

const ROW_OF_STATUS: [u8; STATUSES] = by_status(Leg::Message);
const ROW_OF_INVITE: [u8; STATUSES] = by_status(Leg::Invite);

/// For each final status the number of its row, named or of its class.
const fn by_status(leg: Leg) -> [u8; STATUSES] {
    let mut found = [NONE; STATUSES];
    let mut number = 0;
    while number < TABLE.len() {
        let statuses: &[u16] = match (TABLE[number].on, leg) {
            (Statuses(statuses), Leg::Message) | (Invite(statuses), Leg::Invite) => statuses,
            (_, _) => &[],
        };
        let mut one = 0;
        while one < statuses.len() {
            let place = (statuses[one] - FIRST) as usize;
            assert!(found[place] == NONE, "a status has two rows");
            found[place] = short(number);
            one += 1;
        }
        number += 1;
    }
    let mut status = 0;
    while status < STATUSES {
        if found[status] == NONE {
            found[status] = short(class_row(leg, status / 100 + 2));
        }
        status += 1;
    }
    found
}

const ROW_OF_EVENT: [u8; Event::ALL.len()] = {
    let mut found = [NONE; Event::ALL.len()];
    let mut number = 0;
    while number < TABLE.len() {
        if let On::Event(event) = TABLE[number].on {
            assert!(found[event as usize] == NONE, "an event has two rows");
            found[event as usize] = short(number);
        }
        number += 1;
    }
    let mut event = 0;
    while event < found.len() {
        assert!(found[event] != NONE, "an event has no row");
        assert!(Event::ALL[event] as usize == event);
        event += 1;
    }
    found
};

const fn class_row(leg: Leg, class: usize) -> usize {
    let (mut found, mut number) = (TABLE.len(), 0);
    while number < TABLE.len() {
        let is_it = match (TABLE[number].on, leg) {
            (Class(of), Leg::Message)
            | (InviteClass(of), Leg::Invite)
            | (MsrpClass(of), Leg::Msrp) => of as usize == class,
            (MsrpOther, Leg::Msrp) => class == OTHER,
            (_, _) => false,
        };
        if is_it {
            assert!(found == TABLE.len(), "a class has two rows");
            found = number;
        }
        number += 1;
    }
    assert!(found < TABLE.len(), "a class has no row");
    found
}

/// What is of no class that MSRP knows.
const OTHER: usize = usize::MAX;
const MSRP_CLASSES: [&Row; 3] = [
    &TABLE[class_row(Leg::Msrp, 2)],
    &TABLE[class_row(Leg::Msrp, 4)],
    &TABLE[class_row(Leg::Msrp, OTHER)],
];

#[expect(clippy::cast_possible_truncation, reason = "asserted")]
const fn short(number: usize) -> u8 {
    assert!(number < NONE as usize);
    number as u8
}

/// The row of a final response; `None` for what no final status is.
pub const fn row_of_status(status: u16) -> Option<&'static Row> {
    if status < FIRST || status as usize >= FIRST as usize + STATUSES {
        return None;
    }
    Some(&TABLE[ROW_OF_STATUS[(status - FIRST) as usize] as usize])
}

/// The row of a final response to the INVITE for a Large Message; `None` for what no final status is.
pub const fn row_of_invite(status: u16) -> Option<&'static Row> {
    if status < FIRST || status as usize >= FIRST as usize + STATUSES {
        return None;
    }
    Some(&TABLE[ROW_OF_INVITE[(status - FIRST) as usize] as usize])
}

/// The row of a status in a response to a SEND, or in a REPORT. Every number has one.
pub const fn row_of_msrp(status: u16) -> &'static Row {
    let mut number = 0;
    while number < TABLE.len() {
        if let Msrp(statuses) = TABLE[number].on {
            let mut one = 0;
            while one < statuses.len() {
                if statuses[one] == status {
                    return &TABLE[number];
                }
                one += 1;
            }
        }
        number += 1;
    }
    match status {
        200..=299 => MSRP_CLASSES[0],
        400..=499 => MSRP_CLASSES[1],
        _ => MSRP_CLASSES[2],
    }
}

/// The row of an event.
pub const fn row_of_event(event: Event) -> &'static Row {
    &TABLE[ROW_OF_EVENT[event as usize] as usize]
}

/// Whether a mobile station may send this RP-Cause (TS 24.011 table 8.4), and we in its place: 22
/// is legal there, but not for us (hazard H57: a service centre then waits for the alert that memory
/// is available again, which no instant messaging client sends).
pub(super) const fn is_cause_of_ours(cause: u8) -> bool {
    matches!(cause, 81 | 95..=99 | 111)
}

const _: () = {
    let mut number = 0;
    while number < TABLE.len() {
        let row = TABLE[number];
        if let Some(cause) = row.cause {
            assert!(is_cause_of_ours(cause), "an RP-Cause that we must not send");
        }
        // TS 23.040 section 9.2.3.22: 0xAx and 0xCx are for SMS-SUBMIT-REPORT.
        assert!(
            !matches!(row.fcs, 0x00..=0x7F | 0xA0..=0xAF | 0xC0..=0xCF),
            "not a TP-FCS of an MS"
        );
        number += 1;
    }
};

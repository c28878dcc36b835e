//! What is injected for a short message, and what is right then.
//!
//! Written down by hand from the standards: RFC 3428 section 7 says what proves delivery, TS 24.011
//! section 8.2.5.4 which causes a mobile station may send. A repetition of what is proved is answered
//! and reaches nobody; a repetition of what is not proved is tried again.

use crate::load::truth::{After, Answer};

/// What happens to one short message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Case {
    /// 200 at once.
    Ok,
    /// 202: somebody else will try to deliver it. The SC repeats it.
    Accepted,
    /// 404, and the SC repeats it.
    NotFound,
    /// 603, and the SC repeats it.
    Declined,
    /// 480, and 200 when the SC repeats it.
    Unavailable,
    /// 480 with a Retry-After that the SC does not wait for.
    NotBefore,
    /// 486, and 486 again when the SC repeats it.
    Busy,
    /// 503, and 200 when the SC repeats it.
    Overloaded,
    /// 504, and 200 when the SC repeats it.
    GatewayTimeout,
    /// Nothing, and the user never saw it; 200 when the SC repeats it.
    SilentHasNot,
    /// Nothing, although the user saw it; 200 when the SC repeats it.
    SilentHas,
    /// 200 after the deadline, before timer F; then the SC repeats it.
    OkLate,
    /// 200 after timer F; then the SC repeats it.
    OkTooLate,
    /// The SC repeats it before the 200 comes.
    InFlight,
    /// 200, but the SC loses each RP-ACK of the first submission and repeats it.
    AckLost,
    /// 200, but the SC loses the first transmission of the RP-ACK.
    AckLostOnce,
    /// 404, but the SC loses the RP-ERROR of the first submission and repeats it.
    ErrorLost,
    /// One of two texts to one recipient: RFC 3428 section 8 allows one at a time.
    TwoTexts,
    /// One of two parts of a concatenated short message.
    TwoParts,
    /// Short message type 0: acknowledged, shown to nobody (TS 23.040 section 9.2.3.9).
    TypeZero,
    /// 8-bit data, which is no text.
    Octets,
    /// Too long for a MESSAGE: a session to the phone, and 200 to all of it.
    Session,
    /// The phone connects to us.
    SessionComes,
    /// 413 to the MESSAGE, so that it goes in a session.
    SessionSwitched,
    /// 486 to the INVITE, and a session when the SC repeats it.
    SessionBusy,
    /// 603 to the INVITE, and the SC repeats it.
    SessionDeclined,
    /// 180 to the INVITE and no more, and a session when the SC repeats it.
    SessionRings,
    /// 413 to the chunk, and the SC repeats it.
    SessionTooLarge,
    /// 415 to the chunk, and the SC repeats it.
    SessionRefused,
    /// No response to the chunk, although the user saw it; 200 when the SC repeats it.
    SessionSilent,
    /// The connection ends behind the chunk, which the user saw; 200 in the second session.
    SessionLost,
    /// 200 of the relay to the chunk, and then a REPORT about all of it.
    Relay,
    /// The same in two REPORTs, the last octets first.
    RelayParts,
    /// 200 of the relay, and the user never saw it; a REPORT when the SC repeats it.
    RelaySilent,
    /// REPORTs with a gap between them; one about all of it when the SC repeats it.
    RelayGap,
    /// A REPORT after the deadline; then the SC repeats it.
    RelayLate,
    /// 200 of the relay, and then a REPORT of 413. The SC repeats it.
    RelayFailed,
}

/// In which way a text reaches the user agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// A MESSAGE.
    Pager,
    /// A session with the user agent itself.
    Phone,
    /// A session with an MSRP relay before the user agent (RFC 4976).
    Relay,
}

/// What is right for a case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Right {
    /// Whether the last submission is answered RP-ACK, else RP-ERROR.
    pub acknowledged: bool,
    /// The verdict behind an RP-ACK.
    pub verdict: char,
    /// The verdict behind an RP-ERROR, a space where none is right.
    pub error: char,
    /// The TP-FCS in an RP-ERROR.
    pub fcs: u8,
    /// How often the SC submits it while the answer is RP-ERROR.
    pub submissions_max: u8,
    /// How many transactions carry it to the user agent: of MESSAGE, or of INVITE.
    pub transactions: u16,
    /// Whether the user sees it.
    pub seen: bool,
}

/// How often a message is submitted at most.
pub const SUBMISSIONS_MAX: usize = 4;

/// RP-Cause "protocol error, unspecified": the one that is right for a mobile station here.
pub const CAUSE: u8 = 111;

/// TP-FCS "unspecified error cause" and "data coding scheme (alphabet) not supported".
const FCS_UNSPECIFIED: u8 = 0xFF;
const FCS_ALPHABET: u8 = 0x90;

impl Case {
    /// Every case in the order of the table.
    pub const ALL: [Self; 37] = [
        Self::Ok,
        Self::Accepted,
        Self::NotFound,
        Self::Declined,
        Self::Unavailable,
        Self::NotBefore,
        Self::Busy,
        Self::Overloaded,
        Self::GatewayTimeout,
        Self::SilentHasNot,
        Self::SilentHas,
        Self::OkLate,
        Self::OkTooLate,
        Self::InFlight,
        Self::AckLost,
        Self::AckLostOnce,
        Self::ErrorLost,
        Self::TwoTexts,
        Self::TwoParts,
        Self::TypeZero,
        Self::Octets,
        Self::Session,
        Self::SessionComes,
        Self::SessionSwitched,
        Self::SessionBusy,
        Self::SessionDeclined,
        Self::SessionRings,
        Self::SessionTooLarge,
        Self::SessionRefused,
        Self::SessionSilent,
        Self::SessionLost,
        Self::Relay,
        Self::RelayParts,
        Self::RelaySilent,
        Self::RelayGap,
        Self::RelayLate,
        Self::RelayFailed,
    ];

    /// The sum of all weights.
    pub const WEIGHTS: u64 = {
        let mut sum = 0;
        let mut index = 0;
        while index < Self::ALL.len() {
            sum += Self::ALL[index].weight();
            index += 1;
        }
        sum
    };

    /// How often it is injected.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Ok => 250,
            Self::Unavailable => 80,
            Self::AckLost => 60,
            Self::InFlight => 50,
            Self::Accepted | Self::NotFound | Self::Busy | Self::AckLostOnce => 40,
            Self::Overloaded => 30,
            Self::Declined | Self::NotBefore | Self::ErrorLost => 20,
            Self::TwoTexts | Self::TwoParts => 20,
            Self::TypeZero | Self::Octets => 15,
            Self::GatewayTimeout | Self::SilentHasNot | Self::SilentHas => 10,
            Self::OkLate | Self::OkTooLate => 10,
            Self::Session | Self::Relay => 20,
            Self::SessionSwitched | Self::SessionBusy => 15,
            Self::SessionComes | Self::SessionDeclined | Self::SessionRings => 10,
            Self::SessionTooLarge | Self::SessionRefused | Self::SessionLost => 10,
            Self::SessionSilent | Self::RelayParts | Self::RelaySilent => 10,
            Self::RelayGap | Self::RelayLate | Self::RelayFailed => 10,
        }
    }

    /// Its name in the user part of a recipient.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ok => "200",
            Self::Accepted => "202",
            Self::NotFound => "404",
            Self::Declined => "603",
            Self::Unavailable => "480",
            Self::NotBefore => "not-before",
            Self::Busy => "486",
            Self::Overloaded => "503",
            Self::GatewayTimeout => "504",
            Self::SilentHasNot => "silent",
            Self::SilentHas => "silent-has",
            Self::OkLate => "late",
            Self::OkTooLate => "too-late",
            Self::InFlight => "in-flight",
            Self::AckLost => "ack-lost",
            Self::AckLostOnce => "ack-lost-once",
            Self::ErrorLost => "error-lost",
            Self::TwoTexts => "two-texts",
            Self::TwoParts => "two-parts",
            Self::TypeZero => "type-0",
            Self::Octets => "8-bit",
            Self::Session => "session",
            Self::SessionComes => "comes",
            Self::SessionSwitched => "switched",
            Self::SessionBusy => "session-486",
            Self::SessionDeclined => "session-603",
            Self::SessionRings => "rings",
            Self::SessionTooLarge => "chunk-413",
            Self::SessionRefused => "chunk-415",
            Self::SessionSilent => "chunk-silent",
            Self::SessionLost => "lost",
            Self::Relay => "relay",
            Self::RelayParts => "relay-parts",
            Self::RelaySilent => "relay-silent",
            Self::RelayGap => "relay-gap",
            Self::RelayLate => "relay-late",
            Self::RelayFailed => "relay-413",
        }
    }

    /// What tables call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::Accepted => "202 Accepted, repeated",
            Self::NotFound => "404 Not Found, repeated",
            Self::Declined => "603 Decline, repeated",
            Self::Unavailable => "480, repeated: 200",
            Self::NotBefore => "480 Retry-After, repeated",
            Self::Busy => "486, repeated: 486",
            Self::Overloaded => "503, repeated: 200",
            Self::GatewayTimeout => "504, repeated: 200",
            Self::SilentHasNot => "silence, repeated: 200",
            Self::SilentHas => "silence but seen, rep.: 200",
            Self::OkLate => "200 past deadline, repeated",
            Self::OkTooLate => "200 past Timer F, repeated",
            Self::InFlight => "repeated before its 200",
            Self::AckLost => "200, report lost, repeated",
            Self::AckLostOnce => "200, first report lost",
            Self::ErrorLost => "404, report lost, repeated",
            Self::TwoTexts => "two texts to one recipient",
            Self::TwoParts => "two parts of one text",
            Self::TypeZero => "type 0, which nobody sees",
            Self::Octets => "8-bit data, no text",
            Self::Session => "200 to all of it",
            Self::SessionComes => "the phone connects",
            Self::SessionSwitched => "413 to MESSAGE: a session",
            Self::SessionBusy => "486 to INVITE, rep.: 200",
            Self::SessionDeclined => "603 to INVITE, repeated",
            Self::SessionRings => "180, CANCEL, repeated: 200",
            Self::SessionTooLarge => "413 to the chunk, repeated",
            Self::SessionRefused => "415 to the chunk, repeated",
            Self::SessionSilent => "silence but seen, rep.: 200",
            Self::SessionLost => "lost before its 200: again",
            Self::Relay => "relay, REPORT of all",
            Self::RelayParts => "relay, REPORT in two parts",
            Self::RelaySilent => "relay, no REPORT, repeated",
            Self::RelayGap => "relay, REPORT with a gap",
            Self::RelayLate => "relay, late REPORT, rep.",
            Self::RelayFailed => "relay, REPORT 413, repeated",
        }
    }

    /// In which way it reaches the user agent.
    pub const fn way(self) -> Way {
        match self {
            Self::Session | Self::SessionComes | Self::SessionSwitched | Self::SessionBusy => {
                Way::Phone
            }
            Self::SessionDeclined | Self::SessionRings | Self::SessionTooLarge => Way::Phone,
            Self::SessionRefused | Self::SessionSilent | Self::SessionLost => Way::Phone,
            Self::Relay | Self::RelayParts | Self::RelaySilent | Self::RelayGap => Way::Relay,
            Self::RelayLate | Self::RelayFailed => Way::Relay,
            Self::Ok | Self::Accepted | Self::NotFound | Self::Declined | Self::Unavailable => {
                Way::Pager
            }
            Self::NotBefore | Self::Busy | Self::Overloaded | Self::GatewayTimeout => Way::Pager,
            Self::SilentHasNot | Self::SilentHas | Self::OkLate | Self::OkTooLate => Way::Pager,
            Self::InFlight | Self::AckLost | Self::AckLostOnce | Self::ErrorLost => Way::Pager,
            Self::TwoTexts | Self::TwoParts | Self::TypeZero | Self::Octets => Way::Pager,
        }
    }

    /// Whether it is sent in a session.
    pub fn is_large(self) -> bool {
        self.way() != Way::Pager
    }

    /// Whether it is too long for a MESSAGE.
    pub fn is_long(self) -> bool {
        self.is_large() && self != Self::SessionSwitched
    }

    /// Whether two messages in a row have one recipient.
    pub const fn is_pair(self) -> bool {
        matches!(self, Self::TwoTexts | Self::TwoParts)
    }

    /// Whether the SC waits for the late 200 before it repeats the message, so that there is proof.
    pub const fn waits_for_proof(self) -> bool {
        matches!(self, Self::OkLate | Self::OkTooLate | Self::RelayLate)
    }

    /// Whether the SC loses the reports about the first submission.
    pub const fn loses_reports(self) -> bool {
        matches!(self, Self::AckLost | Self::ErrorLost)
    }

    /// Whether the user sees the message when the request of this attempt, from 0, arrives.
    pub const fn is_seen_at(self, attempt: usize) -> bool {
        match self {
            Self::Unavailable | Self::Overloaded | Self::GatewayTimeout | Self::SilentHasNot => {
                attempt > 0
            }
            Self::Accepted | Self::NotFound | Self::Declined | Self::NotBefore => false,
            Self::Busy | Self::ErrorLost | Self::TypeZero | Self::Octets => false,
            Self::Ok | Self::SilentHas | Self::OkLate | Self::OkTooLate | Self::InFlight => true,
            Self::AckLost | Self::AckLostOnce | Self::TwoTexts | Self::TwoParts => true,
            Self::Session | Self::SessionComes | Self::SessionSwitched => true,
            Self::SessionSilent | Self::SessionLost => true,
            Self::SessionBusy | Self::SessionRings => attempt > 0,
            Self::SessionDeclined | Self::SessionTooLarge | Self::SessionRefused => false,
            Self::Relay | Self::RelayParts | Self::RelayLate => true,
            Self::RelaySilent | Self::RelayGap => attempt > 0,
            Self::RelayFailed => false,
        }
    }

    /// What the user agent answers to the MESSAGE of this attempt, from 0.
    pub const fn answer(self, attempt: usize) -> Option<Answer> {
        let (after, status) = match self {
            Self::Accepted => (After::Now, 202),
            Self::NotFound | Self::ErrorLost => (After::Now, 404),
            Self::Declined => (After::Now, 603),
            Self::NotBefore => (After::Now, 480),
            Self::Busy => (After::Now, 486),
            Self::Unavailable if attempt == 0 => (After::Now, 480),
            Self::Overloaded if attempt == 0 => (After::Now, 503),
            Self::GatewayTimeout if attempt == 0 => (After::Now, 504),
            // Short message type 0 and 8-bit data must not come here at all.
            Self::SilentHasNot | Self::SilentHas | Self::TypeZero | Self::Octets
                if attempt == 0 =>
            {
                return None;
            }
            Self::OkLate if attempt == 0 => (After::Deadline, 200),
            Self::OkTooLate if attempt == 0 => (After::TimerF, 200),
            Self::InFlight => (After::Ms(300), 200),
            Self::TwoTexts | Self::TwoParts => (After::Ms(20), 200),
            Self::Ok | Self::Unavailable | Self::Overloaded | Self::GatewayTimeout => {
                (After::Now, 200)
            }
            Self::SilentHasNot | Self::SilentHas | Self::OkLate | Self::OkTooLate => {
                (After::Now, 200)
            }
            Self::AckLost | Self::AckLostOnce | Self::TypeZero | Self::Octets => (After::Now, 200),
            Self::SessionSwitched => (After::Now, 413),
            Self::Session | Self::SessionComes | Self::SessionBusy | Self::SessionDeclined => {
                return None;
            }
            Self::SessionRings | Self::SessionTooLarge | Self::SessionRefused => return None,
            Self::SessionSilent | Self::SessionLost | Self::Relay | Self::RelayParts => {
                return None;
            }
            Self::RelaySilent | Self::RelayGap | Self::RelayLate | Self::RelayFailed => {
                return None;
            }
        };
        Some(Answer { after, status })
    }

    /// What is right.
    pub const fn right(self) -> Right {
        let (acknowledged, error, submissions_max, transactions) = match self {
            Self::Ok | Self::AckLostOnce => (true, ' ', 1, 1),
            Self::InFlight | Self::AckLost => (true, ' ', 2, 1),
            Self::Accepted => (false, 'A', 2, 1),
            Self::NotFound | Self::Declined | Self::ErrorLost => (false, 'P', 2, 1),
            Self::NotBefore => (false, 'T', 2, 1),
            Self::Busy => (false, 'T', 2, 2),
            Self::Unavailable | Self::Overloaded => (true, 'T', 4, 2),
            Self::GatewayTimeout | Self::SilentHasNot | Self::SilentHas => (true, 'U', 4, 2),
            Self::OkLate | Self::OkTooLate => (true, 'U', 4, 1),
            // On a machine that stands still, the second may have to wait longer than it is allowed to.
            Self::TwoTexts | Self::TwoParts => (true, 'T', 4, 1),
            Self::TypeZero => (true, ' ', 1, 0),
            Self::Octets => (false, 'P', 1, 0),
            Self::Session | Self::SessionComes | Self::SessionSwitched => (true, ' ', 1, 1),
            Self::Relay | Self::RelayParts => (true, ' ', 1, 1),
            Self::SessionLost => (true, ' ', 1, 2),
            Self::SessionBusy | Self::SessionRings => (true, 'T', 4, 2),
            Self::SessionDeclined | Self::SessionTooLarge => (false, 'P', 2, 1),
            Self::SessionRefused | Self::RelayFailed => (false, 'P', 2, 1),
            Self::SessionSilent | Self::RelaySilent | Self::RelayGap => (true, 'U', 4, 2),
            Self::RelayLate => (true, 'U', 4, 1),
        };
        Right {
            acknowledged,
            verdict: if matches!(self, Self::TypeZero) { 'A' } else { 'D' },
            error,
            // Of 415 because the user agent takes no such content.
            fcs: if matches!(self, Self::Octets | Self::SessionRefused) {
                FCS_ALPHABET
            } else {
                FCS_UNSPECIFIED
            },
            submissions_max,
            transactions,
            seen: acknowledged && !matches!(self, Self::TypeZero),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_case_once() {
        for (index, case) in Case::ALL.into_iter().enumerate() {
            assert_eq!(case as usize, index);
            assert!(case.label().len() <= 27, "{case:?}");
            let same = Case::ALL.into_iter().filter(|other| other.code() == case.code());
            assert_eq!(same.count(), 1, "{case:?}");
        }
        assert_eq!(Case::WEIGHTS, 1_000);
    }

    #[test]
    fn an_acknowledgement_is_right_only_where_the_user_sees_it() {
        for case in Case::ALL {
            let right = case.right();
            let attempts = usize::from(right.transactions);
            assert_eq!(right.seen, (0..attempts).any(|at| case.is_seen_at(at)), "{case:?}");
            assert!(usize::from(right.submissions_max) <= SUBMISSIONS_MAX, "{case:?}");
            assert!(!right.acknowledged || right.seen || case == Case::TypeZero, "{case:?}");
            if case.is_large() {
                continue;
            }
            let last = attempts.checked_sub(1).and_then(|last| case.answer(last));
            let is_proved = last.is_some_and(|answer| answer.status == 200);
            assert_eq!(right.verdict == 'D' && right.acknowledged, is_proved, "{case:?}");
        }
    }
}

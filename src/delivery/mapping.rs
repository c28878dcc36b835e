//! What is known about the sending of an instant message, and what that means on the SMS side: the
//! one table.
//!
//! Everything that decides, reports or explains reads it here: the verdicts of a peer are compiled
//! from it ([`Mapping`]), so is what the RP layer is told, and `roger explain` prints it.
//!
//! Defined by standards are 200, 202 and 6xx (RFC 3428 section 7), the meaning of a time-out
//! (RFC 3261 section 8.1.3.1), the standard SM error (TS 23.040: a SIP failure is
//! equipmentProtocolError, a SIP time-out absentSubscriber) and which RP-Causes a mobile station may
//! send (TS 24.011 section 8.2.5.4). The rest is chosen so that nothing is claimed that is not proved.
//!
//! As `roger explain` prints it:
//!
//! ```text
#![doc = include_str!("../../tests/snapshots/mapping.txt")]
//! ```

mod codes;
mod compiled;
mod event;
mod rows;
mod sessions;
#[cfg(test)]
mod tests;

pub use self::codes::{
    Way, fcs_name, msrp_meaning, registered, rp_cause_name, rp_cause_way, tp_status_name,
};
pub use self::compiled::{Answer, Effective, Mapping, Origin, Preset, Refusal};
pub use self::event::Event;
pub use self::rows::{TABLE, row_of_event, row_of_invite, row_of_msrp, row_of_status};

use crate::delivery::{Evidence, Verdict};

/// One row: what came, what it proves, and how that is told.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What came.
    pub on: On,
    /// What it proves. A 2xx proves delivery only where the peer speaks for the recipient.
    pub verdict: Verdict,
    /// When it proves something else.
    pub exception: Exception,
    /// What is tried before the verdict; empty where nothing is.
    pub tries: &'static str,
    /// Whether the whole message may be sent once more, with the same Message-ID, on a new session
    /// (RFC 4975 section 5.4).
    pub again: bool,
    /// RP-Cause in an RP-ERROR of ours in the place of the mobile station (TS 24.011 section
    /// 8.2.5.4); `None` is RP-ACK.
    pub cause: Option<u8>,
    /// TP-FCS in its SMS-DELIVER-REPORT (TS 23.040 section 9.2.3.22).
    pub fcs: u8,
    /// What a service centre is told over MAP as TS 23.040 says.
    pub sm_error: SmError,
    /// A finer choice, for networks that raise alerts when a subscriber is back (hazard H58: where
    /// nobody does, an absentSubscriberSM would keep the message waiting for one).
    pub sm_error_extended: Option<SmError>,
    /// TP-Status of a status report (TS 23.040 section 9.2.3.15).
    pub tp_status: TpStatus,
    /// message_state of an SMPP receipt when it is over (SMPP 3.4 section 5.2.28).
    pub message_state: MessageState,
    /// Where it is written.
    pub source: &'static str,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum On {
    /// A final response with one of these status codes.
    Statuses(&'static [u16]),
    /// A final response of this class, 2 to 6, that no other row names (RFC 3261 section 8.1.3.2:
    /// what is not known counts as x00).
    Class(u16),
    /// Something else than a status.
    Event(Event),
    /// A final response to the INVITE for a Large Message with one of these status codes.
    Invite(&'static [u16]),
    /// A final response to the INVITE of this class that no other row names.
    InviteClass(u16),
    /// A response to a SEND or a REPORT with one of these status codes (RFC 4975 section 10).
    Msrp(&'static [u16]),
    /// One of this class that no other row names.
    MsrpClass(u16),
    /// One of no class that is known.
    MsrpOther,
}

impl On {
    /// What was asked that it is about.
    pub const fn leg(self) -> Leg {
        match self {
            Self::Statuses(_) | Self::Class(_) => Leg::Message,
            Self::Invite(_) | Self::InviteClass(_) => Leg::Invite,
            Self::Msrp(_) | Self::MsrpClass(_) | Self::MsrpOther => Leg::Msrp,
            Self::Event(event) => event.leg(),
        }
    }
}

/// A part of the way that an instant message takes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Leg {
    /// The MESSAGE of pager mode.
    Message,
    /// The INVITE for a Large Message.
    Invite,
    /// The MSRP session in which it is sent.
    Msrp,
}

impl Leg {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Message, Self::Invite, Self::Msrp];

    /// Its name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "sip",
            Self::Invite => "invite",
            Self::Msrp => "msrp",
        }
    }
}

/// When a status proves something else than its row says at first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exception {
    /// Never.
    Never,
    /// Temporary if it says when to try again (RFC 3261 section 20.33).
    RetryAfter,
    /// Permanent if it answers credentials of ours: what was refused stays refused.
    Credentials,
    /// Unknown if it answers a copy: the first one is being processed there (RFC 3261 section
    /// 8.2.2.2, hazard H8).
    Copy,
}

impl Exception {
    /// The verdict in that case.
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Never => None,
            Self::RetryAfter => Some(Verdict::Temporary),
            Self::Credentials => Some(Verdict::Permanent),
            Self::Copy => Some(Verdict::Unknown),
        }
    }

    /// The case in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Never => "",
            Self::RetryAfter => "with a Retry-After",
            Self::Credentials => "in answer to credentials",
            Self::Copy => "in answer to a second copy: the first one is there",
        }
    }
}

/// What MAP MT-ForwardShortMessage fails with (TS 29.002).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SmError {
    /// Error code; 0 for success.
    pub code: u8,
    /// sm-EnumeratedDeliveryFailureCause of 32, absentSubscriberDiagnosticSM of 6.
    pub detail: Option<u8>,
}

impl SmError {
    /// No error.
    pub const SUCCESS: Self = Self { code: 0, detail: None };
    /// unknownSubscriber.
    pub const UNKNOWN_SUBSCRIBER: Self = Self { code: 1, detail: None };
    /// absentSubscriberSM, deregistered for IMS.
    pub const DEREGISTERED: Self = Self { code: 6, detail: Some(11) };
    /// absentSubscriberSM, no response by way of the IP-SM-GW.
    pub const NO_RESPONSE: Self = Self { code: 6, detail: Some(12) };
    /// callBarred.
    pub const CALL_BARRED: Self = Self { code: 13, detail: None };
    /// absentSubscriber.
    pub const ABSENT_SUBSCRIBER: Self = Self { code: 27, detail: None };
    /// subscriberBusyForMT-SMS.
    pub const SUBSCRIBER_BUSY: Self = Self { code: 31, detail: None };
    /// equipmentProtocolError.
    pub const EQUIPMENT_PROTOCOL_ERROR: Self = Self { code: 32, detail: Some(1) };
    /// equipmentNotSM-Equipped.
    pub const NOT_SM_EQUIPPED: Self = Self { code: 32, detail: Some(2) };
    /// sc-Congestion.
    pub const SC_CONGESTION: Self = Self { code: 32, detail: Some(4) };
    /// systemFailure.
    pub const SYSTEM_FAILURE: Self = Self { code: 34, detail: None };

    /// Its name.
    pub const fn name(self) -> &'static str {
        match (self.code, self.detail) {
            (0, _) => "success",
            (1, _) => "unknownSubscriber",
            (6, Some(11)) => "absentSubscriberSM, deregistered for IMS",
            (6, _) => "absentSubscriberSM, no response via the IP-SM-GW",
            (13, _) => "callBarred",
            (27, _) => "absentSubscriber",
            (31, _) => "subscriberBusyForMT-SMS",
            (32, Some(1)) => "equipmentProtocolError",
            (32, Some(2)) => "equipmentNotSM-Equipped",
            (32, _) => "sc-Congestion",
            (_, _) => "systemFailure",
        }
    }
}

impl core::fmt::Display for SmError {
    /// `32/1`, `27`; `ok` for success.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self { code: 0, .. } => f.pad("ok"),
            Self { code, detail: Some(detail) } => write!(f, "{code}/{detail}"),
            Self { code, detail: None } => write!(f, "{code}"),
        }
    }
}

/// TP-Status while somebody still tries, and when nobody does any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TpStatus {
    /// 0x20 to 0x3F; `None` where nothing is tried again.
    pub still_trying: Option<u8>,
    /// The final one.
    pub at_the_end: u8,
}

/// message_state (SMPP 3.4 section 5.2.28). ACCEPTED is missing on purpose: there are platforms
/// that count it as delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum MessageState {
    /// The recipient has it.
    Delivered = 2,
    /// It cannot be delivered.
    Undeliverable = 5,
    /// Nobody knows.
    Unknown = 7,
    /// It was refused.
    Rejected = 8,
}

impl MessageState {
    /// The word in the text of a receipt (SMPP 3.4 appendix B).
    pub const fn stat(self) -> &'static str {
        match self {
            Self::Delivered => "DELIVRD",
            Self::Undeliverable => "UNDELIV",
            Self::Unknown => "UNKNOWN",
            Self::Rejected => "REJECTD",
        }
    }
}

impl Row {
    /// The row that `evidence` belongs to. What an earlier submission has proved belongs to the row
    /// of its status.
    pub const fn of(evidence: Evidence) -> Option<&'static Self> {
        if let Some(event) = Event::of(evidence) {
            return Some(row_of_event(event));
        }
        if let Evidence::Invite(response) = evidence {
            return row_of_invite(response.status);
        }
        if let Evidence::MsrpResponse(status) | Evidence::MsrpReport(status) = evidence {
            return Some(row_of_msrp(status));
        }
        row_of_status(evidence.status())
    }

    /// The row where something else was proved than it says: by role, exception or configuration.
    /// What follows from the verdict alone follows that one.
    pub const fn with(&self, verdict: Verdict) -> Self {
        if matches!(
            (self.verdict, verdict),
            (Verdict::Delivered, Verdict::Delivered)
                | (Verdict::Permanent, Verdict::Permanent)
                | (Verdict::Temporary, Verdict::Temporary)
                | (Verdict::Unknown, Verdict::Unknown)
                | (Verdict::Accepted, Verdict::Accepted)
        ) {
            return *self;
        }
        let general = Self::new(self.on, verdict, self.source);
        Self {
            fcs: self.fcs,
            tries: self.tries,
            again: self.again,
            exception: self.exception,
            ..general
        }
    }

    /// A row in which everything follows from the verdict.
    const fn new(on: On, verdict: Verdict, source: &'static str) -> Self {
        let (still_trying, at_the_end) = match verdict {
            Verdict::Delivered => (None, 0x00),
            Verdict::Permanent => (None, 0x40),
            Verdict::Temporary | Verdict::Unknown => (Some(0x22), 0x62),
            Verdict::Accepted => (None, 0x01),
        };
        Self {
            on,
            verdict,
            exception: Exception::Never,
            tries: "",
            again: false,
            cause: match verdict {
                Verdict::Delivered => None,
                Verdict::Permanent | Verdict::Temporary | Verdict::Unknown | Verdict::Accepted => {
                    Some(111)
                }
            },
            fcs: 0xFF,
            sm_error: match verdict {
                Verdict::Delivered => SmError::SUCCESS,
                Verdict::Permanent | Verdict::Temporary => SmError::EQUIPMENT_PROTOCOL_ERROR,
                Verdict::Unknown | Verdict::Accepted => SmError::ABSENT_SUBSCRIBER,
            },
            sm_error_extended: match verdict {
                Verdict::Unknown | Verdict::Accepted => Some(SmError::NO_RESPONSE),
                Verdict::Delivered | Verdict::Permanent | Verdict::Temporary => None,
            },
            tp_status: TpStatus { still_trying, at_the_end },
            message_state: match verdict {
                Verdict::Delivered => MessageState::Delivered,
                Verdict::Permanent | Verdict::Temporary => MessageState::Undeliverable,
                // UNDELIV would say that it was not delivered, which nobody knows.
                Verdict::Unknown | Verdict::Accepted => MessageState::Unknown,
            },
            source,
        }
    }

    const fn tries(self, tries: &'static str) -> Self {
        Self { tries, ..self }
    }

    const fn again(self) -> Self {
        let tries = "once more on a new session, with the same Message-ID";
        Self { again: true, tries, ..self }
    }

    const fn except(self, exception: Exception) -> Self {
        Self { exception, ..self }
    }

    const fn fcs(self, fcs: u8) -> Self {
        Self { fcs, ..self }
    }

    const fn extended(self, error: SmError) -> Self {
        Self { sm_error_extended: Some(error), ..self }
    }

    const fn ends(self, at_the_end: u8) -> Self {
        Self { tp_status: TpStatus { still_trying: None, at_the_end }, ..self }
    }

    const fn pair(self, still_trying: u8, at_the_end: u8) -> Self {
        Self { tp_status: TpStatus { still_trying: Some(still_trying), at_the_end }, ..self }
    }

    /// TS 23.040: a SIP time-out is absentSubscriber.
    const fn silent(self) -> Self {
        let (sm_error, sm_error_extended) =
            (SmError::ABSENT_SUBSCRIBER, Some(SmError::NO_RESPONSE));
        Self { sm_error, sm_error_extended, ..self }
    }

    const fn rejected(self) -> Self {
        Self { message_state: MessageState::Rejected, ..self }
    }

    const fn acknowledged(self) -> Self {
        Self { cause: None, sm_error: SmError::SUCCESS, sm_error_extended: None, ..self }
    }
}

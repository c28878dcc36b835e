//! The table as one peer's final responses are read.

use core::fmt;

use crate::delivery::evidence::{Asked, Final, Role};
use crate::delivery::mapping::rows::{FIRST, STATUSES, is_cause_of_ours};
use crate::delivery::mapping::sessions::Said;
use crate::delivery::mapping::{Exception, Leg, Row, row_of_invite, row_of_status};
use crate::delivery::{Evidence, Verdict};

/// What the RP layer is told (TS 24.011 section 7.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// RP-ACK.
    Ack,
    /// RP-ERROR with these values.
    Error {
        /// RP-Cause (section 8.2.5.4).
        cause: u8,
        /// TP-FCS (TS 23.040 section 9.2.3.22).
        fcs: u8,
    },
}

/// What a status proves when it comes from one peer.
#[derive(Clone, Copy, Debug)]
struct Entry {
    verdict: Verdict,
    exception: Exception,
}

/// The table as one peer's final responses are read: compiled at the start from its role, from a
/// preset and from what its configuration says otherwise, so that a look-up is an index.
#[derive(Clone, Debug)]
pub struct Mapping {
    entries: Box<[Entry; STATUSES]>,
    role: Role,
    /// What is not as the standards say, and who said so. Never looked at for a message.
    origins: Vec<(u16, Origin)>,
    /// What is said of the INVITE and of the session of a Large Message.
    pub(super) large: Vec<Said>,
}

/// Who says what a status means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The table.
    Standard,
    /// A preset.
    Preset(Preset),
    /// The configuration, at this place: `roger.toml:23`.
    Configuration(Box<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::Preset(preset) => write!(f, "preset {}", preset.name()),
            Self::Configuration(place) => f.write_str(place),
        }
    }
}

/// What is known of a kind of peer beyond the standards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    /// Kamailio, or anything through which its responses come (R7).
    Kamailio,
}

impl Preset {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kamailio => "kamailio",
        }
    }

    /// What it says: a status, its verdict, and why. They are codes of its own that no registry
    /// knows, so that from anybody else they are what RFC 3261 section 8.1.3.2 makes of them: 400.
    pub const fn rows(self) -> &'static [(u16, Verdict, &'static str)] {
        match self {
            Self::Kamailio => &[
                (477, Verdict::Temporary, "it could not send to the next hop"),
                (478, Verdict::Temporary, "it could not resolve the next hop"),
            ],
        }
    }
}

/// Why a status cannot mean that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is not the status of a final response.
    NotFinal,
    /// Only a 2xx can say that a message was delivered.
    NotDelivered,
    /// Acceptance is not delivery.
    AcceptedOnly,
    /// The peer's role says that its 2xx is not the recipient's.
    RoleOnlyAccepts,
    /// Only a 2xx can say that somebody took responsibility.
    NotAccepted,
    /// A 2xx does not say that a message was not delivered.
    NotFailed,
    /// A 2xx to an INVITE opens the session in which everything else is decided.
    Opens,
    /// Before there is a session no octet has left, so that every failure is certain.
    Certain,
    /// All responses and REPORTs of a session together decide what its 200s prove.
    Covered,
    /// The message is sent once more because of this status.
    SentAgain,
}

impl Refusal {
    /// The reason in a sentence.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFinal => "final responses have the status codes 200 to 699",
            Self::NotDelivered => {
                "an error response never proves delivery, and one that speaks of a time-out or a\n\
                 cancellation proves nothing: a false \"delivered\" is the worst error"
            }
            Self::AcceptedOnly => {
                "202 says that an intermediary took the message, and nothing about its delivery\n\
                 (RFC 3428 section 7)"
            }
            Self::RoleOnlyAccepts => {
                "the role of this peer says that its 2xx is its own and not the recipient's"
            }
            Self::NotAccepted => "an error response says that nobody took responsibility",
            Self::NotFailed => {
                "a 2xx says that somebody has the message, so that sending it again may double it"
            }
            Self::Opens => "a 2xx to an INVITE opens a session, and what happens there decides",
            Self::Certain => {
                "no octet of a message leaves before there is a session, so that whatever else\n\
                 answers an INVITE says for certain that it was not delivered"
            }
            Self::Covered => {
                "one 200 says that one hop has one chunk: only all of them, or REPORTs of success,\n\
                 prove anything about a message (RFC 4975 section 5.3)"
            }
            Self::SentAgain => {
                "the chunk was not taken, and because that is certain the message is sent once\n\
                 more on a new session"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// One status as it is read, with everything that follows.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The row, with the verdict and what follows from it.
    pub row: Row,
    /// Who says so.
    pub origin: Origin,
}

impl Mapping {
    /// The table for a peer of this role.
    pub fn of(role: Role) -> Self {
        let mut entries =
            Box::new([Entry { verdict: Verdict::Unknown, exception: Exception::Never }; STATUSES]);
        for (status, entry) in (FIRST..).zip(entries.iter_mut()) {
            if let Some(row) = row_of_status(status) {
                *entry = Entry { verdict: by_role(row.verdict, role), exception: row.exception };
            }
        }
        Self { entries, role, origins: Vec::new(), large: Vec::new() }
    }

    /// What a final response proves. What no final status is proves nothing.
    pub fn verdict(&self, response: Final) -> Verdict {
        let place = usize::from(response.status).wrapping_sub(usize::from(FIRST));
        let Some(entry) = self.entries.get(place) else { return Verdict::Unknown };
        excepted(entry.exception, response).unwrap_or(entry.verdict)
    }

    /// What a final response to the INVITE for a Large Message proves: always something certain,
    /// because no octet of the message leaves before a session is there. What is set for a status of
    /// this peer holds here too, as far as it is certain.
    pub fn invite(&self, response: Final) -> Verdict {
        if let Some(said) = self.said(Leg::Invite, response.status) {
            return said.verdict;
        }
        let Some(row) = row_of_invite(response.status) else { return Verdict::Temporary };
        if self.is_set(response.status)
            && let set @ (Verdict::Permanent | Verdict::Temporary) = self.verdict(response)
        {
            return set;
        }
        excepted(row.exception, response).unwrap_or(row.verdict)
    }

    fn is_set(&self, status: u16) -> bool {
        self.origins.iter().any(|(other, _)| *other == status)
    }

    /// Says what a status means, other than the standards. It then means that with Retry-After and
    /// with credentials too; only that a second copy was recognised (482) stays unknown.
    ///
    /// # Errors
    ///
    /// If that could make a report false.
    pub fn set(&mut self, status: u16, verdict: Verdict, origin: Origin) -> Result<(), Refusal> {
        let place = usize::from(status).wrapping_sub(usize::from(FIRST));
        let Some(entry) = self.entries.get_mut(place) else { return Err(Refusal::NotFinal) };
        let success = (200..300).contains(&status);
        match verdict {
            Verdict::Delivered if !success => return Err(Refusal::NotDelivered),
            Verdict::Delivered if status == 202 => return Err(Refusal::AcceptedOnly),
            Verdict::Delivered if !self.role.speaks_for_the_recipient() => {
                return Err(Refusal::RoleOnlyAccepts);
            }
            Verdict::Accepted if !success => return Err(Refusal::NotAccepted),
            Verdict::Permanent | Verdict::Temporary if success => return Err(Refusal::NotFailed),
            Verdict::Delivered
            | Verdict::Permanent
            | Verdict::Temporary
            | Verdict::Unknown
            | Verdict::Accepted => {}
        }
        entry.verdict = verdict;
        if entry.exception != Exception::Copy {
            entry.exception = Exception::Never;
        }
        self.origins.retain(|(other, _)| *other != status);
        self.origins.push((status, origin));
        Ok(())
    }

    /// Says what a preset says. What was set before gives way to it.
    ///
    /// # Errors
    ///
    /// If that could make a report false, which is so for no preset that there is.
    pub fn preset(&mut self, preset: Preset) -> Result<(), Refusal> {
        preset
            .rows()
            .iter()
            .try_for_each(|&(status, verdict, _)| self.set(status, verdict, Origin::Preset(preset)))
    }

    /// A status as this peer's is read; `None` for what no final status is.
    pub fn effective(&self, status: u16) -> Option<Effective> {
        let place = usize::from(status).wrapping_sub(usize::from(FIRST));
        let (entry, row) = (self.entries.get(place)?, row_of_status(status)?);
        let said = self.origins.iter().find(|(other, _)| *other == status);
        Some(Effective {
            row: Row { exception: entry.exception, ..row.with(entry.verdict) },
            origin: said.map_or(Origin::Standard, |(_, origin)| origin.clone()),
        })
    }

    /// A status of a final response to an INVITE as this peer's is read; `None` for what no final
    /// status is.
    pub fn effective_invite(&self, status: u16) -> Option<Effective> {
        let row = row_of_invite(status)?;
        if let Some(said) = self.said(Leg::Invite, status) {
            return Some(said.effective(row));
        }
        let said = self.origins.iter().find(|(other, _)| *other == status);
        let asked = Asked::Once;
        let verdict = self.invite(Final { status, role: self.role, retry_after: false, asked });
        let of_row = Effective { row: *row, origin: Origin::Standard };
        let set = matches!(
            self.verdict(Final { status, role: self.role, retry_after: false, asked }),
            Verdict::Permanent | Verdict::Temporary
        );
        Some(match said {
            Some((_, origin)) if set => Effective {
                row: Row { exception: Exception::Never, ..row.with(verdict) },
                origin: origin.clone(),
            },
            Some(_) | None => of_row,
        })
    }

    /// What the RP layer is told about a verdict and the evidence behind it, by us in the place of
    /// the mobile station (TS 24.011 section 8.2.5.4 says which causes are legal there).
    pub const fn answer(&self, verdict: Verdict, evidence: Evidence) -> Answer {
        match (verdict, evidence) {
            (Verdict::Delivered, _) | (_, Evidence::Discarded) => Answer::Ack,
            (_, Evidence::Content { cause, fcs }) => {
                Answer::Error { cause: if is_cause_of_ours(cause) { cause } else { 111 }, fcs }
            }
            _ => {
                let fcs = match Row::of(evidence) {
                    Some(row) => row.fcs,
                    None => 0xFF,
                };
                Answer::Error { cause: 111, fcs }
            }
        }
    }
}

/// The verdict of an exception, if it applies.
const fn excepted(exception: Exception, response: Final) -> Option<Verdict> {
    let applies = match exception {
        Exception::Never => false,
        Exception::RetryAfter => response.retry_after,
        Exception::Credentials => matches!(response.asked, Asked::WithCredentials),
        Exception::Copy => matches!(response.asked, Asked::Again),
    };
    if applies { exception.verdict() } else { None }
}

/// RFC 5438 section 12.2, RFC 3428 section 7: whoever does not speak for the recipient can only
/// accept.
const fn by_role(verdict: Verdict, role: Role) -> Verdict {
    if matches!(verdict, Verdict::Delivered) && !role.speaks_for_the_recipient() {
        return Verdict::Accepted;
    }
    verdict
}

//! What each end writes down about each message.

/// What came back about a message whose report is a message of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Report {
    /// Nothing yet.
    #[default]
    None,
    /// RP-ACK.
    Ack,
    /// RP-ERROR with this RP-Cause.
    Error(u8),
}

/// What the sending end knows of one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// When it left, in nanoseconds of the monotonic clock; 0 if it did not.
    pub at_ns: u64,
    /// The fingerprint of the branch that brought the report.
    pub report_mark: u32,
    /// The first final response; 0 if there is none.
    pub status: u16,
    /// What was reported.
    pub report: Report,
    /// How often it was sent.
    pub transmissions: u8,
    /// Final responses that came.
    pub finals: u8,
    /// Transactions that brought a report.
    pub reports: u8,
    /// What else happened.
    pub flags: Flags,
}

/// What else happened to a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags(u8);

impl Flags {
    /// A provisional response came.
    pub const PROCEEDING: Self = Self(1);
    /// Final responses or reports that differ came.
    pub const DIFFERING: Self = Self(2);
    /// Nothing more is waited for.
    pub const RESOLVED: Self = Self(4);

    /// Whether it did.
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// It did.
    pub const fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }
}

/// What the answering end knows of one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// The fingerprint of the first transaction that brought it.
    pub mark: u32,
    /// What it was answered; 0 if nothing.
    pub status: u16,
    /// Transactions that brought it, and Message-IDs under which a session did.
    pub transactions: u8,
    /// What else happened.
    pub flags: SeenFlags,
}

/// What else happened to a message at the answering end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SeenFlags(u8);

impl SeenFlags {
    /// Other octets came than were sent.
    pub const DAMAGED: Self = Self(1);

    /// Whether it did.
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// It did.
    pub const fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }
}

impl Seen {
    /// A session has brought all of it under a Message-ID with the fingerprint `mark`, and `status` is what
    /// was said to that, 0 for nothing; none if it brought other octets than were sent. Returns whether the
    /// recipient knows it already.
    ///
    /// Who refuses a message has not seen it, so that it may come again. Who has seen it knows it by its
    /// Message-ID, and what is once said to be delivered stays so.
    pub const fn bring(&mut self, mark: u32, status: Option<u16>) -> bool {
        if status.is_none() {
            self.flags.set(SeenFlags::DAMAGED);
        }
        let is_known = self.transactions > 0 && self.mark == mark;
        let is_another = !is_known && self.status < 300;
        if self.transactions == 0 || is_another {
            self.transactions = self.transactions.saturating_add(1);
        }
        if !matches!(self.status, 200..=299) {
            self.mark = mark;
            self.status = match status {
                Some(status) => status,
                None => 0,
            };
        }
        is_known
    }
}

const _: () = assert!(size_of::<Sent>() == 24 && size_of::<Seen>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_comes_again_is_known_by_its_message_id() {
        let mut seen = Seen::default();
        // Nothing was said to it, so it came again.
        assert!(!seen.bring(7, Some(0)));
        assert!(seen.bring(7, Some(200)));
        assert_eq!(seen, Seen { mark: 7, status: 200, transactions: 1, ..Seen::default() });
        // What follows takes nothing back.
        assert!(seen.bring(7, Some(413)));
        assert_eq!(seen.status, 200);
        assert!(!seen.bring(8, Some(200)));
        assert_eq!((seen.transactions, seen.status), (2, 200));
    }

    #[test]
    fn what_was_refused_was_not_seen() {
        // A MESSAGE that was answered 413, and the session after it.
        let mut seen = Seen { mark: 1, status: 413, transactions: 1, ..Seen::default() };
        assert!(!seen.bring(7, Some(200)));
        assert_eq!((seen.transactions, seen.status, seen.mark), (1, 200, 7));
        // What nobody said anything to may have been seen.
        let mut seen = Seen::default();
        seen.bring(7, Some(0));
        seen.bring(8, Some(200));
        assert_eq!((seen.transactions, seen.status), (2, 200));
    }

    #[test]
    fn damage_stays_and_is_no_delivery() {
        let mut seen = Seen::default();
        seen.bring(7, None);
        assert_eq!((seen.status, seen.transactions), (0, 1));
        seen.bring(7, Some(200));
        assert!(seen.flags.has(SeenFlags::DAMAGED));
        assert_eq!((seen.status, seen.transactions), (200, 1));
    }
}

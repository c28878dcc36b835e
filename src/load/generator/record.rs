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
    /// Transactions that brought it.
    pub transactions: u8,
    /// Requests that brought it again in the same transaction.
    pub repeats: u8,
}

const _: () = assert!(size_of::<Sent>() == 24 && size_of::<Seen>() == 8);

//! Bugs planted at the boundary of the engine, as it would seem if they were in it.

/// What the engine seems to do wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CarryBug {
    /// It passes a REPORT of another session.
    ForeignReport,
    /// It answers 200 before the recipient has.
    EarlyAnswer,
    /// It writes `+` where the sender wrote `#`.
    LostAbort,
    /// It takes a message with a gap for delivered.
    DeliveredWithGap,
    /// It does not say BYE.
    SilentBye,
    /// It writes a chunk twice.
    ChunkTwice,
    /// It says 200 where the recipient has said an error.
    ErrorIsAnswer,
    /// It changes an octet.
    OctetChanged,
    /// It keeps a REPORT for itself.
    SilentReport,
    /// It answers a chunk twice.
    AnswerTwice,
    /// It takes what was delivered for what certainly was not.
    DeliveredIsTemporary,
    /// It tells of a message twice.
    AccountTwice,
    /// It tells nothing of a message.
    NoAccount,
    /// It does not pass CANCEL on.
    SilentCancel,
    /// It keeps answers of the recipient for itself.
    SilentAnswer,
}

impl CarryBug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ForeignReport,
        Self::EarlyAnswer,
        Self::LostAbort,
        Self::DeliveredWithGap,
        Self::SilentBye,
        Self::ChunkTwice,
        Self::ErrorIsAnswer,
        Self::OctetChanged,
        Self::SilentReport,
        Self::AnswerTwice,
        Self::DeliveredIsTemporary,
        Self::AccountTwice,
        Self::NoAccount,
        Self::SilentCancel,
        Self::SilentAnswer,
    ];

    /// How it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForeignReport => "ForeignReport",
            Self::EarlyAnswer => "EarlyAnswer",
            Self::LostAbort => "LostAbort",
            Self::DeliveredWithGap => "DeliveredWithGap",
            Self::SilentBye => "SilentBye",
            Self::ChunkTwice => "ChunkTwice",
            Self::ErrorIsAnswer => "ErrorIsAnswer",
            Self::OctetChanged => "OctetChanged",
            Self::SilentReport => "SilentReport",
            Self::AnswerTwice => "AnswerTwice",
            Self::DeliveredIsTemporary => "DeliveredIsTemporary",
            Self::AccountTwice => "AccountTwice",
            Self::NoAccount => "NoAccount",
            Self::SilentCancel => "SilentCancel",
            Self::SilentAnswer => "SilentAnswer",
        }
    }
}

//! Bugs planted at the boundary of the engine, as it would seem if they were in it.

/// What the engine seems to do wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InwardBug {
    /// It takes the RP-ACK to a part for a status report of success.
    AckIsReceipt,
    /// It takes an RP-ERROR for an RP-ACK.
    ErrorIsAck,
    /// It submits a part twice.
    SubmitAgain,
    /// It reports success where it should report a failure.
    FailureIsSuccess,
    /// It takes a status report for one of the part before.
    ReportOfAnother,
    /// It takes a message that comes again for another one.
    CopyIsAnother,
    /// It does not tell what it says it has told.
    SilentReport,
    /// It asks for no status reports, and believes that there was one.
    NoStatusReport,
}

impl InwardBug {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AckIsReceipt,
        Self::ErrorIsAck,
        Self::SubmitAgain,
        Self::FailureIsSuccess,
        Self::ReportOfAnother,
        Self::CopyIsAnother,
        Self::SilentReport,
        Self::NoStatusReport,
    ];

    /// How it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckIsReceipt => "AckIsReceipt",
            Self::ErrorIsAck => "ErrorIsAck",
            Self::SubmitAgain => "SubmitAgain",
            Self::FailureIsSuccess => "FailureIsSuccess",
            Self::ReportOfAnother => "ReportOfAnother",
            Self::CopyIsAnother => "CopyIsAnother",
            Self::SilentReport => "SilentReport",
            Self::NoStatusReport => "NoStatusReport",
        }
    }
}

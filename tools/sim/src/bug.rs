//! The mistakes that can be planted.

/// One mistake, planted at the boundary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bug {
    /// A report leaves twice.
    ReportTwice,
    /// A report never leaves although it is accounted for.
    ReportLost,
    /// 480 and 486 are taken for 200.
    BusyAsDelivered,
    /// A positive response is passed on after the deadline has decided.
    LatePassedOn,
    /// 503 is answered and the message sent on all the same.
    RefusedButSent,
    /// A retransmission after the final response is taken for a new message.
    FinishedForgotten,
    /// Responses are matched by something that two messages share.
    ResponsesSwapped,
    /// Timers fire early.
    TimerEarly,
    /// A slot is not given back.
    SlotKept,
    /// An account is lost.
    AccountLost,
    /// An account is told twice.
    AccountTwice,
    /// An account tells another verdict than its evidence proves.
    AccountChanged,
    /// 202 goes on as 200.
    AcceptedAsDelivered,
    /// Two reports go to each other's client.
    ReportsSwapped,
    /// An ICMP error after the first transmission is reported as a failure.
    UnreachableAsFailure,
    /// An IM server that restarts gets what it has had in a new transaction.
    CrashRepeats,
    /// A retransmission of ours has a branch of its own.
    RetransmittedAsNew,
    /// Nobody looks where a response comes from.
    SourceIgnored,
    /// Nobody looks at the CSeq of a response.
    CseqIgnored,
    /// A provisional response counts as delivery.
    ProvisionalAsDelivered,
    /// The kernel's refusal of a first transmission goes unheard.
    RefusalUnheard,
    /// An error that proves nothing counts as proof that nothing has left.
    ErrorAsRefusal,
    /// The body loses its last octet.
    BodyCut,
    /// 100 is sent at once.
    TryingAtOnce,
    /// 202 about an instant message is taken for 200.
    AcceptanceAcked,
    /// A delivery that is proved late is not remembered.
    LateDeliveryIgnored,
    /// A short message that was delivered is not known again.
    DeliveredSentAgain,
    /// No short message is known again.
    AbsorptionOff,
    /// A short message that was refused for good is not known again.
    PermanentForgotten,
    /// Messages do not wait for each other.
    PendingOff,
    /// Messages wait for each other as long as it takes.
    WaitingUnbounded,
    /// The deadline of the verdict comes late.
    DeadlineLate,
    /// Credentials are computed from another password.
    PasswordWrong,
    /// A report has another RP-MR.
    ReportReference,
    /// A report answers another MESSAGE.
    ReportReply,
    /// A report comes from another identity.
    ReportIdentity,
    /// A second report leaves in a transaction of its own.
    ReportAgain,
    /// A report is never retransmitted.
    ReportNotRepeated,
    /// A retry has a Call-ID of its own.
    RetryFreshCall,
    /// A short message to a second recipient is taken for the first one.
    RecipientsCollide,
    /// RP-ERROR has a cause of the network.
    CauseOfNetwork,
    /// RP-ERROR is said for RP-ACK.
    ErrorForDelivered,
    /// RP-ACK is said for RP-ERROR.
    AckForFailure,
    /// The next server is tried although the first may have it.
    CopyWhileOpen,
    /// A response that is handed over gets lost on its way.
    HandoverDropped,
    /// A request that is handed over is taken twice.
    HandoverTwice,
    /// A retransmission is a new message to another worker than its home.
    HomeIgnored,
    /// What a worker hands over after it stood still is looked up as of now.
    SinceForgotten,
    /// The entry of another worker is read as another one: 200 for what has failed.
    DirectoryMisread,
    /// What was a lost worker's is sent on by another one.
    LostAccepts,
    /// The process starts again under the epoch of its last life.
    EpochKept,
    /// What was left on a lost worker is told by nobody.
    RemainsUntold,
    /// What cannot be divided into messages is skipped, and reading goes on behind it.
    ResyncAfterDoubt,
    /// An answer goes to whoever has the place of its connection now, or the one beside it.
    PlaceReused,
    /// What was written in part is taken for what was never written.
    PartlyAsNever,
    /// What came before the end of a connection is dropped.
    InputDroppedAtEnd,
    /// A request is repeated over a connection.
    RepeatedOnStream,
    /// The last octet of a read gets lost.
    TailOctetLost,
    /// A write of which the kernel took a part is taken for a whole one.
    ShortWriteAsWhole,
    /// Two reads of one connection change places.
    ReadsSwapped,
    /// A response whose connection has ended is not sent on another one.
    GoneForGood,
    /// The 200 to the last chunk counts for all of them.
    LastChunkDelivers,
    /// The 200 of somebody between us and the recipient counts as his.
    RelayAcknowledges,
    /// A REPORT about another message counts.
    ForeignReported,
    /// A REPORT of some octets counts for all.
    GapIgnored,
    /// A chunk counts as handed over when it was only put in.
    TimerAtOutbox,
    /// A chunk counts as acknowledged that nobody has yet.
    OpenAcknowledged,
    /// A 2xx that comes after CANCEL is used.
    LateAnswerUsed,
    /// The message goes to another fork as well.
    ForkUsed,
    /// What is sent once more has another Message-ID.
    FreshMessageId,
    /// BYE follows straight on the last octet.
    ByeAtOnce,
    /// Nobody hears that a connection was refused.
    ConnectUnheard,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 72] = [
        Self::ReportTwice,
        Self::ReportLost,
        Self::BusyAsDelivered,
        Self::LatePassedOn,
        Self::RefusedButSent,
        Self::FinishedForgotten,
        Self::ResponsesSwapped,
        Self::TimerEarly,
        Self::SlotKept,
        Self::AccountLost,
        Self::AccountTwice,
        Self::AccountChanged,
        Self::AcceptedAsDelivered,
        Self::ReportsSwapped,
        Self::UnreachableAsFailure,
        Self::CrashRepeats,
        Self::RetransmittedAsNew,
        Self::SourceIgnored,
        Self::CseqIgnored,
        Self::ProvisionalAsDelivered,
        Self::RefusalUnheard,
        Self::ErrorAsRefusal,
        Self::BodyCut,
        Self::TryingAtOnce,
        Self::AcceptanceAcked,
        Self::LateDeliveryIgnored,
        Self::DeliveredSentAgain,
        Self::AbsorptionOff,
        Self::PermanentForgotten,
        Self::PendingOff,
        Self::WaitingUnbounded,
        Self::DeadlineLate,
        Self::PasswordWrong,
        Self::ReportReference,
        Self::ReportReply,
        Self::ReportIdentity,
        Self::ReportAgain,
        Self::ReportNotRepeated,
        Self::RetryFreshCall,
        Self::RecipientsCollide,
        Self::CauseOfNetwork,
        Self::ErrorForDelivered,
        Self::AckForFailure,
        Self::CopyWhileOpen,
        Self::HandoverDropped,
        Self::HandoverTwice,
        Self::HomeIgnored,
        Self::SinceForgotten,
        Self::DirectoryMisread,
        Self::LostAccepts,
        Self::EpochKept,
        Self::RemainsUntold,
        Self::ResyncAfterDoubt,
        Self::PlaceReused,
        Self::PartlyAsNever,
        Self::InputDroppedAtEnd,
        Self::RepeatedOnStream,
        Self::TailOctetLost,
        Self::ShortWriteAsWhole,
        Self::ReadsSwapped,
        Self::GoneForGood,
        Self::LastChunkDelivers,
        Self::RelayAcknowledges,
        Self::ForeignReported,
        Self::GapIgnored,
        Self::TimerAtOutbox,
        Self::OpenAcknowledged,
        Self::LateAnswerUsed,
        Self::ForkUsed,
        Self::FreshMessageId,
        Self::ByeAtOnce,
        Self::ConnectUnheard,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

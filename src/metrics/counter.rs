//! The names of everything that is counted. Each way a packet can die has its own.

/// One thing that is counted, or a gauge where its help text says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Counter {
    /// Datagrams taken from the sockets; counted by the driver.
    DatagramsIn,
    /// Datagrams that the kernel has taken; counted by the driver.
    DatagramsOut,
    /// MESSAGE requests accepted: each ends in exactly one verdict.
    MessagesAccepted,
    /// Gauge: messages accepted whose account is not closed.
    MessagesOpen,
    /// Verdicts D.
    VerdictDelivered,
    /// Verdicts P.
    VerdictPermanent,
    /// Verdicts T.
    VerdictTemporary,
    /// Verdicts U.
    VerdictUnknown,
    /// Verdicts A.
    VerdictAccepted,
    /// Final responses sent to the SMS side as reports.
    ReportsSent,
    /// Reports that the kernel refused.
    ReportsRefused,
    /// Messages about which nothing may be said (RFC 4320 section 4.2).
    ReportsSilent,
    /// Reports sent again for a retransmitted request.
    ReportsRepeated,
    /// A 200 passed on unchanged from a peer whose 200 proves acceptance only.
    AcceptancesPassed,
    /// Retransmissions of requests that are still open, absorbed.
    RequestsAbsorbed,
    /// Retransmissions of ours (timer E).
    Retransmissions,
    /// Requests sent to the next server because the first transmission never left.
    NextServer,
    /// Provisional responses received.
    ProvisionalIn,
    /// 100 Trying sent after 7*T1 of silence (RFC 4320 section 4.1).
    TryingOut,
    /// Timer F: no final response.
    TimerF,
    /// No verdict within the deadline.
    Deadlines,
    /// OPTIONS answered.
    OptionsAnswered,
    /// Requests refused because no room was left (503).
    RefusedNoRoom,
    /// Requests refused while draining (503).
    RefusedDraining,
    /// Requests answered 400.
    RefusedMalformed,
    /// Requests of a method that is not served (405, 501).
    RefusedMethod,
    /// Requests refused because of loops or Max-Forwards (482, 483).
    RefusedLoop,
    /// Requests refused for their size (413, 414, 513).
    RefusedSize,
    /// Requests refused for scheme, version or extension (416, 420, 505).
    RefusedUnsupported,
    /// Requests refused because peer or next hop may not be served (403).
    RefusedForbidden,
    /// Requests from strangers answered 403.
    StrangersRefused,
    /// Dropped: datagrams from strangers.
    DroppedStranger,
    /// Dropped: not SIP, or not enough of it to be answered.
    DroppedMalformed,
    /// Dropped: keep-alives (only CR and LF).
    DroppedKeepAlive,
    /// Dropped: a response that is malformed or cut short.
    DroppedResponseMalformed,
    /// Dropped: a response whose branch is not ours (RFC 3261 section 18.1.2).
    DroppedResponseForeign,
    /// Dropped: a response with our branch from somewhere else than its server.
    DroppedResponseSource,
    /// Dropped: a response of another CSeq method or number than its request.
    DroppedResponseCseq,
    /// Dropped: a response without a Via below ours.
    DroppedResponseVia,
    /// Dropped: a final response repeated after its transaction ended.
    DroppedResponseRepeated,
    /// Dropped: a positive response after the verdict U.
    LateDelivered,
    /// Dropped: another final response after the verdict U.
    LateFailed,
    /// Dropped: a final response that contradicts the verdict.
    Contradictions,
    /// Dropped: requests, because no slot was left to refuse them.
    DroppedNoSlot,
    /// Dropped: requests, because their refusal could not be remembered.
    DroppedNoMemory,
    /// Dropped: ACK, which has nothing to acknowledge here.
    DroppedAck,
    /// Dropped: datagrams longer than the buffer that could not be answered.
    DroppedTruncated,
    /// ICMP errors that quote a request of ours.
    IcmpMatched,
    /// ICMP errors that quote nothing of ours.
    IcmpForeign,
    /// ICMP errors that are no failure of sending (RFC 3261 section 18.4), ignored.
    IcmpIgnored,
    /// Sends refused by the local kernel.
    SendRefused,
    /// Sends that met somebody else's pending error and were done again.
    SendRepeated,
    /// Sends shorter than the datagram.
    SendShort,
    /// Receive buffers ran out (ENOBUFS).
    ReceiveNoBuffers,
    /// Receives that ended with an error.
    ReceiveErrors,
    /// Multishot receives that ended and were armed again.
    ReceiveRearmed,
    /// Completions of operations that were cancelled.
    Cancelled,
    /// Completions that no operation of ours explains.
    CompletionsUnknown,
    /// Completion queue overflows.
    CompletionOverflows,
    /// Datagrams that the kernel dropped before us (SO_RXQ_OVFL).
    KernelDrops,
    /// Accounts that found the ring to their writer full.
    AccountsLost,
    /// Allocations of the worker after its start.
    Allocations,
    /// Gauge: the longest turn in nanoseconds.
    TurnLongestNs,
    /// Turns that found something to do.
    TurnsBusy,
    /// Turns that found nothing to do.
    TurnsIdle,
}

impl Counter {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every counter in the order of its discriminant.
    pub const ALL: [Self; 65] = [
        Self::DatagramsIn,
        Self::DatagramsOut,
        Self::MessagesAccepted,
        Self::MessagesOpen,
        Self::VerdictDelivered,
        Self::VerdictPermanent,
        Self::VerdictTemporary,
        Self::VerdictUnknown,
        Self::VerdictAccepted,
        Self::ReportsSent,
        Self::ReportsRefused,
        Self::ReportsSilent,
        Self::ReportsRepeated,
        Self::AcceptancesPassed,
        Self::RequestsAbsorbed,
        Self::Retransmissions,
        Self::NextServer,
        Self::ProvisionalIn,
        Self::TryingOut,
        Self::TimerF,
        Self::Deadlines,
        Self::OptionsAnswered,
        Self::RefusedNoRoom,
        Self::RefusedDraining,
        Self::RefusedMalformed,
        Self::RefusedMethod,
        Self::RefusedLoop,
        Self::RefusedSize,
        Self::RefusedUnsupported,
        Self::RefusedForbidden,
        Self::StrangersRefused,
        Self::DroppedStranger,
        Self::DroppedMalformed,
        Self::DroppedKeepAlive,
        Self::DroppedResponseMalformed,
        Self::DroppedResponseForeign,
        Self::DroppedResponseSource,
        Self::DroppedResponseCseq,
        Self::DroppedResponseVia,
        Self::DroppedResponseRepeated,
        Self::LateDelivered,
        Self::LateFailed,
        Self::Contradictions,
        Self::DroppedNoSlot,
        Self::DroppedNoMemory,
        Self::DroppedAck,
        Self::DroppedTruncated,
        Self::IcmpMatched,
        Self::IcmpForeign,
        Self::IcmpIgnored,
        Self::SendRefused,
        Self::SendRepeated,
        Self::SendShort,
        Self::ReceiveNoBuffers,
        Self::ReceiveErrors,
        Self::ReceiveRearmed,
        Self::Cancelled,
        Self::CompletionsUnknown,
        Self::CompletionOverflows,
        Self::KernelDrops,
        Self::AccountsLost,
        Self::Allocations,
        Self::TurnLongestNs,
        Self::TurnsBusy,
        Self::TurnsIdle,
    ];

    /// Its name in tables and in the status output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DatagramsIn => "datagrams_in",
            Self::DatagramsOut => "datagrams_out",
            Self::MessagesAccepted => "messages_accepted",
            Self::MessagesOpen => "messages_open",
            Self::VerdictDelivered => "verdict_delivered",
            Self::VerdictPermanent => "verdict_permanent",
            Self::VerdictTemporary => "verdict_temporary",
            Self::VerdictUnknown => "verdict_unknown",
            Self::VerdictAccepted => "verdict_accepted",
            Self::ReportsSent => "reports_sent",
            Self::ReportsRefused => "reports_refused",
            Self::ReportsSilent => "reports_silent",
            Self::ReportsRepeated => "reports_repeated",
            Self::AcceptancesPassed => "acceptances_passed",
            Self::RequestsAbsorbed => "requests_absorbed",
            Self::Retransmissions => "retransmissions",
            Self::NextServer => "next_server",
            Self::ProvisionalIn => "provisional_in",
            Self::TryingOut => "trying_out",
            Self::TimerF => "timer_f",
            Self::Deadlines => "deadlines",
            Self::OptionsAnswered => "options_answered",
            Self::RefusedNoRoom => "refused_no_room",
            Self::RefusedDraining => "refused_draining",
            Self::RefusedMalformed => "refused_malformed",
            Self::RefusedMethod => "refused_method",
            Self::RefusedLoop => "refused_loop",
            Self::RefusedSize => "refused_size",
            Self::RefusedUnsupported => "refused_unsupported",
            Self::RefusedForbidden => "refused_forbidden",
            Self::StrangersRefused => "strangers_refused",
            Self::DroppedStranger => "dropped_stranger",
            Self::DroppedMalformed => "dropped_malformed",
            Self::DroppedKeepAlive => "dropped_keep_alive",
            Self::DroppedResponseMalformed => "dropped_response_malformed",
            Self::DroppedResponseForeign => "dropped_response_foreign",
            Self::DroppedResponseSource => "dropped_response_source",
            Self::DroppedResponseCseq => "dropped_response_cseq",
            Self::DroppedResponseVia => "dropped_response_via",
            Self::DroppedResponseRepeated => "dropped_response_repeated",
            Self::LateDelivered => "late_delivered",
            Self::LateFailed => "late_failed",
            Self::Contradictions => "contradictions",
            Self::DroppedNoSlot => "dropped_no_slot",
            Self::DroppedNoMemory => "dropped_no_memory",
            Self::DroppedAck => "dropped_ack",
            Self::DroppedTruncated => "dropped_truncated",
            Self::IcmpMatched => "icmp_matched",
            Self::IcmpForeign => "icmp_foreign",
            Self::IcmpIgnored => "icmp_ignored",
            Self::SendRefused => "send_refused",
            Self::SendRepeated => "send_repeated",
            Self::SendShort => "send_short",
            Self::ReceiveNoBuffers => "receive_no_buffers",
            Self::ReceiveErrors => "receive_errors",
            Self::ReceiveRearmed => "receive_rearmed",
            Self::Cancelled => "cancelled",
            Self::CompletionsUnknown => "completions_unknown",
            Self::CompletionOverflows => "completion_overflows",
            Self::KernelDrops => "kernel_drops",
            Self::AccountsLost => "accounts_lost",
            Self::Allocations => "allocations",
            Self::TurnLongestNs => "turn_longest_ns",
            Self::TurnsBusy => "turns_busy",
            Self::TurnsIdle => "turns_idle",
        }
    }
}

const _: () = {
    let mut index = 0;
    while index < Counter::COUNT {
        assert!(Counter::ALL[index] as usize == index);
        index += 1;
    }
};

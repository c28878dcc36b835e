//! The names of everything that is counted. Each way a packet can die has its own.

/// One thing that is counted, or a gauge where its help text says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Counter {
    /// Datagrams taken from the sockets; counted by the driver.
    DatagramsIn,
    /// Datagrams that the kernel has taken; counted by the driver.
    DatagramsOut,
    /// Messages taken from connections; counted by the driver.
    StreamMessagesIn,
    /// Messages put into the outboxes of connections; counted by the driver.
    StreamMessagesOut,
    /// Messages of connections that were longer than what is held, and lost their end.
    StreamMessagesCut,
    /// Octets of MSRP connections, used; those of a message that is not whole as well.
    MsrpOctetsIn,
    /// Octets of MSRP connections, handed over to the operating system.
    MsrpOctetsOut,
    /// Keep-alives on connections, answered (RFC 5626 section 4.4.1).
    KeepAlivesAnswered,
    /// Responses whose connection had ended before they were written, put on another one.
    ResponsesMoved,
    /// Gauge: connections.
    ConnectionsOpen,
    /// Connections accepted.
    ConnectionsAccepted,
    /// Connections that we have opened.
    ConnectionsOpened,
    /// Connections that could not be opened.
    ConnectionsFailed,
    /// Connections not wanted: from strangers, or too many.
    ConnectionsRefused,
    /// Connections that the other end has ended.
    ConnectionsEnded,
    /// Connections that ended with an error.
    ConnectionsReset,
    /// Connections closed because nothing came for long.
    ClosedIdle,
    /// Connections closed because a message did not come to its end.
    ClosedSlow,
    /// Connections closed because what came cannot be divided into messages.
    ClosedUnframed,
    /// Connections closed because the other end does not read what is sent.
    ClosedUnread,
    /// Connections closed because no room was left for unfinished messages.
    ClosedNoRoom,
    /// Connections that could not be accepted for want of descriptors or memory.
    AcceptErrors,
    /// Gauge: TLS connections, handshakes included.
    TlsConnections,
    /// TLS handshakes that have succeeded.
    TlsHandshakes,
    /// Connections to a TLS listener whose first octets are not TLS.
    TlsNotTls,
    /// TLS handshakes that failed because a certificate leads to no root, or is none.
    TlsUntrusted,
    /// TLS handshakes that failed because a certificate is not valid at the time.
    TlsExpired,
    /// TLS connections closed because the certificate bears another name.
    TlsWrongName,
    /// TLS handshakes that did not end in time.
    TlsTimeouts,
    /// TLS handshakes that the other end ended because of our certificate.
    TlsRejected,
    /// TLS handshakes that failed otherwise.
    TlsFailed,
    /// TLS connections not wanted: from strangers, or too many.
    TlsRefused,
    /// TLS connections that ended without a word (close_notify).
    TlsCut,
    /// Short messages that began to be sent in a session (RFC 4975).
    LargeMessages,
    /// Of these, messages sent in a session that was there.
    LargeInSession,
    /// Of these, messages that were too large for a MESSAGE (413 or 513).
    PagerToLarge,
    /// Messages sent in several MESSAGE requests, since nobody wanted a session.
    PagerSplit,
    /// Messages sent once more in a second session, since nobody knew what became of the first.
    LargeAgain,
    /// Messages for which no session was free, and answers of forks that came then.
    LargeNoRoom,
    /// Gauge: dialogs of INVITE, those that are being set up or ended among them.
    CallsOpen,
    /// Gauge: of these, dialogs in which something is still to be sent.
    CallsUnfinished,
    /// Dialogs that an answer to our INVITE has made.
    CallsAnswered,
    /// Further answers to one INVITE, each acknowledged and ended.
    Forks,
    /// INVITEs repeated without RFC 6714 for a middlebox that does not know it.
    OffersWithoutCema,
    /// Answers to INVITE whose dialog is longer than what is kept, or cannot be read, or whose ACK would be
    /// longer than what is sent.
    DialogsTooLong,
    /// ACK requests sent.
    AcksOut,
    /// CANCEL requests sent for the first time.
    CancelsOut,
    /// CANCEL requests that were in time.
    CancelsIn,
    /// BYE requests sent for the first time.
    ByesOut,
    /// BYE requests that ended a session.
    ByesIn,
    /// INVITEs without any response in 64*T1.
    TimerB,
    /// Dialogs that our answer to an INVITE has made.
    CallsTaken,
    /// INVITEs for the SMS side whose offer has nothing that we take (488).
    CallsUnacceptable,
    /// Messages for the SMS side that have arrived whole.
    Submissions,
    /// Gauge: of these, and of those that arrive, how many are not over.
    SubmissionsOpen,
    /// Messages for the SMS side refused: of a type that is no text, or too long.
    SubmissionsUnfit,
    /// Messages for the SMS side for which there was no room.
    SubmissionsNoRoom,
    /// Messages for the SMS side that came again: they were not submitted again.
    SubmissionsRepeated,
    /// Messages for the SMS side whose CPIM asks for IMDN, of which none is sent.
    SubmissionsImdn,
    /// SMS-SUBMITs sent for the first time.
    SubmissionParts,
    /// RP-ACKs to SMS-SUBMITs.
    SubmissionAcks,
    /// RP-ERRORs to SMS-SUBMITs.
    SubmissionErrors,
    /// RP-ACKs and RP-ERRORs to no SMS-SUBMIT that waits for one.
    SubmissionStray,
    /// SMS-STATUS-REPORTs about what was submitted.
    StatusReportsIn,
    /// SMS-STATUS-REPORTs about nothing that waits for one, repeated ones too.
    StatusReportsStray,
    /// REPORTs about messages for the SMS side.
    MsrpReportsOut,
    /// Messages in MSRP sessions for which there was no room (413).
    MsrpNoRoom,
    /// MSRP connections that could not be opened.
    MsrpConnectionsFailed,
    /// MSRP connections for which there was no place.
    MsrpConnectionsRefused,
    /// MSRP connections closed because what came cannot be divided.
    MsrpBroken,
    /// MSRP connections closed because no session was bound to them in time.
    MsrpUnbound,
    /// MSRP connections that a session was to have, whose certificate is not the one that its SDP names.
    MsrpWrongCertificate,
    /// MSRP sessions over TLS whose SDP names no certificate, or by a weak hash function only.
    MsrpNoFingerprint,
    /// MSRP sessions whose connection was lost.
    MsrpSessionsLost,
    /// Responses to chunks of ours.
    MsrpResponsesIn,
    /// REPORTs about messages of ours.
    MsrpReportsIn,
    /// Chunks of ours without a response in 30 s.
    MsrpTimeouts,
    /// MSRP responses and REPORTs that belong to nothing of ours.
    MsrpStray,
    /// MSRP requests to no session, or one that is not theirs.
    MsrpForeign,
    /// MSRP heads that can neither be used nor answered.
    MsrpMalformed,
    /// INVITEs carried to the other side, whose sessions are joined.
    CallsCarried,
    /// INVITEs refused because their offer has no MSRP that can be carried (488).
    CarryUnacceptable,
    /// INVITEs refused because no two sessions were free.
    CarryNoRoom,
    /// Joined sessions ended because one of the two could not be used.
    CarryEnded,
    /// Messages carried from one session to another: each ends in exactly one verdict.
    CarriedMessages,
    /// Of these, verdicts D.
    CarriedDelivered,
    /// Of these, verdicts P.
    CarriedPermanent,
    /// Of these, verdicts T.
    CarriedTemporary,
    /// Of these, verdicts U.
    CarriedUnknown,
    /// Of these, verdicts A.
    CarriedAccepted,
    /// Of these, messages whose REPORTs were not waited for: too many were.
    CarriedUnwatched,
    /// Messages carried whose verdict is not reached.
    CarriedOpen,
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
    /// Requests sent over TCP because they are longer than 1300 octets (RFC 3261 section 18.1.1).
    SizeToTcp,
    /// Of the requests that took TCP because of their size, those that went back to UDP: there was no
    /// connection.
    TcpToUdp,
    /// Provisional responses received.
    ProvisionalIn,
    /// 100 Trying sent after 7*T1 of silence (RFC 4320 section 4.1).
    TryingOut,
    /// Timer F: no final response.
    TimerF,
    /// No verdict within the deadline.
    Deadlines,
    /// Messages of these that came as RP-DATA.
    ShortMessages,
    /// RP-ACK sent as a report.
    RpAcks,
    /// RP-ERROR sent as a report.
    RpErrors,
    /// Reports in a MESSAGE of our own that were answered 2xx.
    ReportsTaken,
    /// Reports that were answered otherwise.
    ReportsRejected,
    /// Reports that were not answered at all.
    ReportsUnconfirmed,
    /// Repetitions of a short message whose attempt was running: no second one.
    RetriesAttached,
    /// Repetitions of a short message answered from what is remembered.
    RetriesAbsorbed,
    /// Repetitions of a short message that were tried again.
    RetriesAttempted,
    /// Of these, those whose earlier attempt may have delivered it.
    PossibleDuplicates,
    /// Deliveries proved after their verdict, which answer for the next repetition.
    LateProofs,
    /// Short messages forgotten before their time because the table was full.
    MemoriesEvicted,
    /// Instant messages that had to wait for another to the same URI.
    UriWaits,
    /// Of these, those that waited too long.
    UriWaitsEnded,
    /// Servers left alone because of 503 with Retry-After.
    ServersAvoided,
    /// Challenges answered with credentials.
    Authorized,
    /// RP-DATA refused: malformed, not for us, or submission.
    RpRefused,
    /// Short messages refused because they hold no text.
    RefusedContent,
    /// RP-SMMA acknowledged.
    MemoryAvailable,
    /// RP-ACK or RP-ERROR that answers nothing of ours.
    RpUnexpected,
    /// RP messages answered 400.
    RpMalformed,
    /// RP messages answered 415 or 420.
    RefusedMediaType,
    /// Short messages refused because no server may be asked now (503).
    RefusedNoServer,
    /// Requests refused because their home is lost (503).
    RefusedLost,
    /// Requests on a connection refused because no parcel to their home was empty (503).
    RefusedHandover,
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
    /// Dropped: a response to a request of an earlier life of this process.
    DroppedResponseEarlier,
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
    /// Dropped: requests that may be copies of one whose transaction was forgotten during a pause.
    DroppedForgotten,
    /// Dropped: requests, because no parcel to their home was empty, or because their home took them
    /// after their deadline.
    DroppedHandover,
    /// Dropped: responses and ICMP errors, because no parcel to their home was empty.
    DroppedHandoverProof,
    /// Dropped: what concerns a worker that is lost.
    DroppedLost,
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
    /// Workers that are stuck or dead.
    WorkersLost,
    /// Arrivals handed over to the worker that they concern.
    HandedOver,
    /// Responses handed over to the worker that has the connection of their request.
    ResponsesHandedOver,
    /// Responses that left on another connection, because no parcel to the worker of theirs was empty.
    ResponsesElsewhere,
    /// Retransmissions answered or absorbed by another worker than their home.
    AnsweredForHome,
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
    pub const ALL: [Self; 192] = [
        Self::DatagramsIn,
        Self::DatagramsOut,
        Self::StreamMessagesIn,
        Self::StreamMessagesOut,
        Self::StreamMessagesCut,
        Self::MsrpOctetsIn,
        Self::MsrpOctetsOut,
        Self::KeepAlivesAnswered,
        Self::ResponsesMoved,
        Self::ConnectionsOpen,
        Self::ConnectionsAccepted,
        Self::ConnectionsOpened,
        Self::ConnectionsFailed,
        Self::ConnectionsRefused,
        Self::ConnectionsEnded,
        Self::ConnectionsReset,
        Self::ClosedIdle,
        Self::ClosedSlow,
        Self::ClosedUnframed,
        Self::ClosedUnread,
        Self::ClosedNoRoom,
        Self::AcceptErrors,
        Self::TlsConnections,
        Self::TlsHandshakes,
        Self::TlsNotTls,
        Self::TlsUntrusted,
        Self::TlsExpired,
        Self::TlsWrongName,
        Self::TlsTimeouts,
        Self::TlsRejected,
        Self::TlsFailed,
        Self::TlsRefused,
        Self::TlsCut,
        Self::LargeMessages,
        Self::LargeInSession,
        Self::PagerToLarge,
        Self::PagerSplit,
        Self::LargeAgain,
        Self::LargeNoRoom,
        Self::CallsOpen,
        Self::CallsUnfinished,
        Self::CallsAnswered,
        Self::Forks,
        Self::OffersWithoutCema,
        Self::DialogsTooLong,
        Self::AcksOut,
        Self::CancelsOut,
        Self::CancelsIn,
        Self::ByesOut,
        Self::ByesIn,
        Self::TimerB,
        Self::CallsTaken,
        Self::CallsUnacceptable,
        Self::Submissions,
        Self::SubmissionsOpen,
        Self::SubmissionsUnfit,
        Self::SubmissionsNoRoom,
        Self::SubmissionsRepeated,
        Self::SubmissionsImdn,
        Self::SubmissionParts,
        Self::SubmissionAcks,
        Self::SubmissionErrors,
        Self::SubmissionStray,
        Self::StatusReportsIn,
        Self::StatusReportsStray,
        Self::MsrpReportsOut,
        Self::MsrpNoRoom,
        Self::MsrpConnectionsFailed,
        Self::MsrpConnectionsRefused,
        Self::MsrpBroken,
        Self::MsrpUnbound,
        Self::MsrpWrongCertificate,
        Self::MsrpNoFingerprint,
        Self::MsrpSessionsLost,
        Self::MsrpResponsesIn,
        Self::MsrpReportsIn,
        Self::MsrpTimeouts,
        Self::MsrpStray,
        Self::MsrpForeign,
        Self::MsrpMalformed,
        Self::CallsCarried,
        Self::CarryUnacceptable,
        Self::CarryNoRoom,
        Self::CarryEnded,
        Self::CarriedMessages,
        Self::CarriedDelivered,
        Self::CarriedPermanent,
        Self::CarriedTemporary,
        Self::CarriedUnknown,
        Self::CarriedAccepted,
        Self::CarriedUnwatched,
        Self::CarriedOpen,
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
        Self::SizeToTcp,
        Self::TcpToUdp,
        Self::ProvisionalIn,
        Self::TryingOut,
        Self::TimerF,
        Self::Deadlines,
        Self::ShortMessages,
        Self::RpAcks,
        Self::RpErrors,
        Self::ReportsTaken,
        Self::ReportsRejected,
        Self::ReportsUnconfirmed,
        Self::RetriesAttached,
        Self::RetriesAbsorbed,
        Self::RetriesAttempted,
        Self::PossibleDuplicates,
        Self::LateProofs,
        Self::MemoriesEvicted,
        Self::UriWaits,
        Self::UriWaitsEnded,
        Self::ServersAvoided,
        Self::Authorized,
        Self::RpRefused,
        Self::RefusedContent,
        Self::MemoryAvailable,
        Self::RpUnexpected,
        Self::RpMalformed,
        Self::RefusedMediaType,
        Self::RefusedNoServer,
        Self::RefusedLost,
        Self::RefusedHandover,
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
        Self::DroppedResponseEarlier,
        Self::DroppedResponseSource,
        Self::DroppedResponseCseq,
        Self::DroppedResponseVia,
        Self::DroppedResponseRepeated,
        Self::LateDelivered,
        Self::LateFailed,
        Self::Contradictions,
        Self::DroppedNoSlot,
        Self::DroppedNoMemory,
        Self::DroppedForgotten,
        Self::DroppedHandover,
        Self::DroppedHandoverProof,
        Self::DroppedLost,
        Self::DroppedAck,
        Self::DroppedTruncated,
        Self::IcmpMatched,
        Self::IcmpForeign,
        Self::IcmpIgnored,
        Self::WorkersLost,
        Self::HandedOver,
        Self::ResponsesHandedOver,
        Self::ResponsesElsewhere,
        Self::AnsweredForHome,
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
        NAMES[self as usize]
    }
}

const _: () = {
    let mut index = 0;
    while index < Counter::COUNT {
        assert!(Counter::ALL[index] as usize == index);
        index += 1;
    }
};

/// The names in the order of the discriminants.
const NAMES: [&str; Counter::COUNT] = [
    "datagrams_in",
    "datagrams_out",
    "stream_messages_in",
    "stream_messages_out",
    "stream_messages_cut",
    "msrp_octets_in",
    "msrp_octets_out",
    "keep_alives_answered",
    "responses_moved",
    "connections_open",
    "connections_accepted",
    "connections_opened",
    "connections_failed",
    "connections_refused",
    "connections_ended",
    "connections_reset",
    "closed_idle",
    "closed_slow",
    "closed_unframed",
    "closed_unread",
    "closed_no_room",
    "accept_errors",
    "tls_connections",
    "tls_handshakes",
    "tls_not_tls",
    "tls_untrusted",
    "tls_expired",
    "tls_wrong_name",
    "tls_timeouts",
    "tls_rejected",
    "tls_failed",
    "tls_refused",
    "tls_cut",
    "large_messages",
    "large_in_session",
    "pager_to_large",
    "pager_split",
    "large_again",
    "large_no_room",
    "calls_open",
    "calls_unfinished",
    "calls_answered",
    "forks",
    "offers_without_cema",
    "dialogs_too_long",
    "acks_out",
    "cancels_out",
    "cancels_in",
    "byes_out",
    "byes_in",
    "timer_b",
    "calls_taken",
    "calls_unacceptable",
    "submissions",
    "submissions_open",
    "submissions_unfit",
    "submissions_no_room",
    "submissions_repeated",
    "submissions_imdn",
    "submission_parts",
    "submission_acks",
    "submission_errors",
    "submission_stray",
    "status_reports_in",
    "status_reports_stray",
    "msrp_reports_out",
    "msrp_no_room",
    "msrp_connections_failed",
    "msrp_connections_refused",
    "msrp_broken",
    "msrp_unbound",
    "msrp_wrong_certificate",
    "msrp_no_fingerprint",
    "msrp_sessions_lost",
    "msrp_responses_in",
    "msrp_reports_in",
    "msrp_timeouts",
    "msrp_stray",
    "msrp_foreign",
    "msrp_malformed",
    "calls_carried",
    "carry_unacceptable",
    "carry_no_room",
    "carry_ended",
    "carried_messages",
    "carried_delivered",
    "carried_permanent",
    "carried_temporary",
    "carried_unknown",
    "carried_accepted",
    "carried_unwatched",
    "carried_open",
    "messages_accepted",
    "messages_open",
    "verdict_delivered",
    "verdict_permanent",
    "verdict_temporary",
    "verdict_unknown",
    "verdict_accepted",
    "reports_sent",
    "reports_refused",
    "reports_silent",
    "reports_repeated",
    "acceptances_passed",
    "requests_absorbed",
    "retransmissions",
    "next_server",
    "size_to_tcp",
    "tcp_to_udp",
    "provisional_in",
    "trying_out",
    "timer_f",
    "deadlines",
    "short_messages",
    "rp_acks",
    "rp_errors",
    "reports_taken",
    "reports_rejected",
    "reports_unconfirmed",
    "retries_attached",
    "retries_absorbed",
    "retries_attempted",
    "possible_duplicates",
    "late_proofs",
    "memories_evicted",
    "uri_waits",
    "uri_waits_ended",
    "servers_avoided",
    "authorized",
    "rp_refused",
    "refused_content",
    "memory_available",
    "rp_unexpected",
    "rp_malformed",
    "refused_media_type",
    "refused_no_server",
    "refused_lost",
    "refused_handover",
    "options_answered",
    "refused_no_room",
    "refused_draining",
    "refused_malformed",
    "refused_method",
    "refused_loop",
    "refused_size",
    "refused_unsupported",
    "refused_forbidden",
    "strangers_refused",
    "dropped_stranger",
    "dropped_malformed",
    "dropped_keep_alive",
    "dropped_response_malformed",
    "dropped_response_foreign",
    "dropped_response_earlier",
    "dropped_response_source",
    "dropped_response_cseq",
    "dropped_response_via",
    "dropped_response_repeated",
    "late_delivered",
    "late_failed",
    "contradictions",
    "dropped_no_slot",
    "dropped_no_memory",
    "dropped_forgotten",
    "dropped_handover",
    "dropped_handover_proof",
    "dropped_lost",
    "dropped_ack",
    "dropped_truncated",
    "icmp_matched",
    "icmp_foreign",
    "icmp_ignored",
    "workers_lost",
    "handed_over",
    "responses_handed_over",
    "responses_elsewhere",
    "answered_for_home",
    "send_refused",
    "send_repeated",
    "send_short",
    "receive_no_buffers",
    "receive_errors",
    "receive_rearmed",
    "cancelled",
    "completions_unknown",
    "completion_overflows",
    "kernel_drops",
    "accounts_lost",
    "allocations",
    "turn_longest_ns",
    "turns_busy",
    "turns_idle",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_its_variant() {
        for counter in Counter::ALL {
            let mut name = String::new();
            for letter in format_args!("{counter:?}").to_string().chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_lowercase());
            }
            assert_eq!(counter.name(), name);
        }
    }
}

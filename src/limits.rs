//! Every capacity of the packet path with its reason, and the relations that must hold.

/// Arrivals taken from a driver before departures are handed back to it: large enough that many share
/// what a turn costs (half of this made a message on a TCP trunk dearer by a quarter, twice this no
/// cheaper), small enough that a burst and its views stay in the nearest caches.
pub const BURST_SIZE: usize = 64;

/// Octets of the largest datagram that is taken whole. RFC 3428 section 8 asks senders to stay
/// below 1300; a jumbo frame fits. What is longer is answered 513 from its first octets.
pub const DATAGRAM_SIZE_MAX: usize = 9_000;

/// Octets by which a proxied request may grow: our Via, `received` and `rport` in the Via below
/// it, a Max-Forwards header field where there was none, and a Content-Length.
pub const FORWARD_GROWTH_MAX: usize = 472;

/// Octets of a request that leaves in a datagram where a connection may be had (RFC 3261 section
/// 18.1.1, for a path of which nothing is known).
pub const REQUEST_DATAGRAM_SIZE_MAX: usize = 1_300;

/// How long the TCP of a peer is not asked again because of the size of a request, in milliseconds,
/// when it has refused a connection: each large message would wait for that.
pub const TCP_REFUSED_MS: u32 = 30_000;

/// Octets in one departure slot.
pub const SLOT_SIZE: usize = 9_472;

/// Departures that one arrival may cause: one request onward or one response back.
pub const DEPARTURES_PER_ARRIVAL_MAX: usize = 1;

/// Slots that carry evidence to where it belongs and what timers send: responses passed back,
/// repeated responses, retransmissions. Always kept free for that.
pub const SLOTS_EVIDENCE: usize = 256;

/// Slots for answers to what is not accepted.
pub const SLOTS_REFUSALS: usize = 64;

/// Slots for the first transmission of accepted messages.
pub const SLOTS_WORK: usize = 256;

/// All departure slots of a worker.
pub const SLOTS_MAX: usize = SLOTS_EVIDENCE + SLOTS_REFUSALS + SLOTS_WORK;

/// Timers that may expire in one turn, so that a turn stays short whatever has piled up.
pub const TIMERS_PER_TURN_MAX: usize = 32;

/// Receive buffers of a worker with io_uring, a power of two: what may arrive between two looks.
/// More waits in the buffers of the sockets, so this need not be large; and as all buffers are used
/// in turn, it should not be: beside busy neighbours, who share the caches, 256 made a datagram
/// dearer by 6 %, while on a quiet machine it is all the same.
pub const RECEIVE_BUFFERS: usize = 64;

/// Entries of one socket's error queue that are read in one turn.
pub const ICMP_PER_TURN_MAX: usize = 32;

/// How long a worker with adaptive polling looks for work before it lets the kernel wake it.
pub const ADAPTIVE_SPIN_NS: u64 = 50_000;

/// Accounts that wait for the thread that writes them: a second of 16 k messages, should the disk
/// stall that long.
pub const ACCOUNTS_WAITING_MAX: usize = 16_384;

/// How long a worker that ends waits for that thread, in milliseconds: more messages may have been
/// open than accounts can wait.
pub const ACCOUNTS_PATIENCE_MS: u32 = 2_000;

/// Octets asked of the kernel for each receive and send buffer: a third of a second of 10 k
/// messages of 1300 octets, which the kernel counts at twice their size and more.
pub const SOCKET_BUFFER_SIZE: usize = 4 << 20;

/// Workers of one process: more than the cores of one socket of today's machines, and few enough
/// that a queue between every two of them costs little; and a set of them is a word.
pub const WORKERS_MAX: usize = 64;

/// Local sockets of one worker for datagrams: a listener and a socket for own requests, for IPv4 and IPv6.
pub const SOCKETS_MAX: usize = 8;

/// Sockets of streams of one worker: listeners for TCP and TLS, for IPv4 and IPv6.
pub const STREAM_SOCKETS_MAX: usize = 16;

/// Peers in one configuration.
pub const PEERS_MAX: usize = 64;

/// Addresses of one peer.
pub const PEER_ADDRESSES_MAX: usize = 8;

/// Status codes that are remembered per message for its account.
pub const STATUSES_MAX: usize = 6;

/// Octets kept of an identifier (Call-ID, recipient) in an account; longer ones are cut there.
pub const IDENTIFIER_SIZE_MAX: usize = 120;

/// Octets of a stored request that fit the small pool: RFC 3428 section 8 bounds a pager MESSAGE
/// to 1300, and this is what 2.5 KiB per open message leave beside its record.
pub const REQUEST_SMALL_SIZE: usize = 2_048;

/// Header fields of one SIP message.
pub const SIP_HEADER_FIELDS_MAX: usize = 128;

/// Octets of the header section of one SIP message.
pub const SIP_HEADER_SIZE_MAX: usize = 8_192;

/// Octets of one SIP message in a stream: what a span can name. What is announced longer ends the
/// connection that it comes from.
pub const SIP_STREAM_MESSAGE_SIZE_MAX: usize = 65_535;

/// Octets of empty lines in front of a message in a stream (RFC 3261 section 7.5): keep-alives that
/// were not yet thrown away (RFC 5626 section 4.4.1).
pub const SIP_STREAM_EMPTY_MAX: usize = 1_024;

/// Connections of one worker at most: what 16 bits can name, and far from
/// what a process may have open.
pub const CONNECTIONS_MAX: u16 = 60_000;

/// Of the connections of a worker one in so many is kept for those that it opens itself.
pub const CONNECTIONS_OWN_SHARE: u16 = 10;

/// Connections that a worker opens to one address: more than any peer has ports to listen at, and
/// few enough that whoever asks for an answer somewhere else each time cannot take all places.
pub const CONNECTIONS_TO_ONE_MAX: usize = 16;

/// Octets that each connection has for the beginning of a message that has not come whole: what a
/// pager MESSAGE takes (RFC 3428 section 8), so that only large messages need more.
pub const STREAM_TAIL_SIZE: usize = 2_048;

/// Octets that can be put in at least where there is room in a stream that the engine divides itself: a head
/// of MSRP.
pub const STREAM_ROOM_MIN: usize = MSRP_HEADER_SIZE_MAX;

/// Slots for evidence that are free before anything of such a stream is shown, beside those of the timers of
/// a turn: what comes in one piece may end some sessions, each with a BYE and a report.
pub const STREAM_EVIDENCE_MIN: usize = 16;

/// How often such a stream is shown octets or room in one turn, so that the others have theirs.
pub const STREAM_SHOWS_PER_TURN: usize = 64;

/// Octets of all such streams that are shown in one turn, beside the messages of a burst.
pub const STREAM_OCTETS_PER_TURN: usize = 256 << 10;

/// How many such streams may have a read under way, or kept back, that is longer than what they can keep
/// themselves: what is kept back must not take the reads of others.
pub const STREAM_READS_KEPT: usize = STREAM_READS / 2;

/// Of the connections of a worker one in so many may be opened to one address for such streams: a border
/// controller has all its sessions behind one address, at a port of each.
pub const STREAM_TO_ONE_SHARE: u16 = 2;

/// How long a connection of MSRP may be silent, in milliseconds: RFC 4975 has no keep-alive, and sessions
/// wait for their next message without end. Middle boxes have to remember it for two hours and four
/// minutes (RFC 5382 section 5, REQ-5); who is gone is found before by TCP's own keep-alive.
pub const MSRP_IDLE_MS: u32 = 7_440_000;

/// Octets of an unfinished piece of MSRP up to which it may be the beginning of an end-line, behind which a
/// sender may rest for as long as a message may make no progress ([`MSRP_STALLED_MS`]). A longer one is a
/// head, which is written at once ([`STREAM_HEADER_MS`]).
pub const MSRP_END_LINE_SIZE_MAX: usize = 2 + 7 + MSRP_IDENT_SIZE_MAX + 1 + 2;

/// Large messages of one worker that may be unfinished at the same time.
pub const STREAM_TAILS_LARGE: u32 = 128;

/// How long a message may take from its first octet to its last, in milliseconds.
pub const STREAM_HEADER_MS: u32 = 10_000;

/// How long a connection may be silent, in milliseconds.
pub const STREAM_IDLE_MS: u32 = 120_000;

/// How long something may wait for the other end to take it, in milliseconds: whoever takes an octet
/// now and then does not keep an outbox by that.
pub const STREAM_STALLED_MS: u32 = 10_000;

/// The same, when only [`OUTBOXES_SPARE`] outboxes are left, in milliseconds.
pub const STREAM_SLOW_MS: u32 = 1_000;

/// How long connecting may take, in milliseconds: the second SYN has left after one second.
pub const STREAM_CONNECT_MS: u32 = 2_000;

/// How long it is not tried again after it has failed, in milliseconds.
pub const STREAM_RETRY_MS: u32 = 250;

/// How long a TLS handshake may take that somebody else has begun, in milliseconds. One of our own has
/// [`STREAM_CONNECT_MS`] with the connecting before it.
pub const TLS_HANDSHAKE_MS: u32 = 5_000;

/// TLS handshakes that others have begun and that may go on at the same time: so many for SIP, and as many for
/// MSRP.
pub const TLS_HANDSHAKES_MAX: u32 = 256;

/// How many of them one source may have begun; for SIP all strangers together count as one, for MSRP each
/// address does.
pub const TLS_HANDSHAKES_PER_SOURCE_MAX: u32 = 64;

/// How long the other end of a TLS connection that we have ended may take to end it, in milliseconds.
pub const TLS_LINGER_MS: u32 = 2_000;

/// Octets that may wait for one connection beside what the kernel has taken: 200 messages. A power
/// of two.
pub const OUTBOX_SIZE: usize = 128 << 10;

/// Connections of one worker that may have something waiting at the same time.
pub const OUTBOXES: usize = 64;

/// Outboxes that slow connections have to leave to others.
pub const OUTBOXES_SPARE: usize = OUTBOXES / 4;

/// Departures in one outbox whose owners are told.
pub const OUTBOX_OWNERS: usize = 512;

/// Octets that are read from a connection at once at most: two bursts of small messages.
pub const STREAM_READ_SIZE: usize = 64 << 10;

/// Reads of one worker that may wait for their messages to be taken, a power of two.
pub const STREAM_READS: usize = 32;

/// Connections of one listener that are accepted in one turn.
pub const ACCEPTS_PER_TURN: usize = 4;

/// Connections that time out in one turn at most.
pub const STREAM_TIMERS_PER_TURN_MAX: usize = 32;

/// Via values in one SIP message, which also bounds the search for loops.
pub const SIP_VIAS_MAX: usize = 64;

/// Record-Route values that make a route set: who adds a Via may add one, and does so twice only where
/// two networks meet.
pub const SIP_RECORD_ROUTES_MAX: usize = 64;

/// Octets of the start line and the header section of one MSRP request or response. A path of
/// [`MSRP_PATH_URIS_MAX`] relays fits; what is longer ends the connection that it comes from, as its
/// end could only be found by keeping all of it.
pub const MSRP_HEADER_SIZE_MAX: usize = 8_192;

/// URIs in one To-Path, From-Path or Use-Path: both ends and more relays than anybody chains, since
/// each is another hop and another TLS connection.
pub const MSRP_PATH_URIS_MAX: usize = 16;

/// Characters of a transaction identifier or a Message-ID at least (`ident`, RFC 4975 section 9).
pub const MSRP_IDENT_SIZE_MIN: usize = 4;

/// Characters of a transaction identifier or a Message-ID at most (`ident`, RFC 4975 section 9).
pub const MSRP_IDENT_SIZE_MAX: usize = 32;

/// Octets of a body up to which a chunk need not be interruptible, and below which none is interrupted
/// (RFC 4975 section 7.1.1).
pub const MSRP_CHUNK_SIZE_MIN: u64 = 2_048;

/// Octets of one chunk after which another message of the same connection has its turn: as much as a
/// chunk of its head is lost in.
pub const MSRP_TURN_SIZE: u64 = 16_384;

/// Octets of a path that a session keeps. What an SDP offers is one URI and seldom a relay or two.
pub const MSRP_PATH_SIZE_MAX: usize = 1_024;

/// Octets of the URI that we give to a session.
pub const MSRP_URI_SIZE_MAX: usize = 256;

/// Octets of the host in it: the longest that leaves room for scheme, port, transport and a session-id of
/// [`MSRP_SESSION_ID_SIZE_MAX`].
pub const MSRP_HOST_SIZE_MAX: usize =
    MSRP_URI_SIZE_MAX - MSRP_SESSION_ID_SIZE_MAX - "msrps://:65535/;tcp".len();

/// Octets of a session-id of ours: 128 bits that nobody can guess and a place, written in letters.
pub const MSRP_SESSION_ID_SIZE_MAX: usize = 64;

/// Octets of a Content-Type that is kept with a message.
pub const MSRP_CONTENT_TYPE_SIZE_MAX: usize = 128;

/// Octets of responses and REPORTs that wait to leave on one connection. A response has two URIs, which
/// may fill a head; what does not fit makes its connection wait before more is read from it.
pub const MSRP_ANSWERS_SIZE: usize = 2 * MSRP_ANSWER_SIZE_MAX;

/// Octets that one request may cause as answers: a response with URIs as long as a head may hold, or a
/// response and a REPORT whose paths a session keeps.
pub const MSRP_ANSWER_SIZE_MAX: usize = MSRP_HEADER_SIZE_MAX + 512;

/// Messages that are sent or wait for their reports in one session at the same time.
pub const MSRP_SENDINGS_MAX: usize = 8;

/// Messages that have begun to arrive in one session, or wait to be released.
pub const MSRP_INCOMINGS_MAX: usize = 8;

/// Message-IDs that a session remembers of what has arrived, so that it is acknowledged again and not
/// delivered again.
pub const MSRP_REMEMBERED_MAX: usize = 16;

/// Chunks on one connection whose last octet was not handed over yet.
pub const MSRP_ENDS_MAX: usize = 64;

/// Messages that are carried from one session to another at the same time, in one direction. One more waits,
/// unless one of these is between two of its chunks and can be taken up again, or its sender cannot wait.
pub const MSRP_CARRIED_MAX: usize = 16;

/// Octets of a message that is carried and that have come and not left, at least: a chunk that need not be
/// interrupted, and as much again that comes meanwhile.
pub const MSRP_RING_SIZE_MIN: usize = 4_096;

/// Chunks of one message that is carried, and as many that were made of them, which may wait for their
/// responses: 128 KiB, if each is as small as RFC 4975 section 7.1.1 allows. Then its sender is made to wait.
pub const MSRP_CARRIED_WINDOW: u32 = 64;

/// The same, per message but for whichever needs it: where the sender cannot be made to wait, since the
/// responses would stand behind what is not read.
pub const MSRP_CARRIED_SPARE: u32 = 16;

/// Chunks of a message that is carried which were not answered in time, and still can be.
pub const MSRP_CARRIED_LAPSED_MAX: u32 = 8;

/// Message-IDs in each direction of a joined session whose REPORTs can be passed on.
pub const MSRP_CARRIED_KNOWN_MAX: usize = 64;

/// Octets of the MIME header fields of a message that is carried, but for Content-Type.
pub const MSRP_MIME_SIZE_MAX: usize = 512;

/// MIME header fields of a message that is carried, but for Content-Type: all that MIME has, and a few more.
pub const MSRP_MIME_FIELDS_MAX: usize = 8;

/// After how long a connection that nothing is read from is looked at again, in milliseconds: whether two
/// that are not read from wait for each other shows then at the latest.
pub const MSRP_STOPPED_MS: u32 = 250;

/// How long a connection may belong to no session (RFC 4976 section 6.1 has the same 30 s), in milliseconds.
pub const MSRP_UNBOUND_MS: u32 = 30_000;

/// How long a response is waited for once the last octet of its chunk was handed over, where nothing else is
/// said and at most, in milliseconds (RFC 4975 section 7.1.1).
pub const MSRP_RESPONSE_MS: u32 = 30_000;

/// The same at least, in milliseconds: TCP sends a lost segment again after that.
pub const MSRP_RESPONSE_MS_MIN: u32 = 1_000;

/// How long a message that is not whole may make no progress, in milliseconds: the sender's own timer
/// and a relay's have passed by then.
pub const MSRP_STALLED_MS: u32 = 90_000;

/// Octets of the body of a request that is no SEND (RFC 4975 section 7.1).
pub const MSRP_REPORT_BODY_SIZE_MAX: usize = 10_240;

/// Octets of a Request-URI.
pub const SIP_URI_SIZE_MAX: usize = 1_024;

/// Copies of final responses that say more than their status: enough for a second of failures
/// at carrier rates, which is when a retransmission asks for them.
pub const KEPT_MAX: u16 = 4_096;

/// Octets of such a copy; longer responses are answered again from their status alone.
pub const KEPT_SIZE: usize = 2_016;

/// Of all server transactions one in so many may be a refusal that is remembered. A refusal that
/// cannot be remembered is not sent.
pub const REFUSED_SHARE: u32 = 8;

/// Client transactions that ended otherwise than delivered and are remembered for late responses.
pub const TOMBSTONES_MAX: u32 = 1 << 18;

/// How long they are remembered, in milliseconds: hazard H2 asks for five minutes.
pub const TOMBSTONE_MS: u32 = 300_000;

/// Octets of an Authorization header field: what a challenge holds comes back in it.
pub const AUTHORIZATION_SIZE_MAX: usize = 1_024;

/// Of all open messages one in so many may carry credentials at the same time, where there are any.
pub const AUTHORIZED_SHARE: u32 = 16;

/// How long a server that says 503 is left alone at most, in seconds, whatever its Retry-After: one
/// wrong number must not take a path away for a day.
pub const SERVER_AVOIDED_MAX_S: u32 = 300;

/// The tick of what is remembered of short messages, in milliseconds: entries may live for hours.
pub const MEMORY_TICK_MS: u32 = 2_048;

/// Seconds of the planned rate for which short messages are remembered: two minutes for those that
/// were delivered and reported (hazard H47), longer for the few others. When there are more, those
/// that would be forgotten first are.
pub const REMEMBERED_SECONDS: u32 = 150;

/// Short messages that are remembered at least, however low the planned rate.
pub const REMEMBERED_MIN: u32 = 1 << 14;

/// Short messages that are remembered at most: 512 MiB of them.
pub const REMEMBERED_MAX: u32 = 1 << 24;

/// Octets that each of them takes: an entry of a directory.
pub const REMEMBERED_SIZE: usize = 32;

/// Parcels that one worker may have under way to all others together: what a worker that stands
/// still for ten milliseconds misses at carrier rates.
pub const HANDOVER_MAX: usize = 1_024;

/// Parcels from one worker to another at least: two bursts.
pub const HANDOVER_PAIR_MIN: usize = 128;

/// One parcel in so many holds the longest datagram, the others what a small request is.
pub const HANDOVER_LARGE_SHARE: usize = 8;

/// One parcel in so many is kept from requests.
pub const HANDOVER_RESERVED_SHARE: usize = 4;

/// One parcel in so many is kept from requests and from responses that are to be sent, for the
/// responses and errors that may prove something.
pub const HANDOVER_PROOF_SHARE: usize = 8;

/// Chunks of one Large Message that may wait for their responses at the same time: 30 KiB, if each is as
/// small as RFC 4975 section 7.1.1 allows, and a chunk that can be interrupted may be of any size.
pub const MSRP_CHUNKS_MAX: usize = 15;

/// Intervals in which the octets of one Large Message are counted: one more than chunks that wait, so that
/// what is acknowledged always fits, whatever its order. REPORTs name ranges as they like; of those that
/// grow from the front or repeat the chunks, one or few remain.
pub const MSRP_INTERVALS_MAX: usize = 16;

/// Parts of one text at most, to a user agent without MSRP: what does not fit so many has next to no room for
/// text in each.
pub const PAGER_PARTS_MAX: u8 = 8;

/// Octets of a session description of ours: one stream, whose path is one URI.
pub const SDP_OWN_SIZE_MAX: usize = 1_024;

/// Octets of our answer to an INVITE in a dialog: what is copied from it, our Contact and our description.
pub const ANSWER_SIZE_MAX: usize = 4_096;

/// Octets of a session description of ours in a session that is joined to another one: one stream of ours,
/// with the types and attributes that the other side has given.
pub const CARRIED_SDP_SIZE_MAX: usize = 2_048;

/// Octets of it with what an INVITE of ours has in common with its CANCEL: Route and the preferences of the
/// caller.
pub const CARRIED_SAID_SIZE_MAX: usize = 4_096;

/// Of so many calls, one may be towards a caller whose INVITE has no final response or no ACK: half of all
/// calls that are joined are towards callers, and half of these may be that young.
pub const CARRIED_INVITES_SHARE: u32 = 4;

/// How long a callee who rings is waited for, in milliseconds: timer C, more than three minutes (RFC 3261
/// section 16.6 step 11), because whoever is asked there may be a human being.
pub const CARRIED_RINGING_MS: u32 = 185_000;

/// How long a session waits on for responses when its wait for REPORTs is over, in milliseconds, before it looks
/// again: each chunk has its own 30 s.
pub const MSRP_RESPONSE_WAIT_MS: u32 = 500;

/// How long a session stays after the BYE of the other end for what he has said in it before, in milliseconds:
/// a response or a REPORT may be lost once on its way over TCP, and is there then.
pub const MSRP_FAREWELL_MS: u32 = 1_000;

/// How long a session stays for the REPORT of a message that was delivered by its responses alone, in
/// milliseconds: user agents send both together.
pub const MSRP_LINGER_MS: u32 = 2_000;

/// Octets that a dialog remembers: Call-ID and tags as long as they come from other user agents (some 150),
/// two parties, a target, and the routes of a core with five proxies that write 200 each.
pub const DIALOG_SIZE: usize = 2_048;

/// Octets of a message for the SMS side at most, as our answer to an INVITE says: what 255 parts of 134 octets
/// hold. In characters of two octets each in UTF-8 that is all of them in UCS-2.
pub const SUBMISSION_SIZE_MAX: usize = 255 * 134;

/// Such messages on their way at once in one worker at most: what the name of one has bits for.
pub const SUBMISSIONS_MAX: u32 = 1 << 16;

/// Octets of the URI of who sends such a message at most.
pub const SUBMISSION_SENDER_SIZE_MAX: usize = 255;

/// How long RP-ACK or RP-ERROR to a part is waited for, in milliseconds: TR1M is 35 to 45 s (TS 24.011 section
/// 10).
pub const TR1M_MS: u32 = 40_000;

/// How long a message waits until others of its sender have been submitted, in milliseconds.
pub const SUBMISSION_TURN_MS: u32 = 120_000;

/// How long status reports are waited for, in milliseconds: then it is accepted, and no more is known.
pub const STATUS_REPORTS_MS: u32 = 1_800_000;

/// How long it is remembered what became of a message, in milliseconds, for copies that come when it is over:
/// as long as senders keep what they may send again. Messages are under way for half of that.
pub const SUBMISSION_MEMORY_MS: u32 = 3_600_000;

/// How long a session for the SMS side may rest before we end it, in milliseconds.
pub const SUBMISSION_IDLE_MS: u32 = 600_000;

/// Accounts between two turns: no turn closes more messages than there are slots and timers.
pub const ACCOUNTS_MAX: usize = 1_024;

/// Sessions of Large Messages at once where nothing else is said: what a hundred messages a second need
/// that take ten seconds each, as an INVITE that rings may.
pub const LARGE_SESSIONS: u32 = 1_024;

/// Sessions of one process at most: all that the ports of sixteen addresses could carry.
pub const LARGE_SESSIONS_MAX: u32 = 1 << 20;

/// Octets of a Large Message where nothing else is said: what one short message becomes, 160 characters of
/// three octets in UTF-8 with the head of CPIM around them, and several times that.
pub const LARGE_MESSAGE_SIZE: u32 = 4_096;

/// Octets that a Large Message may have at least: less is what a MESSAGE carries.
pub const LARGE_MESSAGE_SIZE_MIN: u32 = 1_024;

/// Octets that it may have at most, of which each session holds as many: 255 parts of 153 characters of
/// two octets are 78 030 in UTF-8, and what is more than a mebibyte is a file.
pub const LARGE_MESSAGE_SIZE_MAX: u32 = 1 << 20;

/// How long a final response to the INVITE of a Large Message is waited for where nothing else is said, in
/// milliseconds: a client that answers by itself does so at once, and `sync_deadline` leaves time for the
/// message and its reports.
pub const LARGE_INVITE_WAIT_MS: u32 = 10_000;

/// The same at least, in milliseconds: one retransmission with the timers of RFC 3261.
pub const LARGE_INVITE_WAIT_MS_MIN: u32 = 500;

/// How long REPORTs are waited for where nothing else is said, in milliseconds (RFC 4975 section 7.1.1 gives
/// two minutes for instant messages).
pub const LARGE_REPORT_WAIT_MS: u32 = 120_000;

/// The same at least, in milliseconds: a REPORT comes through a relay and from a client that thinks.
pub const LARGE_REPORT_WAIT_MS_MIN: u32 = 1_000;

/// The same at most, in milliseconds: a client that never reports holds its session for so long.
pub const LARGE_REPORT_WAIT_MS_MAX: u32 = 600_000;

/// How long a session stays for further messages at most, in milliseconds: each takes a place of its own.
pub const LARGE_SESSION_IDLE_MS_MAX: u32 = 3_600_000;

/// Octets of a message that passes from one session to another and have come and not left, where nothing else is
/// said: at 10 ms from end to end 13 Mbit/s, and a fair part of what the kernel holds anyway.
pub const LARGE_CARRY_BUFFER: u32 = 16_384;

/// The same at most.
pub const LARGE_CARRY_BUFFER_MAX: u32 = 1 << 20;

/// Octets of one session description: several times what clients with audio, video and their
/// candidates send, and still a body that one message of a stream holds.
pub const SDP_SIZE_MAX: usize = 16_384;

/// Media descriptions in one session description: each has its line in the answer.
pub const SDP_MEDIA_MAX: usize = 32;

const _: () = {
    // Between two intervals of what is acknowledged lies at least one chunk that is not.
    // A response and a REPORT have each at most the path of the peer and our URI in them.
    assert!(2 * (MSRP_PATH_SIZE_MAX + MSRP_URI_SIZE_MAX + 256) <= MSRP_ANSWER_SIZE_MAX);
    assert!(MSRP_INTERVALS_MAX > MSRP_CHUNKS_MAX);
    assert!(MSRP_INTERVALS_MAX <= u8::MAX as usize);
    // What a span can name.
    assert!(SDP_SIZE_MAX <= u16::MAX as usize);
    assert!(SDP_MEDIA_MAX <= u8::MAX as usize);
    assert!(ACCOUNTS_MAX >= SLOTS_MAX + BURST_SIZE + TIMERS_PER_TURN_MAX);
    // A stored and forwarded request always fits the slot that carries it.
    assert!(SLOT_SIZE >= DATAGRAM_SIZE_MAX + FORWARD_GROWTH_MAX);
    assert!(SLOT_SIZE.is_multiple_of(64));
    // A full burst of evidence can always be passed on, and the timers of that turn can run.
    assert!(SLOTS_EVIDENCE >= BURST_SIZE * DEPARTURES_PER_ARRIVAL_MAX + TIMERS_PER_TURN_MAX);
    assert!(SLOTS_WORK >= BURST_SIZE * DEPARTURES_PER_ARRIVAL_MAX);
    assert!(SLOTS_MAX <= u16::MAX as usize);
    assert!(OUTBOX_SIZE.is_power_of_two());
    assert!(OUTBOX_SIZE > SLOTS_MAX * 64 + SLOT_SIZE);
    assert!(STREAM_READS.is_power_of_two());
    // Whoever keeps a read back leaves more than the quarter below which nobody is read from.
    assert!(STREAM_READS - STREAM_READS_KEPT > STREAM_READS / 4);
    assert!(SLOTS_EVIDENCE >= STREAM_EVIDENCE_MIN + TIMERS_PER_TURN_MAX + BURST_SIZE);
    assert!(OUTBOX_SIZE >= 2 * STREAM_ROOM_MIN);
    assert!(STREAM_TAIL_SIZE <= DATAGRAM_SIZE_MAX);
    // A share of what there is at least is at least one.
    assert!(HANDOVER_PAIR_MIN >= 2 * BURST_SIZE);
    assert!(HANDOVER_PAIR_MIN / HANDOVER_LARGE_SHARE >= HANDOVER_PROOF_SHARE);
    assert!(HANDOVER_PROOF_SHARE > HANDOVER_RESERVED_SHARE);
    assert!(WORKERS_MAX <= u64::BITS as usize);
    // The kernel indexes receive buffers by a mask, and names them in 15 bits.
    assert!(RECEIVE_BUFFERS.is_power_of_two());
    assert!(RECEIVE_BUFFERS >= BURST_SIZE);
    assert!(RECEIVE_BUFFERS <= 1 << 15);
};

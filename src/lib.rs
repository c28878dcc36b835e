//! `roger`: a fast path between the SMS side and the IM side that decides, for every message,
//! **one verdict, once, from proof**.
//!
//! When SMS and IM interwork, the delivery report that the SMS side gets must be true. The IM side
//! proves it without any notification of its own: 200 OK to a SIP MESSAGE says that the recipient's
//! user agent has the message (RFC 3428 section 7), an error response says that it has not, and
//! silence says that nobody knows. This crate carries the message, weighs that evidence, and passes
//! on what it proves; where nothing is proved, nothing is claimed.
//!
//! # The way of a message
//!
//! ```text
//!            +---------- engine (sans-IO, one per worker) ----------+
//!  io -Arrival-> wire -> transaction -> delivery -> report -Departure-> io
//!            |   views    match,         evidence    the final     |
//!            |            machines       -> verdict  response      |
//!            +------------------- store, time ---------------------+
//!  worker = io + engine, turn after turn, pinned    oam = start, watch, drain, status (own threads)
//! ```
//!
//! 1. A driver in [`io`] takes a burst of datagrams and hands them over as [`packet::Arrival`]s.
//! 2. [`wire`] reads each of them in one pass into a view that borrows the octets.
//! 3. [`engine`] asks whom it concerns. A request that is known is absorbed or answered again; a
//!    new MESSAGE opens a record and goes on to the IM side under a [`transaction::branch`] that
//!    names the record and proves that we made it. A response is matched by that branch alone.
//! 4. A final response, a timer or an error is [`delivery::Evidence`]; the record's
//!    [`delivery::Message`] turns the first of them that decides into a [`delivery::Verdict`].
//! 5. The final response goes back without our Via: of a message that is passed through it *is* the
//!    report. Where nobody knows, nothing is said (RFC 4320), which the sender's own timer turns
//!    into the truth.
//! 6. When the driver has told how that went, the record is closed. An [`delivery::Account`] tells
//!    its story, and 48 bits beside a fingerprint keep its retransmissions answerable.
//!
//! # The way of a short message
//!
//! RP-DATA in a MESSAGE takes the same way as far as [`engine`], and then its own. Here we are the
//! receiver and not a proxy, so it has two transactions of ours and a report that is a message:
//!
//! ```text
//!  SMS side                          engine                              IM side
//!    | MESSAGE (RP-DATA)               |                                     |
//!    |-------------------------------->| wire::rp, wire::tpdu                |
//!    |                             200 | interwork: who, and is it text      |
//!    |<--------------------------------| key: a repetition? its turn?        |
//!    |                                 | MESSAGE (text/plain, message/cpim)  |
//!    |                                 |------------------------------------>|
//!    |                                 |                      final response |
//!    |                                 |<------------------------------------|
//!    | MESSAGE (RP-ACK or RP-ERROR)    | delivery: evidence -> verdict       |
//!    |<--------------------------------| report: verdict -> RP octets        |
//!    | 200: the report was taken       |                                     |
//!    |-------------------------------->| remembered, account, closed         |
//! ```
//!
//! 1. The 200 to the RP-DATA says nothing about the message; it ends the server transaction, and a
//!    retransmission gets it again.
//! 2. [`interwork::content`] says whether there is a text in it, [`interwork::address`] who the
//!    originator is on the other side. What can never be sent is concluded at once.
//! 3. A keyed fingerprint of recipient and TPDU says whether it is a repetition
//!    ([`delivery::Memory`]): then it is answered from what was proved, attached to the attempt that is
//!    running, or tried again under the same Call-ID with the next CSeq.
//! 4. It waits for its turn with that recipient (RFC 3428 section 8), then its request leaves.
//! 5. The first evidence that decides gives the verdict; [`delivery::mapping`] says what the RP layer
//!    is told about it, and [`mod@report`] writes that. A 202 waits for the deadline, for there may be
//!    more proof. The attempt goes on to timer F beside the report: a late 200 is remembered.
//! 6. The report has a result of its own. When it and the attempt are over, the record is closed; the
//!    account says what was proved, what was told, and whether that was taken.
//!
//! # Many workers
//!
//! ```text
//!          SO_REUSEPORT + steering: any packet to any worker, evenly
//!        +------------------------------+-----------------------------+
//!   worker 0: io + engine  ==parcels==>  worker 1: io + engine  ==..==>  worker n
//!        |  own shard of the directory  |  own shard                  |
//!        +---- read by all, written by its owner only -----------------+
//!                  oam::supervisor: every worker takes turns, or is lost
//! ```
//!
//! A message has one **home**: the worker that a keyed hash of its recipient names. There live its server
//! transaction, its record, what is remembered of the short message, and the turn with its recipient,
//! with one writer and no locks. Whoever takes a packet from a socket finds its home in the packet
//! itself (the recipient of a request, the branch of a response) and, where that is another worker,
//! copies it into a [`handover`] parcel: one hop, bounded, never waited for. A retransmission whose
//! answer is a function of its own octets is answered where it arrives, out of the home's shard of the
//! [`store::Directory`]. A connection is of the worker that has accepted or opened it: a response to
//! what came on it is handed back to that worker. So steering ([`io::steer`]) only spreads load; no
//! verdict depends on it.
//!
//! A worker that stands still or breaks is *lost*: its word is taken from it for good
//! ([`store::Gate`]), what was open on it is told as unknown by the supervisor, and nobody accepts
//! anew what is at home there.
//!
//! # Connections
//!
//! ```text
//!   kernel -read-> parked reads --+                            +--> outboxes -write-> kernel
//!                  (the driver's) |  session::stream::Streams  |    (the connection's)
//!                    tails -------+--> frame -> Arrival        |
//!                                      engine ... Departure ---+
//! ```
//!
//! Over TCP the same messages take the same way: [`session::stream`] divides what is read into messages
//! in place, copying only what is torn off at the end of a read, and collects what a turn sends to one
//! connection for one write. So a *trunk* between us and an SBC costs one read and one write for many
//! messages. It knows no system call; [`io`] carries out what it orders on io_uring or epoll, and the
//! simulator over a network of its own.
//!
//! * What cannot be divided ends the connection: nothing behind a doubtful length is ever taken for a
//!   message.
//! * A response leaves on the connection of its request, else on a new one to the address of its Via
//!   (RFC 3261 section 18.2.2), also when that ends before it was written. A request leaves on the
//!   connection that we opened to its next hop.
//! * A message that was written proves nothing more when its connection ends: the answer may come on
//!   another one, until timer F. One of which no octet was written goes to the next server.
//! * Whoever does not read, does not finish what he begins, or is silent for long, is disconnected;
//!   each of that has a limit and a counter, and none of it holds a slot.
//!
//! TLS has a thread of its own ([`tls`]), which hands plain octets to a driver over a pair of local
//! sockets and only from whom the engine may take for a peer: no handshake takes a turn of a worker.
//!
//! # Large Messages
//!
//! What no MESSAGE can carry goes in a session of its own (RFC 4975), or in one that is there:
//!
//! ```text
//!  engine::large                                                     IM side
//!    | INVITE, offer: our path            transaction::invite_client    |
//!    |----------------------------------------------------------------->|
//!    | 200, answer                        session::negotiation          |
//!    |<-----------------------------------------------------------------|
//!    | ACK                                session::dialog               |
//!    |----------------------------------------------------------------->|
//!    | connect, or be connected to        session::stream               |
//!    |==================================================================|
//!    | SEND, SEND ..                      session::msrp                 |
//!    |----------------------------------------------------------------->|
//!    | 200, 200 .., REPORT ..             delivery::coverage -> verdict |
//!    |<-----------------------------------------------------------------|
//!    | BYE                                                              |
//!    |----------------------------------------------------------------->|
//! ```
//!
//! 1. A MESSAGE would be too long, or one was answered 413 or 513: a *transfer* holds the octets of the
//!    message and its ledger, a *call* the dialog and the session that it is sent in.
//! 2. No octet of the message leaves before the answer, so every failure until then is certain.
//! 3. Octets of a connection are shown to [`engine::Engine::on_stream`] where they lie, and what is said is
//!    written in place: a chunk may be longer than any buffer ([`packet::StreamEvent`]).
//! 4. [`session::msrp`] says what was observed; the [`delivery::coverage::Ledger`] says what it proves. Of
//!    the recipient's own user agent 200 to every octet does, of anybody in between only REPORTs do.
//! 5. When nobody knows what became of it, it is sent once more in a second session under the same
//!    Message-ID. The verdict comes by the deadline all the same; what is proved later is remembered.
//! 6. Who takes no session gets the text in several MESSAGE requests, if it fits; delivered is all of them.
//!
//! Each worker listens for MSRP at a port of its own, which the path in its offers names: what comes on a
//! connection is at home where it arrives.
//! Over TLS the same is listened for at another port, by the thread of [`tls`]; what the other end has shown is
//! told with the connection, and the engine gives a session none whose certificate is not the one in its SDP.
//!
//! # What holds everywhere
//!
//! * **Sans-IO by plain data.** Time, chance and octets are arguments. io_uring, `recvmmsg` and the
//!   simulator in `tools/sim` fill the same structs.
//! * **Evidence in, verdict out, once.** What comes after the verdict is counted and changes
//!   nothing, and nothing of it reaches the sender.
//! * **Identifiers that locate and authenticate themselves.** A branch of ours cannot collide and
//!   cannot be guessed, and needs no table; its epoch rises at each start, so that what an earlier life
//!   minted matches nothing. What peers mint goes through [`store::Directory`] under a keyed fingerprint
//!   of 128 bits.
//! * **Reservation instead of back-pressure.** A departure that is started has its slot. Evidence,
//!   refusals and new work have purses of their own, so that none starves another.
//! * **A refusal is a refusal.** 503 from us means that nothing was sent on, and that nothing will
//!   be, so that an SBC may take its other route without doubling the message.
//! * **Everything has a limit** ([`limits`]), everything is allocated and touched at the start, and
//!   a worker counts its allocations from then on ([`metrics::Counter::Allocations`]).
//! * **Bad input is a value and a counter**, never a panic; a broken invariant of our own stops the
//!   process, because a wrong report is worse than a restart.
//!
//! # Who may import whom
//!
//! Arrows only go down this list; `tests/it/tidy.rs` reads the sources and names file and line
//! where they do not. `delivery` never sees octets, `io` never sees the engine, `load` sees neither
//! `delivery` nor `engine`, so that it cannot share their mistakes. `unsafe` stands in `store` and
//! `io` only, and one file reads the clock.
//!
//! # Recipes
//!
//! * *A header field that the engine needs*: see the head of [`wire::sip`].
//! * *A kind of evidence*: a variant of [`delivery::Evidence`], its row in [`delivery::mapping`],
//!   the place in `engine` that observes it, and the fault in `tools/sim` that makes it happen. The compiler names every match that must know it.
//! * *What a status means*: its row in [`delivery::mapping`], or `[peer.map]` for one peer alone.
//! * *A counter*: a variant of [`metrics::Counter`] with its line, its place in `ALL`, its name.
//! * *A content that becomes text, or no longer does*: [`interwork::content`]; its TP-FCS stands there.
//! * *What the SMS side is told*: the row in [`delivery::mapping`] says which RP-Cause and TP-FCS, the
//!   module [`mod@report`] how they are written.
//! * *A limit*: a constant in [`limits`] with its reason, and its relation to the others.
//!
//! Until there is a journal, all this holds while the process lives: what is open when it dies is
//! unknown to it, and the senders' own timers say so.

pub mod limits;

pub mod id;
pub mod packet;
pub mod store;
pub mod time;

pub mod handover;

pub mod wire;

pub mod transaction;

pub mod delivery;

pub mod metrics;

pub mod interwork;

pub mod report;

pub mod session;

pub mod engine;

pub mod io;

pub mod tls;

pub mod worker;

pub mod load;

pub mod config;

pub mod oam;

pub mod cli;

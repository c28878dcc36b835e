//! The sans-IO engine: one per worker, driven by whoever owns the sockets.
//!
//! This is composition only. Each function finds the record, asks the machine, tells the latch,
//! and writes what follows into a slot. A MESSAGE from the SMS side opens a record and goes on to
//! the IM side; the first evidence that decides goes back as the final response, which in this
//! form of the SMS side *is* the delivery report; when the driver has said how that went, the
//! message is closed: its account is told, and 48 bits stay behind for retransmissions.
//!
//! **A burst is only given while [`Purse::Evidence`] has a slot for each of its arrivals, a tick
//! only while it has [`TIMERS_PER_TURN_MAX`]: so nothing that carries evidence ever waits.**

mod answer;
mod back;
mod close;
mod credentials;
mod gateway;
mod home;
mod instant;
mod kept;
mod large;
mod memory;
mod neighbours;
mod parts;
mod pause;
mod peers;
mod reading;
mod record;
mod remains;
mod report;
mod request;
mod response;
mod route;
mod setup;
mod short;
mod size;
mod timers;

use std::sync::Arc;

pub use self::home::home_of;
use self::kept::Kept;
use self::large::Sessions;
pub use self::neighbours::{Common, Neighbours};
use self::pause::Pause;
use self::peers::Peers;
pub use self::record::MESSAGES_MAX;
use self::record::{OPEN_MESSAGE_SIZE, Record};
pub use self::remains::{Left, Remains};
use self::request::Asked;
pub use self::setup::{
    Content, Credentials, Families, Gateway, Host, Large, Peer, Profile, Recipient, RequestSockets,
    Secure, Serving, Setup, Strangers, Timers,
};
use self::short::Short;
use crate::delivery::Account;
use crate::handover::Taken;
use crate::id::WorkerId;
use crate::limits::{
    ACCOUNTS_MAX, AUTHORIZATION_SIZE_MAX, AUTHORIZED_SHARE, BURST_SIZE, DATAGRAM_SIZE_MAX,
    KEPT_MAX, MEMORY_TICK_MS, REFUSED_SHARE, REQUEST_SMALL_SIZE, SLOT_SIZE, TIMERS_PER_TURN_MAX,
    TOMBSTONES_MAX,
};
use crate::metrics::{Counter, PeerTally, Tally};
use crate::packet::{Arrival, Departures, Owner, Purse, Sent, Transport};
use crate::store::{Directory, Fingerprint, Hasher, Pool, Slab};
use crate::time::{Instant, Wheel};
use crate::transaction::branch::Branch;
use crate::transaction::pending::Pending;
use crate::wire::sip::{self, Message, Request, Response};

/// All protocol state of one worker.
#[derive(Debug)]
pub struct Engine {
    setup: Setup,
    peers: Peers,
    records: Slab<Record>,
    /// Which of them are open, for others to see.
    remains: Arc<Remains>,
    /// The request of each record, as it arrived, at the record's index.
    requests: Box<[[u8; REQUEST_SMALL_SIZE]]>,
    /// Requests that are longer.
    requests_large: Pool<DATAGRAM_SIZE_MAX>,
    /// What only short messages need, at the index of their record.
    shorts: Box<[Short]>,
    /// Whose turn it is with a recipient (RFC 3428 section 8).
    pending: Pending,
    /// Which submission of a short message has the running attempt.
    running: Pending,
    /// What is remembered of short messages.
    memories: Directory,
    /// Dialogs of INVITE and sessions of MSRP, where there may be some.
    sessions: Option<Box<Sessions>>,
    /// Header fields that answer challenges.
    authorizations: Pool<AUTHORIZATION_SIZE_MAX>,
    /// Octets of an instant message at most, beside its recipient and its text.
    pager_overhead: usize,
    /// Until when the TCP of each peer is not asked again because of the size of a request.
    tcp_refused: Box<[Instant]>,
    /// The other workers.
    neighbours: Neighbours,
    /// What they have handed over, while it is worked on.
    taken: Taken,
    wheel: Wheel,
    /// Server transactions: open, or finished and answerable.
    transactions: Directory,
    /// MESSAGE requests that were answered 503: what was refused once stays refused.
    refused: Directory,
    /// Client transactions that ended otherwise than delivered, for responses that come late.
    tombstones: Directory,
    kept: Kept,
    accounts: Accounts,
    /// Where an answer is measured before it is known whether it may be sent.
    scratch: Box<[u8; SLOT_SIZE]>,
    pause: Pause,
    serving: Serving,
    /// How far the search for messages to abandon has come.
    abandoned_to: u32,
    tally: Arc<Tally>,
}

/// What the tables of one engine take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Footprint {
    /// Octets per open message: record, request, timer.
    pub open_message: usize,
    /// Octets per finished transaction at the stated capacity.
    pub finished_transaction: usize,
    /// Octets of everything together.
    pub total: usize,
}

/// Why a request is not taken: a status code with its phrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Refusal {
    status: u16,
    reason: &'static str,
}

impl Refusal {
    const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }
}

/// An arrival after the first pass over its burst.
enum Seen<'a> {
    Nothing,
    Request { request: Request<'a>, peer: Option<u8>, fingerprint: Fingerprint, home: WorkerId },
    Response(Response<'a>, u8, Branch),
}

impl Engine {
    /// The engine of the only worker.
    pub fn new(setup: Setup, tally: Arc<Tally>, now: Instant) -> Self {
        let neighbours = Neighbours::none(setup.next_servers.len());
        Self::among(neighbours, setup, tally, now)
    }

    /// The engine of one worker of several. Allocates and touches everything the worker will ever
    /// need.
    ///
    /// # Panics
    ///
    /// Panics if the setup is another worker's, or not one that a configuration can lead to.
    pub fn among(neighbours: Neighbours, setup: Setup, tally: Arc<Tally>, now: Instant) -> Self {
        assert_eq!(setup.worker, neighbours.own());
        assert!(setup.messages_max > 0);
        assert!(setup.messages_max <= MESSAGES_MAX);
        assert!(setup.peers.iter().all(|peer| peer.sync_deadline_ms > 0));
        assert_eq!(tally.peers.len(), setup.peers.len());
        assert_eq!(setup.transports.len(), setup.sent_by.len());
        let mut requests: Box<[[u8; REQUEST_SMALL_SIZE]]> =
            core::iter::repeat_n([0; REQUEST_SMALL_SIZE], setup.messages_max as usize).collect();
        for request in &mut requests {
            request.fill(0xFF);
        }
        neighbours.handover.furnish();
        let transactions = Directory::new(setup.finished_max, now);
        let refused = Directory::new(setup.finished_max / REFUSED_SHARE, now);
        neighbours.show(transactions.reader(), refused.reader());
        Self {
            peers: Peers::new(setup.peers.clone()),
            records: Slab::new(setup.messages_max),
            remains: Remains::new(setup.messages_max),
            requests,
            requests_large: Pool::new(setup.messages_large_max),
            shorts: core::iter::repeat_n(Short::none(now), setup.messages_max as usize).collect(),
            pending: Pending::new(setup.messages_max),
            running: Pending::new(setup.messages_max),
            memories: Directory::with_tick(setup.gateway.remembered_max, MEMORY_TICK_MS, now),
            authorizations: Pool::new(authorizations_max(&setup)),
            sessions: setup.large.as_ref().map(|large| Box::new(Sessions::new(&setup, large, now))),
            pager_overhead: instant::overhead(&setup),
            tcp_refused: core::iter::repeat_n(Instant::default(), setup.peers.len()).collect(),
            neighbours,
            taken: Taken::new(),
            wheel: Wheel::new(setup.messages_max, now),
            transactions,
            refused,
            tombstones: Directory::new(TOMBSTONES_MAX, now),
            kept: Kept::new(KEPT_MAX),
            accounts: Accounts::new(if setup.accounts { ACCOUNTS_MAX } else { 0 }),
            scratch: Box::new([0; SLOT_SIZE]),
            pause: Pause::new(now),
            serving: Serving::Open,
            abandoned_to: 0,
            setup,
            tally,
        }
    }

    /// Takes one burst: a first pass parses, hashes and prefetches, a second one acts, so that
    /// the cache misses of a burst overlap.
    ///
    /// # Panics
    ///
    /// Panics if the caller has not kept the evidence slots free.
    pub fn on_burst(&mut self, arrivals: &[Arrival<'_>], out: &mut Departures) {
        assert!(arrivals.len() <= BURST_SIZE);
        assert!(out.free(Purse::Evidence) >= arrivals.len());
        if let Some(first) = arrivals.first() {
            self.pause.notice(first.at);
        }
        // One after the other: all at once, they would be filled with zeros to their last octet.
        let mut burst: [Seen<'_>; BURST_SIZE] = core::array::from_fn(|_| Seen::Nothing);
        for (seen, arrival) in burst.iter_mut().zip(arrivals) {
            *seen = self.see(arrival, false);
        }
        for (seen, arrival) in burst.iter().zip(arrivals) {
            let since = self.pause.looked_at(arrival.at);
            match self.elsewhere(seen) {
                None => self.act(seen, arrival, (since, arrival.at), out),
                Some(home) => self.on_foreign(seen, arrival, home, since, out),
            }
        }
    }

    /// Does what an arrival leads to, on the worker that it concerns.
    fn act(
        &mut self,
        seen: &Seen<'_>,
        arrival: &Arrival<'_>,
        (since, now): (Instant, Instant),
        out: &mut Departures,
    ) {
        match seen {
            Seen::Nothing => {}
            Seen::Request { request, peer, fingerprint, .. } => {
                let asked = Asked { request, arrival, fingerprint: *fingerprint, since, now };
                self.on_request(asked, *peer, out);
            }
            Seen::Response(response, peer, branch) => {
                self.on_response(response, arrival, *peer, *branch, out);
            }
        }
    }

    /// Takes what the driver says about a departure that has an owner.
    pub fn on_sent(&mut self, owner: Owner, sent: Sent, at: Instant) {
        let (handle, errand) = record::errand(owner);
        match errand {
            record::Errand::Request(attempt) => self.on_request_sent(handle, attempt, sent, at),
            record::Errand::Report => self.on_report_sent(handle, sent, at),
            record::Errand::Handed => self.on_handed_sent(sent),
        }
    }

    /// Does what was released and expires timers, at most [`TIMERS_PER_TURN_MAX`] of both. Returns how
    /// many.
    ///
    /// # Panics
    ///
    /// Panics if the caller has not kept that many evidence slots free.
    pub fn on_tick(&mut self, now: Instant, out: &mut Departures) -> usize {
        assert!(out.free(Purse::Evidence) >= TIMERS_PER_TURN_MAX);
        self.pause.notice(now);
        let looked_at = self.pause.looked_at(now);
        self.transactions.sweep(looked_at);
        self.refused.sweep(looked_at);
        self.tombstones.sweep(now);
        self.memories.sweep(now);
        let mut expired = 0;
        // Follow-on work has half of the room for certain, and timers have the other half: neither
        // starves, however much there is of both.
        while expired < TIMERS_PER_TURN_MAX / 2 && self.on_ready(now, out) {
            expired += 1;
        }
        while expired < TIMERS_PER_TURN_MAX
            && let Some(index) = self.wheel.expire(now)
        {
            self.on_timer(index, now, out);
            expired += 1;
        }
        while expired < TIMERS_PER_TURN_MAX && self.on_ready(now, out) {
            expired += 1;
        }
        expired + self.on_large_tick(now, TIMERS_PER_TURN_MAX - expired, out)
    }

    /// A moment before which [`Engine::on_tick`] has nothing to do; `None` when no timer runs.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_any_ready() {
            return Some(Instant::default());
        }
        self.wheel.next().into_iter().chain(self.next_large_deadline()).min()
    }

    /// Says how new work is met from here on.
    pub fn serve(&mut self, serving: Serving) {
        self.serving = serving;
        if serving == Serving::Refusing {
            self.end_idle_calls();
        }
        self.part_later(serving == Serving::Refusing);
    }

    /// What another thread may see of what is open.
    pub fn remains(&self) -> Arc<Remains> {
        Arc::clone(&self.remains)
    }

    /// Dialogs of INVITE that are there, or are being set up or ended.
    pub fn calls(&self) -> u32 {
        self.sessions.as_deref().map_or(0, Sessions::open)
    }

    /// Messages that are sent in sessions of MSRP, or were and are still asked about there.
    pub fn transfers(&self) -> u32 {
        self.sessions.as_deref().map_or(0, Sessions::under_way)
    }

    /// Messages accepted and not closed.
    pub fn open(&self) -> u32 {
        self.records.len() + self.submissions_open() + self.passages()
    }

    /// The account of the message that was closed first, each once.
    pub fn pop_account(&mut self) -> Option<Account> {
        let account = self.accounts.pop()?;
        self.remains.wait(self.accounts.len);
        Some(account)
    }

    /// What the tables take.
    pub fn footprint(&self) -> Footprint {
        let messages = self.setup.messages_max as usize * OPEN_MESSAGE_SIZE;
        let large = self.setup.messages_large_max as usize * DATAGRAM_SIZE_MAX
            + authorizations_max(&self.setup) as usize * AUTHORIZATION_SIZE_MAX;
        let directories = self.transactions.size()
            + self.refused.size()
            + self.tombstones.size()
            + self.memories.size();
        Footprint {
            open_message: OPEN_MESSAGE_SIZE,
            finished_transaction: self.transactions.size()
                / self.setup.finished_max.max(1) as usize,
            total: messages
                + large
                + directories
                + self.kept.size()
                + self.accounts.size()
                + self.sessions.as_deref().map_or(0, Sessions::size),
        }
    }

    /// The first pass over one arrival: whose is it, what is it, where will it look. What was handed
    /// over is at home here.
    fn see<'a>(&self, arrival: &Arrival<'a>, is_handed: bool) -> Seen<'a> {
        let source = arrival.flow.remote;
        let found = self.peers.of(source);
        let Some(peer) = found.filter(|peer| self.proves_to_be(*peer, arrival)) else {
            return self.see_stranger(arrival);
        };
        self.heard(peer, arrival.at);
        if sip::is_keep_alive(arrival.octets) {
            self.count(Counter::DroppedKeepAlive);
            return Seen::Nothing;
        }
        match sip::parse(arrival.octets) {
            Ok(Message::Request(request)) => {
                let fingerprint =
                    self.fingerprint(&request, request.method_name.of(request.octets));
                let home = if is_handed { self.setup.worker } else { self.home(&request, peer) };
                if home == self.setup.worker {
                    self.transactions.prefetch(fingerprint);
                } else {
                    self.neighbours.prefetch(home, fingerprint);
                }
                Seen::Request { request, peer: Some(peer), fingerprint, home }
            }
            Ok(Message::Response(response)) => self.see_response(response, peer),
            Err(_) if arrival.truncated => self.dropped(Counter::DroppedTruncated),
            Err(_) if arrival.octets.starts_with(b"SIP/2.0 ") => {
                self.dropped(Counter::DroppedResponseMalformed)
            }
            Err(_) => self.dropped(Counter::DroppedMalformed),
        }
    }

    /// Whoever is known by his certificate is not known by his address: in clear anybody may have it.
    fn proves_to_be(&self, peer: u8, arrival: &Arrival<'_>) -> bool {
        self.peers.get(peer).transport != Transport::Tls
            || self.setup.transport_of(arrival.flow.socket) == Transport::Tls
    }

    fn see_stranger<'a>(&self, arrival: &Arrival<'a>) -> Seen<'a> {
        match self.setup.strangers {
            Strangers::Silence => self.dropped(Counter::DroppedStranger),
            Strangers::Forbid => match sip::parse(arrival.octets) {
                Ok(Message::Request(request)) => {
                    let method = request.method_name.of(request.octets);
                    let fingerprint = self.fingerprint(&request, method);
                    Seen::Request { request, peer: None, fingerprint, home: self.setup.worker }
                }
                Ok(Message::Response(_)) | Err(_) => self.dropped(Counter::DroppedStranger),
            },
        }
    }

    /// RFC 3261 section 18.1.2 and 17.1.3: a response belongs to whoever minted its branch.
    fn see_response<'a>(&self, response: Response<'a>, peer: u8) -> Seen<'a> {
        let branch = response.fields.via.branch.of(response.octets);
        match Branch::decode(branch, self.setup.key) {
            Some(branch) if self.is_of_this_life(branch) => {
                if branch.worker == self.setup.worker {
                    self.records.prefetch(branch.index);
                }
                Seen::Response(response, peer, branch)
            }
            Some(branch) if branch.node == self.setup.node && branch.epoch != self.setup.epoch => {
                self.dropped(Counter::DroppedResponseEarlier)
            }
            Some(_) | None => self.dropped(Counter::DroppedResponseForeign),
        }
    }

    /// Whether this life of the process minted the branch. The key outlives the process, and the
    /// places of records begin anew with it: without the epoch a late 200 would prove another message.
    const fn is_of_this_life(&self, branch: Branch) -> bool {
        let Setup { node, epoch, .. } = self.setup;
        branch.node == node && branch.epoch == epoch && self.neighbours.has(branch.worker)
    }

    /// What a retransmission of a request shares with it and no other request does: branch and
    /// sent-by as RFC 3261 section 17.2.3 asks, and Call-ID, From tag and CSeq number as well, so
    /// that a client which uses a branch twice does not get the answer to another message.
    fn fingerprint(&self, request: &Request<'_>, method: &[u8]) -> Fingerprint {
        let (octets, fields) = (request.octets, &request.fields);
        let mut hasher = self.identity(request);
        hasher.octets(method);
        hasher.octets(fields.via.branch.of(octets));
        hasher.octets_ignoring_case(fields.via.sent_by.of(octets));
        if !fields.via.has_cookie(octets) {
            // RFC 2543 clients: the branch says nothing, so the Request-URI and the To tag join.
            hasher.octets(request.uri.of(octets));
            hasher.octets(fields.to_tag.of(octets));
        }
        hasher.finish()
    }

    /// What all copies of one request share, whichever way they came.
    fn identity(&self, request: &Request<'_>) -> Hasher {
        let (octets, fields) = (request.octets, &request.fields);
        let mut hasher = self.setup.key.hasher();
        hasher.octets(fields.call_id.of(octets));
        hasher.octets(fields.from_tag.of(octets));
        hasher.word(u64::from(fields.cseq));
        hasher
    }

    /// The sessions of MSRP.
    ///
    /// # Panics
    ///
    /// Panics if there are none: nothing that leads here happens without them.
    fn sessions_mut(&mut self) -> &mut Sessions {
        let Some(sessions) = self.sessions.as_deref_mut() else {
            unreachable!("no MSRP is set up")
        };
        sessions
    }

    fn count(&self, counter: Counter) {
        self.tally.counters.add(counter);
    }

    fn dropped<'a>(&self, counter: Counter) -> Seen<'a> {
        self.count(counter);
        Seen::Nothing
    }

    fn heard(&self, peer: u8, at: Instant) {
        let last = &self.peer_tally(peer).last_heard_ns;
        last.store(at.0, core::sync::atomic::Ordering::Relaxed);
    }

    fn peer_tally(&self, peer: u8) -> &PeerTally {
        &self.tally.peers[usize::from(peer)]
    }
}

/// How many challenges can be answered at the same time: none without credentials.
fn authorizations_max(setup: &Setup) -> u32 {
    let any = setup.peers.iter().any(|peer| peer.credentials.is_some());
    if any { (setup.messages_max / AUTHORIZED_SHARE).max(1) } else { 0 }
}

/// Accounts between the engine and whoever writes them.
#[derive(Debug)]
struct Accounts {
    ring: Box<[Option<Account>]>,
    head: usize,
    len: usize,
}

impl Accounts {
    fn new(capacity: usize) -> Self {
        Self { ring: core::iter::repeat_n(None, capacity).collect(), head: 0, len: 0 }
    }

    /// Whether there was room.
    fn push(&mut self, account: &Account) -> bool {
        if self.len == self.ring.len() {
            return false;
        }
        let tail = (self.head + self.len) % self.ring.len();
        self.ring[tail] = Some(*account);
        self.len += 1;
        true
    }

    fn pop(&mut self) -> Option<Account> {
        if self.len == 0 {
            return None;
        }
        let account = self.ring[self.head].take();
        self.head = (self.head + 1) % self.ring.len();
        self.len -= 1;
        account
    }

    fn size(&self) -> usize {
        size_of_val(&*self.ring)
    }
}

//! The engine as the world sees it, with room for one planted bug between the two.
//!
//! A simulator that finds nothing proves nothing until it is shown to find something. So each
//! [`Bug`] does at the boundary what a mistake inside the engine would do: it drops, doubles,
//! changes or invents what crosses. Production code has no part in it. (Guards that only the
//! inside can lose are tried by the mutants beside this crate.)

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use roger::delivery::{Account, Verdict as Decided};
use roger::engine::{Common, Engine, Neighbours, Serving, Setup};
use roger::id::WorkerId;
use roger::metrics::Tally;
use roger::packet::{
    Arrival, Departure, Departures, Endpoint, Flow, Owner, SendError, Sent, Slot, SocketId,
};
use roger::time::Instant;

use crate::air::Packet;
use crate::bug::Bug;
use crate::chance::Chance;
use crate::meddle::{self, Meddle};
use crate::mischief::{self, Mischief};
use crate::setup::of_worker;
use crate::strife::Strife;
use crate::swarm::{MS, Swarm};
use crate::tcp::is_stream;
use crate::text::{Key, Text, parameter, without_top_via};

/// What the driver is about to send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) departure: Departure,
    pub(crate) octets: Rc<[u8]>,
    pub(crate) slot: Option<Slot>,
    /// A bug keeps it from leaving.
    pub(crate) swallowed: bool,
}

/// The engine, and what a bug has to remember.
#[derive(Debug)]
pub(crate) struct Boundary {
    pub(crate) engines: Vec<Engine>,
    /// What the workers share.
    common: Arc<Common>,
    setup: Setup,
    pub(crate) bug: Option<Bug>,
    pub(crate) chance: Chance,
    pub(crate) deadline: u64,
    pub(crate) transaction: u64,
    pub(crate) servers: Vec<Endpoint>,
    pub(crate) request_socket: SocketId,
    requests: BTreeMap<Key, (Flow, u64, Rc<[u8]>)>,
    told: BTreeSet<Key>,
    pub(crate) went: BTreeMap<Box<str>, (Flow, Rc<[u8]>)>,
    pub(crate) invented: Vec<Outgoing>,
    /// What a bug in the gateway has to remember.
    pub(crate) mischief: Mischief,
    /// The same of a bug between workers, and what it makes a worker take once more.
    pub(crate) strife: Strife,
    pub(crate) again: Vec<(Packet, Flow)>,
    account: Option<Account>,
    pub(crate) minted: u64,
    /// The same of a bug in Large Messages.
    pub(crate) meddle: Meddle,
}

impl Boundary {
    pub(crate) fn new(
        mut setup: Setup,
        tallies: &[Arc<Tally>],
        swarm: &Swarm,
        bug: Option<Bug>,
        chance: Chance,
    ) -> Self {
        if let Some(bug) = bug {
            mischief::misconfigure(&mut setup, bug);
            meddle::misconfigure(&mut setup, bug);
        }
        let (engines, common) = engines(&setup, tallies, 0, swarm);
        Self {
            request_socket: setup.request_sockets.udp.v4.unwrap_or_default(),
            engines,
            common,
            setup,
            bug,
            chance,
            deadline: swarm.deadline(),
            transaction: swarm.transaction(),
            mischief: Mischief::default(),
            servers: swarm.places.servers.iter().map(|server| server.addresses[0]).collect(),
            requests: BTreeMap::new(),
            told: BTreeSet::new(),
            went: BTreeMap::new(),
            invented: Vec::new(),
            strife: Strife::default(),
            again: Vec::new(),
            account: None,
            minted: 0,
            meddle: Meddle::default(),
        }
    }

    /// The process starts again.
    pub(crate) fn revive(&mut self, tallies: &[Arc<Tally>], now: u64, swarm: &Swarm) {
        if self.bug != Some(Bug::EpochKept) {
            self.setup.epoch += 1;
        }
        self.strife = Strife::default();
        self.meddle = Meddle::default();
        (self.engines, self.common) = engines(&self.setup, tallies, now, swarm);
    }

    /// A worker will never do anything again, and the others are told.
    pub(crate) fn lose(&mut self, worker: usize) {
        self.strife.lose(worker);
        self.common.lose(WorkerId(u8::try_from(worker).unwrap_or(0)));
    }

    /// Whether nobody tells what was left on a lost worker.
    pub(crate) fn leaves_untold(&mut self) -> bool {
        self.strikes(Bug::RemainsUntold)
    }

    /// What was handed over to a worker.
    pub(crate) fn on_handed(
        &mut self,
        worker: usize,
        room: usize,
        now: u64,
        out: &mut Departures,
    ) -> usize {
        self.engines[worker].on_handed(room, Instant(now), out)
    }

    /// Whether `bug` is planted and strikes now: not each time, so that it has to be looked for.
    pub(crate) fn strikes(&mut self, bug: Bug) -> bool {
        self.bug == Some(bug) && self.chance.one_in(4)
    }

    pub(crate) fn on_burst(
        &mut self,
        worker: usize,
        packets: &mut [(Packet, Flow)],
        now: u64,
        out: &mut Departures,
    ) {
        if self.bug.is_some() {
            self.on_burst_in(worker, now, out);
            for (packet, flow) in packets.iter_mut() {
                self.on_incoming(worker, packet, flow, now);
            }
            self.swap_responses(packets);
        }
        let arrivals: Vec<Arrival<'_>> = packets
            .iter()
            .map(|(packet, flow)| Arrival {
                flow: *flow,
                at: Instant(now),
                octets: &packet.octets,
                truncated: packet.truncated,
            })
            .collect();
        self.engines[worker].on_burst(&arrivals, out);
        self.take_again(worker, now, out);
    }

    pub(crate) fn on_sent(&mut self, worker: usize, owner: Owner, sent: Sent, now: u64) {
        let sent = match sent {
            Err(error) if error.nothing_left() && self.strikes(Bug::RefusalUnheard) => Ok(()),
            Err(SendError::Other(_)) if self.strikes(Bug::ErrorAsRefusal) => {
                Err(SendError::NoRoute)
            }
            same => same,
        };
        self.engines[worker].on_sent(owner, sent, Instant(now));
    }

    pub(crate) fn on_unreachable(
        &mut self,
        worker: usize,
        remote: Endpoint,
        quoted: &[u8],
        now: u64,
    ) {
        if self.strikes(Bug::UnreachableAsFailure)
            && let Some(key) = Text::read(quoted).and_then(|text| text.key_below())
        {
            self.invent(&key, "500 Server Internal Error");
        }
        self.engines[worker].on_unreachable(remote, quoted, Instant(now));
    }

    pub(crate) fn on_tick(&mut self, worker: usize, now: u64, out: &mut Departures) -> usize {
        self.on_turn_of(worker, now);
        let early = if self.bug == Some(Bug::TimerEarly) { 300 * MS } else { 0 };
        self.engines[worker].on_tick(Instant(now + early), out)
    }

    pub(crate) fn next_deadline(&self, worker: usize) -> Option<u64> {
        self.engines[worker].next_deadline().map(|deadline| deadline.0)
    }

    pub(crate) fn serve(&mut self, worker: usize, serving: Serving) {
        self.engines[worker].serve(serving);
    }

    /// An IM server is back.
    pub(crate) fn on_restart(&mut self) {
        if self.bug == Some(Bug::CrashRepeats)
            && let Some((flow, octets)) = self.went.values().next_back().cloned()
        {
            let octets = self.with_other_branch(&octets);
            self.invented.push(invented(flow, octets));
        }
    }

    pub(crate) fn pop_account(&mut self, worker: usize) -> Option<Account> {
        let mut account = self.account.take().or_else(|| self.engines[worker].pop_account())?;
        if self.strikes(Bug::AccountLost) {
            return self.pop_account(worker);
        }
        if self.strikes(Bug::AccountTwice) {
            self.account = Some(account);
        }
        if account.verdict == Decided::Temporary && self.strikes(Bug::AccountChanged) {
            account.verdict = Decided::Permanent;
        }
        Some(account)
    }

    /// Whether the driver gives this slot back, as it should.
    pub(crate) fn gives_back(&mut self) -> bool {
        !(self.bug == Some(Bug::SlotKept) && self.chance.one_in(200))
    }

    /// What leaves in the place of what the engine wants to leave.
    pub(crate) fn on_outgoing(
        &mut self,
        worker: usize,
        mut list: Vec<Outgoing>,
        now: u64,
    ) -> Vec<Outgoing> {
        if self.bug.is_none() {
            return list;
        }
        for outgoing in &mut list {
            self.on_departure(worker, outgoing, now);
        }
        if self.bug == Some(Bug::ReportsSwapped) {
            let finals: Vec<usize> = (0..list.len())
                .filter(|at| Text::read(&list[*at].octets).and_then(|text| text.status()).is_some())
                .collect();
            if let [first, .., last] = finals[..] {
                let remote = list[first].departure.flow.remote;
                list[first].departure.flow.remote = list[last].departure.flow.remote;
                list[last].departure.flow.remote = remote;
            }
        }
        list.append(&mut self.invented);
        list
    }

    fn on_departure(&mut self, worker: usize, outgoing: &mut Outgoing, now: u64) {
        let octets = outgoing.octets.clone();
        let Some(text) = Text::read(&octets) else { return };
        let Some(key) = text.key() else { return };
        self.on_strife_out(worker, outgoing, &text, &key);
        if let Some(status) = text.status() {
            self.on_response_out(outgoing, status, &key);
            return;
        }
        self.on_dialog_out(outgoing, &text);
        let again = self.went.contains_key(&key.branch);
        self.on_gateway_out(outgoing, &text, &key, again, now);
        if again && self.strikes(Bug::RetransmittedAsNew) {
            outgoing.octets = self.with_other_branch(&octets);
        }
        if self.strikes(Bug::BodyCut) && !text.body.is_empty() {
            outgoing.octets = octets[..octets.len() - 1].into();
        }
        if self.strikes(Bug::TryingAtOnce)
            && let Some(below) = text.key_below()
            && !again
        {
            self.invent(&below, "100 Trying");
        }
        if is_stream(outgoing.departure.flow.socket) && self.strikes(Bug::RepeatedOnStream) {
            self.invented.push(invented(outgoing.departure.flow, octets.clone()));
        }
        self.went.insert(key.branch, (outgoing.departure.flow, octets));
    }

    fn on_response_out(&mut self, outgoing: &mut Outgoing, status: u16, key: &Key) {
        if status < 200 {
            return;
        }
        self.told.insert(key.clone());
        if self.strikes(Bug::ReportTwice) {
            self.invented.push(invented(outgoing.departure.flow, outgoing.octets.clone()));
        }
        if self.strikes(Bug::ReportLost) && outgoing.departure.owner.is_some() {
            outgoing.swallowed = true;
        }
        if status == 202 && self.strikes(Bug::AcceptedAsDelivered) {
            outgoing.octets = with_status(&outgoing.octets, "200 OK");
        }
        if status == 503
            && self.strikes(Bug::RefusedButSent)
            && let Some((_, _, request)) = self.requests.get(key)
        {
            self.send_on(&request.clone());
        }
    }

    fn on_incoming(&mut self, worker: usize, packet: &mut Packet, flow: &mut Flow, now: u64) {
        let octets = packet.octets.clone();
        let Some(text) = Text::read(&octets) else { return };
        let Some(key) = text.key() else { return };
        self.on_strife_in(worker, packet, *flow, &text, &key);
        self.on_gateway_in(packet, &text, &key, now);
        let octets = packet.octets.clone();
        let Some(text) = Text::read(&octets) else { return };
        let Some(status) = text.status() else {
            if self.told.contains(&key) && self.strikes(Bug::FinishedForgotten) {
                packet.octets = replaced(&octets, &key.branch, &format!("{}b", key.branch));
            }
            self.requests.entry(key).or_insert((*flow, now, octets));
            return;
        };
        if text.value("CSeq").is_some_and(|cseq| cseq.ends_with(" INVITE")) {
            self.on_dialog_in(&text, &key, status);
        }
        if matches!(status, 480 | 486) && self.strikes(Bug::BusyAsDelivered)
            || status < 200 && self.strikes(Bug::ProvisionalAsDelivered)
        {
            packet.octets = with_status(&octets, "200 OK");
        }
        if let Some((to, request)) = self.went.get(&key.branch).cloned() {
            if flow.remote != to.remote && self.strikes(Bug::SourceIgnored) {
                flow.remote = to.remote;
            }
            if let (Some(had), Some(sent)) =
                (text.value("CSeq"), Text::read(&request).and_then(|text| text.value("CSeq")))
                && had != sent
                && self.strikes(Bug::CseqIgnored)
            {
                packet.octets = replaced(&octets, had, sent);
            }
        }
        if (200..300).contains(&status)
            && let Some(below) = text.key_below()
            && !self.told.contains(&below)
            && self.requests.get(&below).is_some_and(|(_, at, _)| now > at + self.deadline)
            && self.strikes(Bug::LatePassedOn)
            && let Some((client, _, _)) = self.requests.get(&below)
            && let Some(rest) = without_top_via(&octets)
        {
            self.invented.push(invented(*client, rest.into()));
        }
    }

    /// Swaps the topmost Vias of two responses in one burst.
    fn swap_responses(&self, packets: &mut [(Packet, Flow)]) {
        if self.bug != Some(Bug::ResponsesSwapped) {
            return;
        }
        let branch = |packet: &Packet| {
            let text = Text::read(&packet.octets)?;
            text.status().filter(|status| *status >= 200)?;
            Some(parameter(text.vias().next()?, "branch")?.to_owned())
        };
        let found: Vec<(usize, String)> = packets
            .iter()
            .enumerate()
            .filter_map(|(at, (packet, _))| Some((at, branch(packet)?)))
            .collect();
        if let [(one, first), .., (other, last)] = &found[..] {
            packets[*one].0.octets = replaced(&packets[*one].0.octets, first, last);
            packets[*other].0.octets = replaced(&packets[*other].0.octets, last, first);
        }
    }

    /// Makes up a response to a request.
    fn invent(&mut self, key: &Key, status: &str) {
        let Some((flow, _, request)) = self.requests.get(key) else { return };
        let Some(text) = Text::read(request) else { return };
        let vias: Vec<&str> = text.vias().map(str::trim).collect();
        let field = |name| text.value(name).unwrap_or("");
        let response = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Content-Length: 0\r\n\r\n",
            vias.join("\r\nVia: "),
            field("From"),
            field("To"),
            field("Call-ID"),
            field("CSeq"),
        );
        self.invented.push(invented(*flow, response.into_bytes().into()));
    }

    pub(crate) fn with_other_branch(&mut self, octets: &[u8]) -> Rc<[u8]> {
        self.minted += 1;
        let branch = Text::read(octets).and_then(|text| text.key()).map(|key| key.branch);
        replaced(octets, &branch.unwrap_or_default(), &format!("z9hG4bKbug{}", self.minted))
    }
}

/// The engines of a process that starts.
fn engines(
    setup: &Setup,
    tallies: &[Arc<Tally>],
    now: u64,
    swarm: &Swarm,
) -> (Vec<Engine>, Arc<Common>) {
    let group = Neighbours::group(tallies.len(), setup.next_servers.len());
    let common = group[0].common();
    let engine = |(worker, (neighbours, tally)): (usize, (Neighbours, &Arc<Tally>))| {
        let setup = of_worker(setup, worker, swarm);
        Engine::among(neighbours, setup, Arc::clone(tally), Instant(now))
    };
    (group.into_iter().zip(tallies).enumerate().map(engine).collect(), common)
}

pub(crate) fn invented(flow: Flow, octets: Rc<[u8]>) -> Outgoing {
    let departure = Departure { flow, ..Departure::default() };
    Outgoing { departure, octets, slot: None, swallowed: false }
}

pub(crate) fn replaced(octets: &[u8], old: &str, new: &str) -> Rc<[u8]> {
    let Some(at) = memchr::memmem::find(octets, old.as_bytes()) else { return octets.into() };
    [&octets[..at], new.as_bytes(), &octets[at + old.len()..]].concat().into()
}

pub(crate) fn with_status(octets: &[u8], status: &str) -> Rc<[u8]> {
    let text = String::from_utf8_lossy(octets);
    let rest = text.split_once("\r\n").map_or("", |(_, rest)| rest);
    format!("SIP/2.0 {status}\r\n{rest}").into_bytes().into()
}

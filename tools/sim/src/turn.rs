//! The turns of the workers, in the order of the real ones, and everything that crosses the boundary
//! in them.

use roger::delivery::{Account, Form, Verdict as Decided};
use roger::engine::Engine;
use roger::limits::{BURST_SIZE, SLOTS_EVIDENCE, TIMERS_PER_TURN_MAX};
use roger::metrics::Counter;
use roger::packet::{Departure, Endpoint, Flow, JournalSeq, Purse, SendError, Sent};

use crate::air::{Air, Bound, Event, Grade, Over, Packet};
use crate::boundary::Outgoing;
use crate::crew::{Crew, Held, Worker};
use crate::gateway;
use crate::ledger::{Ticket, Verdict};
use crate::strife::minted_by;
use crate::swarm::{MS, SECOND};
use crate::tcp::is_stream;
use crate::text::{Text, written};
use crate::world::World;

/// No turn of a worker that runs is this long, so that what waits longer was not looked for.
const PAUSE: u64 = SECOND;

impl World {
    /// The worker that takes what comes to this socket, if there is one.
    pub(crate) fn taker(&mut self, place: usize, from: Endpoint) -> Option<usize> {
        if self.is_down {
            return None;
        }
        let crew = &self.swarm.crew;
        // The kernel is told to lead around who is lost.
        let alive: Vec<usize> =
            (0..crew.workers).filter(|worker| !self.workers[*worker].is_lost).collect();
        if crew.workers == 1 || alive.is_empty() {
            return alive.first().copied();
        }
        if crew.scatter {
            return Some(self.fate.pick(&alive));
        }
        match Crew::owner(place) {
            Some(owner) => alive.contains(&owner).then_some(owner),
            None => {
                let spread = from.ip.iter().fold(usize::from(from.port), |sum, octet| {
                    sum.wrapping_mul(31).wrapping_add(usize::from(*octet))
                });
                Some(alive[spread / 7 % alive.len()])
            }
        }
    }

    /// Makes a worker look at `at`, or a little later.
    pub(crate) fn look(&mut self, worker: usize, at: u64) {
        let Some(state) = self.workers.get_mut(worker) else { return };
        if state.is_lost || self.is_down {
            return;
        }
        let lag = self.air.chance.below(self.air.faults.lag + 1);
        let at = at.saturating_add(lag).max(state.busy_until).max(self.air.now);
        if at < state.next_turn {
            state.next_turn = at;
            self.air.at(at, Event::Turn(worker));
        }
    }

    pub(crate) fn on_turn_due(&mut self, worker: usize) -> Verdict<()> {
        let state = &mut self.workers[worker];
        if self.air.now != state.next_turn || state.is_lost || self.is_down {
            return Ok(());
        }
        state.next_turn = u64::MAX;
        if self.air.now < state.busy_until {
            let until = state.busy_until;
            if until < u64::MAX {
                self.look(worker, until);
            }
            return Ok(());
        }
        self.turn(worker)
    }

    /// One turn of a worker, in the order of the real one.
    fn turn(&mut self, worker: usize) -> Verdict<()> {
        let now = self.air.now;
        (self.ledger.seat, self.gateway.seat) = (worker, worker);
        let dropped = self.dropped(worker);
        self.complete(worker, now, now);
        self.lines_in(worker, now)?;
        if self.boundary.engines[worker].is_handed() {
            let out = &mut self.workers[worker].out;
            let room = out.free(Purse::Evidence).saturating_sub(TIMERS_PER_TURN_MAX);
            let taken = self.boundary.on_handed(worker, room.min(BURST_SIZE), now, out);
            self.note(|| format!("     worker {worker} takes {taken} from others"));
        }
        self.take_burst(worker, now)?;
        self.divide(worker, now)?;
        self.take_errors(worker, now);
        let mut expired = 0;
        let out = &mut self.workers[worker].out;
        if out.free(Purse::Evidence) >= TIMERS_PER_TURN_MAX {
            expired = self.boundary.on_tick(worker, now, out);
        }
        let refused = self.workers[worker].tally.counters.read(Counter::RefusedHandover);
        self.ledger.turns_away |= refused > 0;
        self.submit(worker, now)?;
        // What is sent in a session that was there leaves before its submission is answered.
        self.gateway.on_talks(now, &self.centres, &self.swarm)?;
        self.take_wishes(worker, now);
        self.lines_out(worker, now)?;
        self.take_accounts(worker, now)?;
        self.note_dropped(worker, dropped);
        self.ledger.on_turn_end(now);
        self.ring(worker, now);
        self.settle(now)?;
        self.balance()?;
        let is_handed = self.boundary.engines[worker].is_handed();
        let state = &self.workers[worker];
        let busy = !state.inbox.is_empty() || expired == TIMERS_PER_TURN_MAX || is_handed;
        let held = state.held.iter().map(|held| held.until).min();
        if busy {
            self.look(worker, now + MS / 10);
        }
        if let Some(until) = held {
            self.look(worker, until);
        }
        if let Some(deadline) = self.boundary.next_deadline(worker) {
            self.look(worker, deadline.max(now + MS / 10));
        }
        Ok(())
    }

    /// ICMP errors, as the driver finds them.
    fn take_errors(&mut self, worker: usize, now: u64) {
        while let Some((remote, quoted, grade)) = self.workers[worker].unreachables.pop_front() {
            self.note(|| {
                format!(
                    "ICMP about {} octets to {}: {}",
                    quoted.len(),
                    written(remote),
                    described(&quoted, Some(grade))
                )
            });
            if !self.gateway.on_unreachable(now, &quoted, grade) {
                self.ledger.on_unreachable(now, &quoted, grade);
            }
            self.boundary.on_unreachable(worker, remote, &quoted, now);
        }
    }

    /// Wakes those to whom something was handed over, as [`roger::worker`] does.
    fn ring(&mut self, worker: usize, now: u64) {
        let posted = self.boundary.engines[worker].posted();
        for other in (0..self.workers.len()).filter(|other| posted & 1 << other != 0) {
            let doze = self.fate.below(self.swarm.crew.doze + 1);
            self.look(other, now + doze);
        }
    }

    /// What a worker has dropped that is not its own, so that it never reaches whom it concerns:
    /// requests, and proofs.
    fn dropped(&self, worker: usize) -> [u64; 2] {
        let counters = &self.workers[worker].tally.counters;
        let sum = |list: &[Counter]| list.iter().map(|counter| counters.read(*counter)).sum();
        [
            sum(&[Counter::DroppedHandover, Counter::DroppedForgotten, Counter::DroppedLost]),
            sum(&[Counter::DroppedHandoverProof, Counter::DroppedLost]),
        ]
    }

    fn note_dropped(&mut self, worker: usize, before: [u64; 2]) {
        let [requests, proofs] = self.dropped(worker);
        if requests > before[0] {
            self.ledger.on_requests_dropped();
            self.gateway.on_requests_dropped();
        }
        if proofs > before[1] {
            self.ledger.on_proofs_dropped();
            self.gateway.on_proofs_dropped();
        }
    }

    /// When nothing is on its way between workers, everything has reached whom it concerns.
    fn settle(&mut self, now: u64) -> Verdict<()> {
        let waits = |(engine, worker): (&Engine, &Worker)| !worker.is_lost && engine.is_handed();
        if self.boundary.engines.iter().zip(&self.workers).any(waits) {
            return Ok(());
        }
        self.ledger.on_settled(now)?;
        self.gateway.on_settled(now)
    }

    /// Takes what the kernel has done.
    pub(crate) fn complete(&mut self, worker: usize, now: u64, until: u64) {
        let (done, held) = core::mem::take(&mut self.workers[worker].held)
            .into_iter()
            .partition(|h| h.until <= until);
        self.workers[worker].held = held;
        let done: Vec<Held> = done;
        for Held { slot, owner, ticket, sent, .. } in done {
            if let Some(slot) = slot
                && self.boundary.gives_back()
            {
                self.workers[worker].out.release(slot);
            }
            self.on_told(now, ticket, sent);
            if let Some(owner) = owner {
                self.boundary.on_sent(worker, owner, sent, now);
            }
        }
    }

    /// The ledgers hear how a departure went.
    pub(crate) fn on_told(&mut self, now: u64, ticket: Ticket, sent: Sent) {
        match ticket {
            Ticket::Gateway(ticket) => self.gateway.on_sent(ticket, sent),
            Ticket::Request(..) | Ticket::Report(_) | Ticket::Other => {
                self.ledger.on_sent(now, ticket, sent);
            }
        }
    }

    fn take_burst(&mut self, worker: usize, now: u64) -> Verdict<()> {
        let state = &self.workers[worker];
        if state.inbox.is_empty() && state.streams.is_none()
            || state.out.free(Purse::Evidence) < BURST_SIZE + TIMERS_PER_TURN_MAX
        {
            return Ok(());
        }
        let mut burst = Vec::with_capacity(BURST_SIZE);
        while burst.len() < BURST_SIZE
            && let Some((came, packet)) = self.workers[worker].inbox.pop_front()
        {
            let sockets = &self.swarm.places.sockets;
            let socket = sockets.iter().position(|socket| *socket == packet.to);
            let socket = Crew::socket(socket.unwrap_or(0));
            // What waited for longer than a turn can take is as old as it is. Where hardly anything is
            // remembered, what ended while nobody looked gives way.
            let since = if self.swarm.remembers() && now - came > PAUSE { came } else { now };
            let flow = Flow { remote: packet.from, local: packet.to.ip, socket, connection: None };
            burst.push((since, packet, flow));
        }
        for (packet, flow) in self.taken(worker, BURST_SIZE - burst.len(), now)? {
            burst.push((now, packet, flow));
        }
        for (since, packet, flow) in &burst {
            let (since, socket) = (*since, flow.socket);
            let short = self.gateway.on_arrival(now, since, packet, &self.centres, &self.swarm);
            if !short {
                let transaction = Text::salvage(&packet.octets)
                    .and_then(|text| text.key())
                    .and_then(|key| self.clients.find(&key));
                self.ledger.on_arrival(now, since, packet, socket, transaction);
            }
            let short = packet.mark.map_or_else(String::new, |submission| {
                let number = self.centres.submissions[submission].short;
                format!("  short {number} {:.12}", self.centres.shorts[number].text)
            });
            self.note(|| {
                format!(
                    "in {worker} {}  {}{short}",
                    written(packet.from),
                    described(&packet.octets, Some(packet.grade))
                )
            });
            if self.swarm.crew.flood
                && packet.grade == Grade::Sound
                && let Some(home) = answered(&packet.octets)
            {
                self.answers.insert(home, packet.clone());
            }
        }
        if burst.is_empty() {
            return Ok(());
        }
        let mut burst: Vec<_> = burst.into_iter().map(|(_, packet, flow)| (packet, flow)).collect();
        self.boundary.on_burst(worker, &mut burst, now, &mut self.workers[worker].out);
        Ok(())
    }

    /// Hands what the engine wants to send to the kernel.
    pub(crate) fn submit(&mut self, worker: usize, now: u64) -> Verdict<()> {
        let mut list = Vec::new();
        let out = &mut self.workers[worker].out;
        while let Some(slot) = out.pop(JournalSeq::NOW) {
            list.push(Outgoing {
                departure: out.departure(&slot),
                octets: out.octets(&slot).into(),
                slot: Some(slot),
                swallowed: false,
            });
        }
        for outgoing in self.boundary.on_outgoing(worker, list, now) {
            self.depart(worker, now, outgoing)?;
        }
        Ok(())
    }

    fn depart(&mut self, worker: usize, now: u64, outgoing: Outgoing) -> Verdict<()> {
        let Outgoing { departure, octets, slot, swallowed } = outgoing;
        self.departed += 1;
        self.digest.octets(&octets);
        self.digest.word(now ^ u64::from(departure.flow.remote.port));
        let remote = departure.flow.remote;
        self.note(|| format!("out{worker} {}  {}", written(remote), described(&octets, None)));
        let Self { ledger, gateway, centres, clients, swarm, .. } = self;
        let find = |key: &_| clients.find(key).map(|transaction| transaction.targets.clone());
        let ticket = if swallowed {
            Ticket::Other
        } else if let Some(ticket) = gateway
            .on_departure(now, &departure, &octets, centres, swarm)?
            // Of a damaged copy nobody knows what it was taken for.
            .filter(|ticket| *ticket != gateway::Ticket::Doubtful || !ledger.knows(&octets))
        {
            Ticket::Gateway(ticket)
        } else {
            ledger.on_departure(now, &departure, &octets, swarm, &find)?
        };
        if is_stream(departure.flow.socket) {
            if let Some(slot) = slot
                && self.boundary.gives_back()
            {
                self.workers[worker].out.release(slot);
            }
            if !swallowed {
                let Departure { flow, owner, .. } = departure;
                self.send_on_line(worker, flow, &octets, ticket, owner, now);
            }
            return Ok(());
        }
        let (sent, leaves) = self.kernel();
        let hold = self.air.chance.below(self.air.faults.hold + 1);
        // The evidence purse must not run dry: a driver that lets it waits for the kernel.
        let held = &mut self.workers[worker].held;
        let hold = if held.len() > SLOTS_EVIDENCE / 2 { 0 } else { hold };
        held.push(Held { until: now + hold, slot, owner: departure.owner, ticket, sent });
        if let Err(error) = sent {
            self.note(|| format!("     the kernel says {error:?}"));
        }
        if leaves && !swallowed {
            let from = self.swarm.places.sockets[Crew::place(worker, departure.flow.socket)];
            let is_im = self.swarm.places.servers.iter().any(|s| s.addresses.contains(&remote));
            let centres = &self.swarm.gateway.centres;
            let is_centre = centres.iter().any(|centre| centre.addresses.contains(&remote));
            let bound = match (is_im, is_centre) {
                (true, _) => Bound::Im,
                (false, true) => Bound::Centre,
                (false, false) => Bound::Sms,
            };
            let packet = Packet {
                from,
                to: remote,
                octets,
                grade: Grade::Sound,
                truncated: false,
                mark: None,
                over: Over::Datagram,
            };
            self.air.send(packet, bound);
        }
        Ok(())
    }

    /// What the kernel says about a departure, and whether it leaves.
    fn kernel(&mut self) -> (Sent, bool) {
        let Air { chance, faults, .. } = &mut self.air;
        if chance.share(faults.refuse) {
            let errors = [SendError::TooLong, SendError::NoRoute, SendError::Forbidden];
            return (Err(chance.pick(&errors)), false);
        }
        if chance.share(faults.refuse_other) {
            // ECONNREFUSED or ENOBUFS: it may stem from another datagram.
            return (Err(SendError::Other(chance.pick(&[111, 105]))), chance.one_in(2));
        }
        (Ok(()), true)
    }

    pub(crate) fn take_accounts(&mut self, worker: usize, now: u64) -> Verdict<()> {
        while let Some(account) = self.boundary.pop_account(worker) {
            self.take_account(now, &account)?;
        }
        Ok(())
    }

    pub(crate) fn take_account(&mut self, now: u64, account: &Account) -> Verdict<()> {
        self.note(|| {
            format!(
                "     account {} {:?} {:?} {:?}",
                String::from_utf8_lossy(account.sms_call_id.octets()),
                account.verdict,
                account.evidence,
                account.report
            )
        });
        self.digest.octets(account.sms_call_id.octets());
        for word in [account.arrived.0, account.decided.0, account.reported.0] {
            self.digest.word(word);
        }
        self.digest.word(u64::from(account.transmissions) << 8 | account.verdict as u64);
        self.count(account.verdict);
        let branches = self.judge(now, account)?;
        let seen = branches
            .iter()
            .any(|branch| self.servers.iter().any(|server| server.seen.contains(branch)));
        let claims = account.verdict == Decided::Delivered && !self.swarm.faults.corrupting();
        if let Some(truth) = self.truth(account) {
            truth.judge(account, seen)?;
        } else if claims && !seen {
            let call_id = String::from_utf8_lossy(account.sms_call_id.octets());
            return Err(format!("I3: {call_id} delivered, and no user has seen it"));
        }
        Ok(())
    }

    const fn count(&mut self, verdict: Decided) {
        self.verdicts[verdict as usize] += 1;
    }

    /// Judges an account, and yields the branches under which the message went to the IM side.
    fn judge(&mut self, now: u64, account: &Account) -> Verdict<Vec<Box<str>>> {
        if account.form == Form::CutThrough {
            let index = self.ledger.on_account(now, account, &self.swarm)?;
            let attempts = self.ledger.submissions[index].attempts.iter();
            return Ok(attempts.map(|attempt| attempt.branch.clone()).collect());
        }
        let life = self.gateway.on_account(now, account, &self.centres, &self.swarm)?;
        let short = life.map(|life| self.gateway.lives[life].short);
        let attempts = short.into_iter().flat_map(|short| self.gateway.attempts_of(short));
        Ok(attempts.map(|attempt| attempt.branch.clone()).collect())
    }
}

/// The worker whose request this is a final response to.
fn answered(octets: &[u8]) -> Option<usize> {
    let text = Text::read(octets)?;
    text.status().filter(|status| *status >= 200)?;
    minted_by(&text.key()?.branch)
}

/// One line about a datagram.
fn described(octets: &[u8], grade: Option<Grade>) -> String {
    let grade = grade.filter(|grade| *grade != Grade::Sound);
    let grade = grade.map_or_else(String::new, |grade| format!(" [{grade:?}]"));
    match Text::read(octets) {
        Some(text) => {
            let field = |name| text.value(name).unwrap_or("-");
            let branch = text.key().map_or_else(|| "-".into(), |key| key.branch);
            let about = text.value("In-Reply-To").map_or_else(String::new, |call_id| {
                format!("  about {call_id}: {:?}", crate::rp::Report::read(text.body))
            });
            let (call_id, cseq) = (field("Call-ID"), field("CSeq"));
            format!("{}  {call_id}  {cseq}  {branch}{grade}{about}", text.start)
        }
        None => {
            let start = &octets[..octets.len().min(160)];
            format!("{} octets: {:?}{grade}", octets.len(), String::from_utf8_lossy(start))
        }
    }
}

//! What befalls the workers: one stands still while the others go on, one is stuck for ever and is
//! spoken for, or the whole process ends without warning and starts again.

use std::fs::File;
use std::os::unix::fs::FileExt;

use roger::delivery::Account;
use roger::engine::{Left, Recipient};
use roger::time::Instant;

use crate::air::Event;
use crate::crew::Worker;
use crate::ledger::Verdict;
use crate::swarm::{MS, SECOND};
use crate::world::World;

/// How long a worker stands still before it is taken for lost, at least and at most.
const LOST_AFTER: (u64, u64) = (SECOND, 3 * SECOND / 2);

/// A flood: more than all others together can hand over to one worker, and how fast.
const FLOOD: u64 = 2_600;
const FLOOD_STEP: u64 = MS / 50;

/// The longest time until the process is there again.
const DOWN_MAX: u64 = 5 * SECOND;

impl World {
    /// What befalls the workers and the process.
    pub(crate) fn schedule_fates(&mut self, spread: u64) {
        let Self { swarm, fate, air, .. } = self;
        let crew = &swarm.crew;
        for _ in 0..crew.stalls {
            let (worker, at) = (fate.index(crew.workers), fate.below(spread));
            // Hardly more than a turn, or so long that transactions end.
            let longest = fate.pick(&[crew.stall_max, crew.stall_max, 2 * SECOND]);
            air.at(at, Event::StallOne(worker, fate.below(longest.min(crew.stall_max))));
        }
        for _ in 0..crew.restarts {
            air.at(fate.below(spread), Event::Die);
        }
        if crew.loss {
            air.at(fate.below(spread), Event::Stick(fate.index(crew.workers)));
        }
    }

    /// One worker stands still for a while.
    pub(crate) fn on_stall(&mut self, worker: usize, lasts: u64) {
        self.note(|| format!("worker {worker} stands still for {} ms", lasts / MS));
        let until = self.air.now + lasts;
        let state = &mut self.workers[worker];
        state.busy_until = state.busy_until.max(until);
        self.flood(worker);
    }

    /// What it has heard last comes again and again, so that nothing can be handed over to it.
    fn flood(&mut self, worker: usize) {
        if !self.swarm.crew.flood || self.air.now > self.swarm.spread {
            return;
        }
        let Some(packet) = self.answers.get(&worker).cloned() else { return };
        self.note(|| format!("worker {worker} is flooded"));
        let now = self.air.now;
        for step in 0..FLOOD {
            self.air.at(now + step * FLOOD_STEP, Event::Arrives(packet.clone()));
        }
    }

    /// One worker stands still for ever.
    pub(crate) fn on_stick(&mut self, worker: usize) {
        let alive = self.workers.iter().filter(|worker| !worker.is_lost).count();
        if self.is_down || self.workers[worker].is_lost || alive < 2 {
            return;
        }
        self.note(|| format!("worker {worker} stands still for ever"));
        self.workers[worker].busy_until = u64::MAX;
        let (least, most) = LOST_AFTER;
        let after = self.fate.between(least, most);
        self.air.after(after, Event::Lost { worker, life: self.life });
    }

    /// It is taken for lost: the others are told, and what is open there ends as unknown.
    pub(crate) fn on_lost(&mut self, worker: usize, life: u32) -> Verdict<()> {
        if self.life != life || self.is_down {
            return Ok(());
        }
        let now = self.air.now;
        self.note(|| format!("worker {worker} is lost"));
        self.boundary.lose(worker);
        // What was in its sockets or on its way to it reaches nobody.
        let state = &mut self.workers[worker];
        state.is_lost = true;
        state.inbox.clear();
        state.unreachables.clear();
        state.held.clear();
        self.drop_lines(Some(worker));
        self.conduits.drop_all(Some(worker), &mut self.air);
        self.ledger.on_requests_dropped();
        self.gateway.on_requests_dropped();
        self.ledger.on_proofs_dropped();
        self.gateway.on_proofs_dropped();
        // From here on its part of what is new is refused.
        self.ledger.may_refuse = true;
        self.ledger.is_homeless = true;
        self.gateway.is_homeless = true;
        self.gateway.may_refuse = true;
        let remains = self.boundary.engines[worker].remains();
        let decided = remains.left().filter(|left| left.is_decided).count();
        for left in remains.left() {
            if left.is_decided {
                self.untold += 1;
                self.lost_open += 1;
                continue;
            }
            let Some(account) = self.account_of(&left, now) else {
                return Err(format!("nobody can read what is left of {left:?}"));
            };
            self.told_for_lost += 1;
            if !self.boundary.leaves_untold() {
                self.take_account(now, &account)?;
            }
        }
        let forgiven =
            self.ledger.on_loss(worker) + self.gateway.on_loss(worker, now, &self.centres);
        if forgiven > decided {
            return Err(format!("I1: {forgiven} are told by nobody, {decided} were decided"));
        }
        Ok(())
    }

    /// What the supervisor tells of a message that it finds on the board.
    fn account_of(&self, left: &Left, now: u64) -> Option<Account> {
        let mut octets = vec![0; left.len];
        // As the supervisor does it: the kernel copies.
        let memory = File::open("/proc/self/mem").ok()?;
        memory.read_exact_at(&mut octets, left.address as u64).ok()?;
        let peers = self.swarm.places.clients.len() + self.swarm.places.servers.len();
        let centre = usize::from(left.sms_peer).checked_sub(peers);
        let centre = centre.and_then(|centre| self.swarm.gateway.centres.get(centre));
        let rule = centre.map_or(Recipient::CalledParty, |centre| centre.recipient);
        left.account(&octets, rule, Instant(now))
    }

    /// The process ends without warning, with everything it knew and everything in its sockets.
    pub(crate) fn on_death(&mut self) {
        if self.is_down {
            return;
        }
        self.note(|| "the process ends without warning".to_owned());
        let decided = self.boundary.engines.iter().zip(&self.workers);
        let decided = decided
            .filter(|(_, worker)| !worker.is_lost)
            .map(|(engine, _)| engine.remains().left().filter(|left| left.is_decided).count())
            .sum::<usize>();
        self.untold += decided as u64;
        self.lost_open = 0;
        self.is_down = true;
        self.life += 1;
        self.ledger.on_death();
        self.gateway.on_death(self.air.now);
        self.drop_lines(None);
        self.conduits.drop_all(None, &mut self.air);
        let after = self.fate.below(DOWN_MAX);
        self.air.after(after, Event::Revive);
    }

    /// It starts again, with the same key and the next epoch.
    pub(crate) fn on_revival(&mut self) {
        if !self.is_down {
            return;
        }
        self.note(|| "the process starts again".to_owned());
        self.is_down = false;
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let peers = worker.tally.peers.len();
            let fresh = Worker::new(peers, self.swarm.rules(index), self.air.now);
            self.past_tallies.push(core::mem::replace(worker, fresh).tally);
        }
        let tallies: Vec<_> = self.workers.iter().map(|worker| worker.tally.clone()).collect();
        self.boundary.revive(&tallies, self.air.now, &self.swarm);
        for worker in 0..self.workers.len() {
            self.boundary.serve(worker, self.serving);
        }
    }
}

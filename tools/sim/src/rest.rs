//! What must hold at every turn, and at the end.

use roger::delivery::{Evidence, Verdict as Decided};
use roger::engine::Engine;
use roger::limits::{SLOTS_EVIDENCE, SLOTS_MAX, SLOTS_REFUSALS, SLOTS_WORK};
use roger::metrics::Counter;
use roger::packet::Purse;

use crate::crew::Worker;
use crate::im::Server;
use crate::ledger::Verdict;
use crate::swarm::SECOND;
use crate::world::World;

/// A run that has not come to rest so long after its faults is broken.
const REST: u64 = 300 * SECOND;

/// The same where service centres try again, up to three times and up to 400 seconds later; and
/// what is remembered for them is forgotten at last.
const REST_OF_CENTRES: u64 = 6_000 * SECOND;

/// Turns without end are a fault as well.
const EVENTS_MAX: u64 = 3_000_000;

impl World {
    /// I1 and I8 at a quiet point: everything accepted is open or accounted for, every slot is
    /// free or held.
    pub(crate) fn balance(&self) -> Verdict<()> {
        let seen = self.servers.iter().filter_map(|server| server.trouble.as_ref());
        let agents = self.hosts.agents();
        if let Some(trouble) = seen.chain(&self.centres.trouble).chain(&agents.trouble).next() {
            return Err(trouble.clone());
        }
        let tallies = self.workers.iter().map(|worker| &worker.tally.counters);
        let accepted: u64 = tallies.map(|tally| tally.read(Counter::MessagesAccepted)).sum();
        let submissions = self.ledger.accepted_count();
        if accepted < submissions || accepted != submissions && self.gateway.is_untouched() {
            return Err(format!("I1: {accepted} accepted, {submissions} sent on"));
        }
        let open: u32 = self.alive().map(|(engine, _)| engine.open()).sum();
        let accounts = self.ledger.accounts + self.gateway.accounts;
        // RP-SMMA is open until its report is over, and no message.
        let others = self.gateway.others(&self.centres);
        let known = accounts + u64::from(open) + self.lost_open;
        if accepted > known || accepted + others < known {
            return Err(format!("I1: {accepted} accepted, {accounts} accounts, {open} open"));
        }
        for (engine, worker) in self.alive() {
            let open = engine.open();
            if open > self.swarm.messages_max {
                return Err(format!("I8: {open} open"));
            }
            let purses = [Purse::Evidence, Purse::Refusals, Purse::Work];
            let free: usize = purses.into_iter().map(|purse| worker.out.free(purse)).sum();
            let held = worker.held.iter().filter(|held| held.slot.is_some()).count();
            if free + held != SLOTS_MAX {
                return Err(format!("I8: {free} slots free, {held} held, of {SLOTS_MAX}"));
            }
        }
        Ok(())
    }

    /// The workers that are not lost.
    fn alive(&self) -> impl Iterator<Item = (&Engine, &Worker)> {
        let workers = self.boundary.engines.iter().zip(&self.workers);
        workers.filter(|(_, worker)| !worker.is_lost)
    }

    /// Everything is over: nothing is open, everything is free, everybody was told one thing.
    pub(crate) fn at_end(&self) -> Verdict<()> {
        let missing = self.ledger.open() + self.gateway.open(&self.centres);
        let open: u32 = self.alive().map(|(engine, _)| engine.open()).sum();
        if open != 0 || missing != 0 {
            return Err(format!("I8: at the end {open} open, {missing} without account"));
        }
        for (engine, worker) in self.alive() {
            // Whoever is told to end leaves calls as they are.
            let leaves = self.ended && self.swarm.large.is_some();
            if engine.next_deadline().is_some() && !leaves {
                return Err("I8: a timer runs for nothing".to_owned());
            }
            let (calls, transfers) = (engine.calls(), engine.transfers());
            if (calls != 0 || transfers != 0) && !leaves {
                return Err(format!("I8: at the end {calls} calls, {transfers} messages in them"));
            }
            for (purse, slots) in [
                (Purse::Evidence, SLOTS_EVIDENCE),
                (Purse::Refusals, SLOTS_REFUSALS),
                (Purse::Work, SLOTS_WORK),
            ] {
                let free = worker.out.free(purse);
                if free != slots {
                    return Err(format!("I8: {free} of {slots} {purse:?} slots free"));
                }
            }
            if worker.tally.counters.read(Counter::MessagesOpen) != 0 {
                return Err("I1: the gauge of open messages is not 0".to_owned());
            }
        }
        self.counters_agree()?;
        if !self.ended {
            self.lines_at_end()?;
            self.conduits.at_end(|worker| self.workers[worker].is_lost)?;
            self.gateway.at_end(&self.centres, &self.swarm)?;
            self.failures_are_true()?;
        }
        self.clients_agree()
    }

    /// What was told to have failed for certain has not arrived since.
    fn failures_are_true(&self) -> Verdict<()> {
        for account in self.gateway.lives.iter().filter_map(|life| life.account.as_ref()) {
            if !matches!(account.evidence, Evidence::Earlier { .. })
                && let Some(truth) = self.truth(account)
            {
                truth.judge(account, true)?;
            }
        }
        Ok(())
    }

    /// The counters say what the accounts said.
    fn counters_agree(&self) -> Verdict<()> {
        for (counter, verdict) in [
            (Counter::VerdictDelivered, Decided::Delivered),
            (Counter::VerdictPermanent, Decided::Permanent),
            (Counter::VerdictTemporary, Decided::Temporary),
            (Counter::VerdictUnknown, Decided::Unknown),
            (Counter::VerdictAccepted, Decided::Accepted),
        ] {
            let counted = self.counted(counter);
            let mut accounted = self.verdicts[verdict as usize];
            if verdict == Decided::Unknown {
                accounted -= self.told_for_lost;
            }
            if counted < accounted || counted > accounted + self.untold {
                return Err(format!(
                    "{} counted {counted}, accounts say {accounted}",
                    counter.name()
                ));
            }
        }
        Ok(())
    }

    /// What all workers have counted over all lives.
    pub(crate) fn counted(&self, counter: Counter) -> u64 {
        let tallies = self.workers.iter().map(|worker| &worker.tally).chain(&self.past_tallies);
        tallies.map(|tally| tally.counters.read(counter)).sum()
    }

    /// What each client heard is what was said to it; whoever heard 503 has sent nothing (I10).
    fn clients_agree(&self) -> Verdict<()> {
        if self.swarm.faults.corrupting() {
            return Ok(());
        }
        for transaction in &self.clients.transactions {
            let (Some(key), Some(heard)) = (&transaction.key, transaction.told) else { continue };
            // OPTIONS tells how things are at the moment.
            if transaction.octets.starts_with(b"OPTIONS ") {
                continue;
            }
            if !self.ledger.has_said(key, heard) {
                return Err(format!("I5: {key:?} heard {heard}, which nobody has said"));
            }
            let received = |server: &Server| server.received.contains(key);
            let elsewhere = self.servers.iter().any(received);
            if heard == 503 && elsewhere && !self.ledger.was_accepted(key) {
                return Err(format!("I10: {key:?} was refused, and an IM server has it"));
            }
        }
        Ok(())
    }

    pub(crate) fn at_rest(&self, events: u64) -> Verdict<()> {
        // Service centres go on trying for a while.
        let rest = if self.swarm.gateway.messages > 0 { REST_OF_CENTRES } else { REST };
        if self.calm_at.is_some_and(|calm| self.air.now > calm + rest) || events > EVENTS_MAX {
            return Err(format!(
                "I8: no rest after {events} events, {} pending",
                self.air.pending()
            ));
        }
        Ok(())
    }
}

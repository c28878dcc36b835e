//! Sees that every worker works, and speaks for the one that no longer can.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::net::{Shutdown, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{self, Receiver, Sender};
use crossbeam::queue::ArrayQueue;

use socket2::SockRef;

use crate::delivery::Account;
use crate::engine::{Common, Recipient};
use crate::id::WorkerId;
use crate::io::{now, steer_around};
use crate::limits::ACCOUNTS_PATIENCE_MS;
use crate::metrics::{Counter, Tally};
use crate::oam::remains::{self, Told};
use crate::oam::watch::{LOOK_MS, Step, Watch};
use crate::time::Instant;
use crate::worker::{Crew, Stage};

/// What the supervisor works with.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) crew: Crew,
    pub(super) common: Arc<Common>,
    /// Where it counts what it does in the place of a worker.
    pub(super) tally: Arc<Tally>,
    pub(super) accounts: Option<Arc<ArrayQueue<Account>>>,
    /// Where each peer names the recipient of a short message.
    pub(super) rules: Box<[Recipient]>,
    /// How long a worker may stand still, in milliseconds.
    pub(super) lost_after_ms: u32,
    /// One socket of each group that is steered: a lost worker is led around.
    pub(super) steered: Vec<UdpSocket>,
    /// The listeners for connections of each worker: nobody connects to a lost one.
    pub(super) doors: Vec<Vec<TcpListener>>,
}

/// A worker was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Loss {
    /// Which one, from 0.
    pub worker: u8,
    /// Whether it has ended by itself, by a broken invariant of ours; else it is stuck.
    pub is_broken: bool,
    /// Messages that were open on it, and end as unknown.
    pub unknown: u64,
    /// Of these, those whose request could not be read any more, so that no account names them.
    pub nameless: u64,
    /// Messages whose verdict it had reached, and whose account it has not told.
    pub untold: u64,
    /// Whether it was in the middle of sending or telling, so that it may have said something else of
    /// one of these in the same moment.
    pub was_speaking: bool,
}

/// The supervisor's thread.
#[derive(Debug)]
pub(super) struct Supervisor {
    ending: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    losses: Receiver<Loss>,
    thread: JoinHandle<()>,
}

impl Supervisor {
    /// Begins to look.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub(super) fn start(charge: Charge) -> io::Result<Self> {
        let (ending, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (tell, losses) = channel::unbounded();
        let mut rounds = Rounds {
            watches: charge.crew.iter().map(|_| (Watch::default(), 0)).collect(),
            lost: Arc::clone(&lost),
            charge,
            tell,
        };
        let end = Arc::clone(&ending);
        let thread = thread::Builder::new().name("roger-watch".to_owned()).spawn(move || {
            while !end.load(Ordering::Acquire) {
                rounds.look();
                thread::park_timeout(Duration::from_millis(LOOK_MS.into()));
            }
        })?;
        Ok(Self { ending, lost, losses, thread })
    }

    /// The workers that are lost, a bit for each.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// The same, for who looks at it later.
    pub(super) fn lost_bits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// The losses since this was asked last.
    pub(super) fn losses(&self) -> impl Iterator<Item = Loss> {
        self.losses.try_iter()
    }

    /// Looks no longer. The workers that are lost, a bit for each, and the losses that nobody has
    /// asked for.
    pub(super) fn end(self) -> (u64, Vec<Loss>) {
        self.ending.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // It holds nothing that could be lost with it.
        let _ = self.thread.join();
        (self.lost.load(Ordering::Acquire), self.losses.try_iter().collect())
    }
}

struct Rounds {
    charge: Charge,
    /// What is known of each worker, and how often it was asked for the word in vain.
    watches: Box<[(Watch, u32)]>,
    lost: Arc<AtomicU64>,
    tell: Sender<Loss>,
}

/// So many looks a worker that sends or tells at this very moment is waited for: then it is stuck
/// in it.
const PATIENCE: u32 = 2;

impl Rounds {
    fn look(&mut self) {
        for index in 0..self.watches.len() {
            let lost = self.lost.load(Ordering::Relaxed);
            if lost & 1 << index != 0 {
                continue;
            }
            let control = &self.charge.crew[index];
            let (watch, in_vain) = &mut self.watches[index];
            let stage = control.stage();
            let is_broken = stage == Stage::Broken;
            match watch.on_look(control.turns(), self.charge.lost_after_ms) {
                // Its word was taken from it: a turn that it takes now says nothing any more.
                _ if is_broken || *in_vain > 0 => {}
                // It has told what was open on it.
                _ if stage == Stage::Ended => continue,
                Step::Stay => continue,
                Step::Wake => {
                    control.wake();
                    continue;
                }
                Step::Lost => {}
            }
            let silent = control.silence();
            if !silent && *in_vain < PATIENCE {
                *in_vain += 1;
                continue;
            }
            self.lost.store(lost | 1 << index, Ordering::Release);
            self.speak_for(index, is_broken, !silent);
        }
    }

    /// The worker is lost: the others are told, and what is open on it ends as unknown.
    fn speak_for(&self, index: usize, is_broken: bool, was_speaking: bool) {
        let Charge { crew, common, tally, .. } = &self.charge;
        let Ok(worker) = u8::try_from(index) else { return };
        common.lose(WorkerId(worker));
        self.lead_around();
        let at = now();
        // Once for all of them: the others are to be looked after, and the process may have to end.
        let patience = at.plus_ms(ACCOUNTS_PATIENCE_MS);
        let told = crew[index].remains().map_or_else(Told::default, |remains| {
            remains::tell(remains, &self.charge.rules, at, |account| self.tell(account, patience))
        });
        tally.counters.add(Counter::WorkersLost);
        tally.counters.add_many(Counter::VerdictUnknown, told.unknown);
        if self.charge.accounts.is_some() {
            tally.counters.add_many(Counter::AccountsLost, told.nameless + told.untold);
        }
        let Told { unknown, nameless, untold } = told;
        // Who does not listen any more does not want to know.
        let _ = self.tell.send(Loss { worker, is_broken, unknown, nameless, untold, was_speaking });
    }

    fn lead_around(&self) {
        let (workers, lost) = (self.watches.len(), self.lost.load(Ordering::Relaxed));
        let lost: Vec<u8> = (0..64).filter(|worker| lost & 1 << worker != 0).collect();
        if lost.len() == workers {
            return;
        }
        for door in lost.iter().filter_map(|worker| self.charge.doors.get(usize::from(*worker))) {
            for listener in door {
                // It leaves its group: whoever connects now is accepted by another worker.
                let _ = SockRef::from(listener).shutdown(Shutdown::Both);
            }
        }
        for socket in &self.charge.steered {
            // Where it cannot be had, a part of what arrives is not heard, as before.
            let _ = steer_around(socket, u8::try_from(workers).unwrap_or(u8::MAX), &lost);
        }
    }

    /// Waits until `patience` for whoever writes the accounts.
    fn tell(&self, account: &Account, patience: Instant) {
        let Some(ring) = &self.charge.accounts else { return };
        while ring.is_full() && now() < patience {
            thread::park_timeout(Duration::from_millis(1));
        }
        if ring.push(*account).is_err() {
            self.charge.tally.counters.add(Counter::AccountsLost);
        }
    }
}

#[cfg(test)]
mod looks;
#[cfg(test)]
mod tests;

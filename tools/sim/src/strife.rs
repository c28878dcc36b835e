//! Bugs between workers, planted at the boundary.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::limits::TIMERS_PER_TURN_MAX;
use roger::packet::{Arrival, Departures, Flow, Purse};
use roger::time::Instant;

use crate::air::Packet;
use crate::boundary::{Boundary, Outgoing, replaced, with_status};
use crate::bug::Bug;
use crate::swarm::{MS, SECOND};
use crate::text::{Key, Text};

/// What such a bug has to remember, in one life of the process.
#[derive(Debug, Default)]
pub(crate) struct Strife {
    /// Which worker has sent on what came in this transaction, or has answered it first.
    homes: BTreeMap<Key, usize>,
    lost: BTreeSet<usize>,
    /// When each worker had its last turn.
    turns: BTreeMap<usize, u64>,
}

impl Strife {
    /// A worker is lost.
    pub(crate) fn lose(&mut self, worker: usize) {
        self.lost.insert(worker);
    }

    fn is_elsewhere(&self, key: &Key, worker: usize) -> bool {
        self.homes.get(key).is_some_and(|home| *home != worker)
    }
}

impl Boundary {
    /// A worker has a turn.
    pub(crate) fn on_turn_of(&mut self, worker: usize, now: u64) {
        self.strife.turns.insert(worker, now);
    }

    /// A worker takes a burst.
    pub(crate) fn on_burst_in(&mut self, worker: usize, now: u64, out: &mut Departures) {
        let last = self.strife.turns.get(&worker).copied().unwrap_or(now);
        if self.bug != Some(Bug::SinceForgotten) || now < last + SECOND {
            return;
        }
        // An empty line now and then keeps it from noticing that it stood still.
        let steps = (last..now).step_by(usize::try_from(900 * MS).unwrap_or(1)).skip(1);
        for at in steps {
            let flow = Flow { remote: self.servers[0], ..Flow::NOWHERE };
            let arrival = Arrival { flow, at: Instant(at), octets: b"\r\n\r\n", truncated: false };
            self.engines[worker].on_burst(&[arrival], out);
        }
    }

    /// A datagram is about to be given to a worker.
    pub(crate) fn on_strife_in(
        &mut self,
        worker: usize,
        packet: &mut Packet,
        flow: Flow,
        text: &Text<'_>,
        key: &Key,
    ) {
        if text.status().is_some() {
            let elsewhere = minted_by(&key.branch).is_some_and(|home| home != worker);
            if elsewhere && self.strikes(Bug::HandoverDropped) {
                packet.octets = b"\r\n\r\n".as_slice().into();
            }
            return;
        }
        let home = self.strife.homes.get(key).copied();
        if home.is_some_and(|home| self.strife.lost.contains(&home))
            && self.strikes(Bug::LostAccepts)
        {
            self.send_on(&packet.octets.clone());
        }
        if !self.strife.is_elsewhere(key, worker) {
            return;
        }
        if self.strikes(Bug::HomeIgnored) {
            packet.octets = replaced(&packet.octets, &key.branch, &format!("{}h", key.branch));
        }
        if self.strikes(Bug::HandoverTwice) {
            self.again.push((packet.clone(), flow));
        }
    }

    /// What was handed over is taken once more.
    pub(crate) fn take_again(&mut self, worker: usize, now: u64, out: &mut Departures) {
        for (packet, flow) in core::mem::take(&mut self.again) {
            let Packet { octets, truncated, .. } = packet;
            let arrival = Arrival { flow, at: Instant(now), octets: &octets, truncated };
            if out.free(Purse::Evidence) > TIMERS_PER_TURN_MAX {
                self.engines[worker].on_burst(&[arrival], out);
            }
        }
    }

    /// A datagram is about to leave from a worker.
    pub(crate) fn on_strife_out(
        &mut self,
        worker: usize,
        outgoing: &mut Outgoing,
        text: &Text<'_>,
        key: &Key,
    ) {
        let about = if text.status().is_some() { Some(key.clone()) } else { text.key_below() };
        let Some(about) = about else { return };
        let elsewhere = self.strife.is_elsewhere(&about, worker);
        self.strife.homes.entry(about).or_insert(worker);
        let failed = text.status().is_some_and(|status| status >= 300);
        if elsewhere && failed && self.strikes(Bug::DirectoryMisread) {
            outgoing.octets = with_status(&outgoing.octets, "200 OK");
        }
    }

    /// Sends a request on in a transaction that nobody has accepted.
    pub(crate) fn send_on(&mut self, request: &Rc<[u8]>) {
        let via = format!("\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKbug{}", self.minted);
        self.minted += 1;
        let request = String::from_utf8_lossy(request).replacen("\r\n", &(via + "\r\n"), 1);
        let flow = Flow {
            remote: self.servers[0],
            local: [0; 16],
            socket: self.request_socket,
            connection: None,
        };
        self.invented.push(crate::boundary::invented(flow, request.into_bytes().into()));
    }
}

/// The worker that a branch of ours names.
pub(crate) fn minted_by(branch: &str) -> Option<usize> {
    let digits = branch.get(9..11).filter(|_| branch.len() > 40)?;
    usize::from_str_radix(digits, 16).ok()
}

//! How connections whose octets the engine divides itself pass between the other end, the network and the
//! workers of this world.

use roger::limits::TIMERS_PER_TURN_MAX;
use roger::packet::{Endpoint, Purse};
use roger::session::stream::{Order, Streams};
use roger::time::Instant;

use crate::air::Step;
use crate::ledger::Verdict;
use crate::passage::Passage;
use crate::swarm::{LISTENER_V4, LISTENER_V6};
use crate::tcp::msrp_at;
use crate::text::written;
use crate::world::World;

impl World {
    /// Tells the other end what has happened, and does what it asks for, until it asks for nothing more.
    pub(crate) fn hear_out(&mut self) {
        loop {
            for ask in core::mem::take(&mut self.air.asks) {
                self.conduits.ask(ask, &mut self.air);
            }
            let Some(tidings) = self.conduits.tidings.pop_front() else { return };
            if let Some(party) = &mut self.party {
                party.on_tidings(tidings, &mut self.air, &self.swarm);
            }
        }
    }

    /// Something happens to such a connection.
    pub(crate) fn on_conduit(&mut self, conduit: usize, step: Step) {
        let now = self.air.now;
        if let Step::Knock = step {
            return self.on_conduit_knock(conduit);
        }
        let worker = self.conduits.worker(conduit);
        let streams = self.workers.get_mut(worker).and_then(|worker| worker.streams.as_mut());
        self.conduits.on_step(conduit, step, streams, now);
        self.look(worker, now);
    }

    fn on_conduit_knock(&mut self, conduit: usize) {
        let now = self.air.now;
        let (remote, local) = self.conduits.ends(conduit);
        if self.conduits.is_ours(conduit) {
            let listens = self.party.as_ref().is_some_and(|party| party.listens(remote));
            return self.conduits.on_arrival(conduit, listens, &mut self.air);
        }
        let worker = self.msrp_worker(local);
        let streams = worker.and_then(|worker| self.workers[worker].streams.as_mut());
        self.conduits.on_knock(conduit, worker.zip(streams), now);
        self.note(|| format!("conduit {conduit} from {} to worker {worker:?}", written(remote)));
        if let Some(worker) = worker {
            self.look(worker, now);
        }
    }

    /// The worker that listens for MSRP at this address of ours, if it is there.
    fn msrp_worker(&self, local: Endpoint) -> Option<usize> {
        let listeners =
            [LISTENER_V4, LISTENER_V6].map(|listener| self.swarm.places.sockets[listener]);
        let is_at = |worker: &usize| listeners.iter().any(|at| msrp_at(*worker, *at) == local);
        let worker = (0..self.workers.len()).find(is_at)?;
        (!self.is_down && !self.workers[worker].is_lost).then_some(worker)
    }

    /// Does what such a connection asks for.
    pub(crate) fn obey_conduit(
        &mut self,
        streams: &mut Streams,
        order: Order,
        worker: usize,
    ) -> Verdict<()> {
        let Order::Connect(index) = order else {
            return self.conduits.obey(order, streams, worker, &mut self.air);
        };
        let remote = streams.flow(index).remote;
        let listener = if remote.is_v4() { LISTENER_V4 } else { LISTENER_V6 };
        let local = Endpoint { port: 0, ..self.swarm.places.sockets[listener] };
        let conduit = self.conduits.connect(streams, (worker, index), local, &mut self.air);
        self.note(|| format!("conduit {conduit} of worker {worker} to {}", written(remote)));
        Ok(())
    }

    /// Tells an engine what there is to tell of its connections, behind its burst.
    pub(crate) fn divide(&mut self, worker: usize, now: u64) -> Verdict<()> {
        let is_traced = self.is_traced();
        let Self { conduits, boundary, workers, gateway, .. } = self;
        let state = &mut workers[worker];
        let Some(streams) = &mut state.streams else { return Ok(()) };
        let takes = state.out.free(Purse::Evidence) > TIMERS_PER_TURN_MAX;
        let (out, wire) = (&mut state.out, &mut gateway.calls.wire);
        let mut passage = Passage::new(is_traced);
        conduits.divide(streams, (worker, takes), now, out, &mut |event, out| {
            passage.take((worker, now), event, boundary, wire, out);
        });
        self.told(worker, now, passage)
    }

    /// Takes what an engine wishes of its connections.
    pub(crate) fn take_wishes(&mut self, worker: usize, now: u64) {
        let state = &mut self.workers[worker];
        if let Some(streams) = &mut state.streams {
            streams.take_wishes(&mut state.out, Instant(now));
        }
    }
}

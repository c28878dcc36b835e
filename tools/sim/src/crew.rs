//! The workers of the process in this world: how many, how arrivals are spread over them, and what
//! befalls them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use roger::metrics::Tally;
use roger::packet::{Departures, Endpoint, Owner, Sent, Slot, SocketId};
use roger::session::stream::{Rules, Streams};
use roger::time::Instant;

use crate::air::{Grade, Packet};
use crate::chance::Chance;
use crate::ledger::Ticket;
use crate::swarm::{MS, SECOND};

/// What the seed decides about the workers.
#[derive(Clone, Debug)]
pub(crate) struct Crew {
    /// How many there are.
    pub(crate) workers: usize,
    /// Whether each arrival comes to any of them, whichever socket it is for.
    pub(crate) scatter: bool,
    /// How often one of them stands still while the others go on.
    pub(crate) stalls: u64,
    /// The longest time in nanoseconds for which it does.
    pub(crate) stall_max: u64,
    /// Whether one of them is flooded while it stands still.
    pub(crate) flood: bool,
    /// The longest time in nanoseconds until one that is woken looks.
    pub(crate) doze: u64,
    /// How often the process ends without warning and is started again.
    pub(crate) restarts: u64,
    /// Whether one of them stands still for ever.
    pub(crate) loss: bool,
}

impl Crew {
    /// The only worker, to which nothing happens.
    pub(crate) const ALONE: Self = Self {
        workers: 1,
        scatter: false,
        stalls: 0,
        stall_max: 0,
        flood: false,
        doze: 0,
        restarts: 0,
        loss: false,
    };

    /// One run of two has one worker. `transaction` is timer J in nanoseconds.
    pub(crate) fn draw(faultless: bool, transaction: u64, chance: &mut Chance) -> Self {
        let workers = chance.pick(&[1, 1, 1, 2, 3, 4]);
        let many = workers > 1;
        let armed = |on: bool, of: u64, chance: &mut Chance| on && !faultless && chance.one_in(of);
        let stalls = if armed(many, 2, chance) { chance.between(1, 3) } else { 0 };
        Self {
            workers,
            scatter: many && !chance.one_in(3),
            stalls,
            stall_max: transaction * 3 / 2 + SECOND,
            flood: armed(stalls > 0, 3, chance),
            doze: if armed(many, 4, chance) { chance.below(20 * MS) } else { 0 },
            restarts: if armed(true, 6, chance) { chance.between(1, 2) } else { 0 },
            loss: armed(many, 5, chance),
        }
    }

    /// How long all standstills of one worker alone can last together.
    pub(crate) const fn standstill(&self) -> u64 {
        self.stalls * self.stall_max
    }

    /// Which socket of a worker stands at this place of all sockets: listeners are the same for all,
    /// and each worker has a pair for requests of its own.
    pub(crate) fn socket(place: usize) -> SocketId {
        let own = if place < LISTENERS { place } else { LISTENERS + (place - LISTENERS) % 2 };
        SocketId(u8::try_from(own).unwrap_or(0))
    }

    /// Whose socket it is; nothing for a listener.
    pub(crate) const fn owner(place: usize) -> Option<usize> {
        if place < LISTENERS { None } else { Some((place - LISTENERS) / 2) }
    }

    /// Where the socket of a worker stands.
    pub(crate) fn place(worker: usize, socket: SocketId) -> usize {
        let socket = usize::from(socket.0);
        if socket < LISTENERS { socket } else { socket + 2 * worker }
    }
}

/// How many sockets all workers share.
const LISTENERS: usize = 2;

/// A departure in the hands of the kernel.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) until: u64,
    pub(crate) slot: Option<Slot>,
    pub(crate) owner: Option<Owner>,
    pub(crate) ticket: Ticket,
    pub(crate) sent: Sent,
}

/// What surrounds one engine.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) out: Departures,
    /// Datagrams in its sockets, each with the moment since which it is there.
    pub(crate) inbox: VecDeque<(u64, Packet)>,
    pub(crate) unreachables: VecDeque<(Endpoint, Rc<[u8]>, Grade)>,
    pub(crate) held: Vec<Held>,
    pub(crate) next_turn: u64,
    pub(crate) busy_until: u64,
    pub(crate) tally: Arc<Tally>,
    /// Its connections.
    pub(crate) streams: Option<Streams>,
    /// It stands still for ever, and the others know.
    pub(crate) is_lost: bool,
}

impl Worker {
    pub(crate) fn new(peers: usize, rules: Option<Rules>, now: u64) -> Self {
        let tally = Arc::new(Tally::new(peers));
        let connections_max = rules.as_ref().map_or(0, |rules| rules.connections_max);
        let streams = rules.map(|rules| Streams::new(rules, tally.clone(), Instant(now)));
        Self {
            out: Departures::with_connections(connections_max),
            inbox: VecDeque::new(),
            unreachables: VecDeque::new(),
            held: Vec::new(),
            next_turn: u64::MAX,
            busy_until: 0,
            tally,
            streams,
            is_lost: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_shared_and_request_ports_are_not() {
        for place in 0..2 + 2 * 4 {
            let socket = Crew::socket(place);
            match Crew::owner(place) {
                Some(owner) => assert_eq!(Crew::place(owner, socket), place),
                None => assert!((0..4).all(|worker| Crew::place(worker, socket) == place)),
            }
        }
        let owners = [0, 1, 2, 3, 4, 5, 8].map(Crew::owner);
        assert_eq!(owners, [None, None, Some(0), Some(0), Some(1), Some(1), Some(3)]);
    }

    #[test]
    fn half_of_the_runs_have_one_worker_and_nothing_happens_to_it_alone() {
        let mut chance = Chance::new(5);
        let crews: Vec<Crew> = (0..1_000).map(|_| Crew::draw(false, SECOND, &mut chance)).collect();
        let alone: Vec<&Crew> = crews.iter().filter(|crew| crew.workers == 1).collect();
        assert!((450..550).contains(&alone.len()), "{}", alone.len());
        assert!(alone.iter().all(|crew| !crew.scatter && crew.stalls == 0 && !crew.loss));
        assert!(alone.iter().any(|crew| crew.restarts > 0));
        let quiet = Crew::draw(true, SECOND, &mut chance);
        assert_eq!((quiet.stalls, quiet.restarts, quiet.loss), (0, 0, false));
    }
}

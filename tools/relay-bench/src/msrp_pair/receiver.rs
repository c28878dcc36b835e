//! The receiving end.

use std::io::{self, Write as _};

use roger::session::msrp::{Acceptance, Carrying, Endpoint, Fact, Keep, Reports, Rules};
use roger::store::{allocations_count, allocations_of_this_thread};
use roger::time::Instant;
use roger::wire::msrp::Path;
use serde_json::json;

use crate::host::{Desk, SENDER, path, uri};
use crate::node::{Node, Part, Stand};
use crate::{Receive, cpu_ns, resident};

/// Places of connections beside those that are wanted: a share is kept for what we open.
const PLACES: u16 = 32;

/// Octets of a message at most: what arrives is counted and not kept.
const SIZE_MAX: u64 = 1 << 30;

#[derive(Debug, Default)]
struct Receiver {
    received: u64,
    octets: u64,
    bound: u64,
    open: u64,
    unwanted: u64,
    is_over: bool,
}

impl Part for Receiver {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only these are acted upon")]
    fn on_fact(&mut self, fact: Fact, endpoint: &mut Endpoint, _: Instant) -> io::Result<()> {
        match fact {
            Fact::Received { incoming, total, .. } => {
                self.received += 1;
                self.octets += total;
                endpoint.release(incoming);
            }
            Fact::Bound { .. } => self.bound += 1,
            Fact::Abandoned { .. } | Fact::Declined { .. } | Fact::Unbound { .. } => {
                self.unwanted += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn on_opened(&mut self, _: u16, _: &mut Endpoint) {
        self.open += 1;
    }

    fn on_lost(&mut self, _: u16) {
        self.open -= 1;
        // The sender goes when it has all its verdicts; the others stay.
        self.is_over |= self.received > 0 || self.open == 0;
    }
}

pub(crate) fn run(receive: Receive) -> io::Result<()> {
    let before = resident()?;
    let places = receive.connections.saturating_add(receive.connections / 8).saturating_add(PLACES);
    let mut stand = Stand::open(receive.listen, places, receive.driver.choice())?;
    let rules = Rules {
        connections_max: places,
        sessions_max: receive.sessions,
        sendings_max: 1,
        incomings_max: receive.arriving,
        buffers_max: 0,
        buffer_size: 0,
        response_ms: 30_000,
        carrying: Carrying::NOTHING,
    };
    let mut endpoint = Endpoint::new(rules, stand.now());
    let acceptance =
        Acceptance { size_max: SIZE_MAX, keep: Keep::Counted, reports: Reports::AtOnce };
    for number in 0..receive.sessions {
        let ours = uri(stand.address, number);
        let theirs = path(receive.relay, SENDER, number);
        let session = endpoint.open(u64::from(number), acceptance);
        let session = session.ok_or(io::ErrorKind::OutOfMemory)?;
        let peer = Path::parse(theirs.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if !endpoint.offer(session, ours.as_bytes()) || !endpoint.agree(session, peer) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
    }
    let size = endpoint.size();
    let mut node = Node::new(endpoint, Desk::new(0), Receiver::default(), places);
    let ready = resident()?;
    let mut output = io::stdout().lock();
    writeln!(output, "{}", stand.address)?;
    output.flush()?;
    let cpu_before = cpu_ns()?;
    allocations_count();
    while !node.part.is_over {
        stand.turn(&mut node)?;
    }
    let allocations = allocations_of_this_thread();
    let Receiver { received, octets, bound, unwanted, .. } = node.part;
    let counts = node.endpoint.counts();
    let wrong = counts.malformed + counts.homeless + counts.duplicates + unwanted;
    let said = json!({
        "messages": received, "octets": octets, "cpu_ns": cpu_ns()? - cpu_before,
        "allocations": allocations, "bound": bound, "wrong": wrong,
        "resident_before": before, "resident_ready": ready, "resident_after": resident()?,
        "endpoint_size": size,
    });
    writeln!(output, "{said}")
}

//! The sending end, with a ledger for each message.

use std::io::{self, Write as _};

use hdrhistogram::Histogram;
use roger::delivery::coverage::{End, Ledger, Observation, Standing};
use roger::delivery::{Evidence, MsrpRole};
use roger::session::msrp::{
    Acceptance, Carrying, Endpoint, Fact, Keep, Message, Reports, Rules, SendingId, SessionId,
};
use roger::store::{allocations_count, allocations_of_this_thread};
use roger::time::Instant;
use roger::wire::msrp::{FailureReport, Flag, Path};
use serde_json::json;

use crate::host::{Desk, SENDER, path, uri};
use crate::node::{Node, Part, Stand};
use crate::{Send, cpu_ns};

/// Places of connections.
const CONNECTIONS: u16 = 16;

/// The longest latency that is told from a longer one.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// A message that is under way.
#[derive(Clone, Copy, Debug)]
struct Work {
    session: SessionId,
    ledger: Ledger,
    began: Instant,
}

#[derive(Debug)]
struct Sender {
    /// One for each message that may be under way; a message calls its owner by its place.
    works: Box<[Work]>,
    role: MsrpRole,
    size: u64,
    sent: u64,
    decided: u64,
    other: u64,
    latencies: Histogram<u64>,
    /// Nothing is begun any more.
    is_ending: bool,
    is_lost: bool,
}

impl Sender {
    /// Sends the next message in this place.
    fn begin(&mut self, place: usize, endpoint: &mut Endpoint, now: Instant) -> io::Result<()> {
        let mut id = *b"m0000000000000000";
        for (at, digit) in id[1..].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(self.sent >> (4 * (15 - at)) & 15) as usize];
        }
        let is_proof = self.role == MsrpRole::Relay;
        let message = Message {
            owner: place as u64,
            message_id: &id,
            content_type: Some(b"text/plain;charset=UTF-8"),
            size: self.size,
            success_report: is_proof,
            failure_report: FailureReport::Yes,
        };
        let work = &mut self.works[place];
        work.ledger = Ledger::new(self.size, self.role, 1);
        work.began = now;
        self.sent += 1;
        endpoint.send(work.session, &message).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(())
    }

    /// Looks at what the ledger says after something was observed.
    fn weigh(
        &mut self,
        (place, sending): (usize, SendingId),
        observation: Observation,
        endpoint: &mut Endpoint,
        now: Instant,
    ) -> io::Result<()> {
        let work = &mut self.works[place];
        work.ledger.observe(observation);
        match work.ledger.standing() {
            Standing::Open | Standing::Accepted | Standing::Doubtful => return Ok(()),
            Standing::Decided(Evidence::Acknowledged | Evidence::Reported) => {
                self.latencies.saturating_record(now.since(work.began));
                self.decided += 1;
            }
            Standing::Decided(_) | Standing::Again(_) => self.other += 1,
        }
        endpoint.forget(sending);
        if self.is_ending {
            return Ok(());
        }
        self.begin(place, endpoint, now)
    }
}

impl Part for Sender {
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing is received here")]
    fn on_fact(&mut self, fact: Fact, endpoint: &mut Endpoint, now: Instant) -> io::Result<()> {
        let place = |sending| {
            let owner = endpoint.owner(sending);
            owner.and_then(|owner| usize::try_from(owner).ok())
        };
        let (sending, place) = match fact {
            Fact::Begun { sending, .. }
            | Fact::Gave { sending, .. }
            | Fact::Ended { sending, .. }
            | Fact::HandedOver { sending, .. }
            | Fact::Responded { sending, .. }
            | Fact::Reported { sending, .. }
            | Fact::TimedOut { sending, .. } => match place(sending) {
                Some(place) => (sending, place),
                None => return Ok(()),
            },
            Fact::Lost { .. } => {
                self.is_lost = true;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let ledger = &mut self.works[place].ledger;
        let observation = match fact {
            Fact::Begun { chunk, .. } => {
                assert_eq!(ledger.begin(), Some(chunk), "chunks are counted together");
                return Ok(());
            }
            Fact::Gave { octets, .. } => {
                ledger.write(octets);
                return Ok(());
            }
            Fact::Ended { flag, .. } => {
                ledger.end(match flag {
                    Flag::More => End::More,
                    Flag::Last => End::Last,
                    Flag::Aborted => End::Abort,
                });
                return Ok(());
            }
            Fact::HandedOver { chunk, .. } => {
                ledger.hand_over(chunk);
                return Ok(());
            }
            Fact::Responded { chunk, code, .. } => Observation::Response { chunk, status: code },
            Fact::Reported { octets, total, code, .. } => {
                Observation::Report { octets, total, status: code }
            }
            Fact::TimedOut { chunk, .. } => Observation::Timeout { chunk },
            _ => return Ok(()),
        };
        self.weigh((place, sending), observation, endpoint, now)
    }

    fn on_opened(&mut self, connection: u16, endpoint: &mut Endpoint) {
        let mut last = None;
        for work in &self.works {
            if last.replace(work.session) != Some(work.session) {
                endpoint.bind(work.session, connection);
            }
        }
    }
}

/// Opens the sessions; the messages of each are beside each other.
fn works(
    endpoint: &mut Endpoint,
    send: &Send,
    role: MsrpRole,
    now: Instant,
) -> io::Result<Box<[Work]>> {
    let nothing = Acceptance { size_max: 0, keep: Keep::Counted, reports: Reports::WhenTold };
    let mut works = Vec::new();
    for number in 0..send.load.sessions {
        let ours = uri(SENDER, number);
        let theirs = path(send.relay, send.load.to, number);
        let session =
            endpoint.open(u64::from(number), nothing).ok_or(io::ErrorKind::OutOfMemory)?;
        let peer = Path::parse(theirs.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if !endpoint.offer(session, ours.as_bytes()) || !endpoint.agree(session, peer) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let work = Work { session, ledger: Ledger::new(1, role, 1), began: now };
        works.extend(core::iter::repeat_n(work, send.load.window as usize));
    }
    Ok(works.into())
}

pub(crate) fn run(send: Send) -> io::Result<()> {
    let load = send.load;
    let any = "127.0.0.1:0".parse().map_err(io::Error::other)?;
    let mut stand = Stand::open(any, CONNECTIONS, send.driver.choice())?;
    let now = stand.now();
    let rules = Rules {
        connections_max: CONNECTIONS,
        sessions_max: load.sessions,
        sendings_max: load.sessions * load.window,
        incomings_max: 1,
        buffers_max: 0,
        buffer_size: 0,
        response_ms: 30_000,
        carrying: Carrying::NOTHING,
    };
    let mut endpoint = Endpoint::new(rules, now);
    let role =
        if send.reports || send.relay.is_some() { MsrpRole::Relay } else { MsrpRole::Endpoint };
    let sender = Sender {
        works: works(&mut endpoint, &send, role, now)?,
        role,
        size: load.size as u64,
        sent: 0,
        decided: 0,
        other: 0,
        latencies: Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).map_err(io::Error::other)?,
        is_ending: false,
        is_lost: false,
    };
    let count = sender.works.len();
    let mut node = Node::new(endpoint, Desk::new(load.size), sender, CONNECTIONS);
    let cpu_before = cpu_ns()?;
    allocations_count();
    for place in 0..count {
        let Node { endpoint, part, .. } = &mut node;
        part.begin(place, endpoint, now)?;
    }
    stand.connect(send.relay.unwrap_or(load.to));
    let began = stand.now();
    let seconds_ns = load.seconds * 1_000_000_000;
    while !node.part.is_lost && node.part.decided + node.part.other < node.part.sent {
        stand.turn(&mut node)?;
        node.part.is_ending |= stand.now().since(began) >= seconds_ns;
    }
    let elapsed_ns = stand.now().since(began);
    let allocations = allocations_of_this_thread();
    let Sender { decided, other, sent, latencies, is_lost, .. } = &node.part;
    let quantile = |of| latencies.value_at_quantile(of);
    let said = json!({
        "messages": decided, "undecided": sent - decided - other, "other": other,
        "octets": decided * load.size as u64, "elapsed_ns": elapsed_ns,
        "cpu_ns": cpu_ns()? - cpu_before, "allocations": allocations, "is_lost": is_lost,
        "p50_ns": quantile(0.5), "p99_ns": quantile(0.99), "max_ns": latencies.max(),
    });
    writeln!(io::stdout().lock(), "{said}")
}

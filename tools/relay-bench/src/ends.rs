//! The SMS side and the IM side.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use relay_bench::batch::{Address, Aggregation, Inbox, Outbox, Wait, bind};
use relay_bench::message::{COOKIE, Range, Writer, hex, scan, write_hex};

use crate::{Arguments, now};

/// When an unanswered message is sent again: T1 of RFC 3261, and not doubled.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(500);

/// How often the outstanding messages are searched for such.
const SEARCH_EVERY: Duration = Duration::from_millis(100);

/// What was seen in one stretch of time.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) completed: u64,
    pub(crate) relayed: u64,
    pub(crate) retransmitted: u64,
    pub(crate) wrong: u64,
    pub(crate) overruns: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
    by_status: [u64; 700],
}

impl Tally {
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            completed: 0,
            relayed: 0,
            retransmitted: 0,
            wrong: 0,
            overruns: 0,
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
            lateness: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
            by_status: [0; 700],
        })
    }

    /// How often each final status code came.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
        (0..).zip(self.by_status).filter(|&(_, count)| count > 0).collect()
    }
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    number: u64,
    due: Instant,
    sent: Instant,
}

/// Where the number of a message stands in it.
#[derive(Debug)]
struct Template {
    octets: Vec<u8>,
    branch: Range,
    tag: Range,
    call_id: Range,
}

/// Both ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) tally: Tally,
    sms: Side,
    im: Side,
    template: Template,
    /// The status line and what follows the Via header fields of an answer, up to its To-tag.
    status_line: Vec<u8>,
    places: Vec<Option<Outstanding>>,
    free: Vec<u16>,
    number: u64,
    searched: Instant,
}

#[derive(Debug)]
struct Side {
    socket: UdpSocket,
    inbox: Inbox,
    out: Outbox,
    aggregation: Aggregation,
}

impl Side {
    /// Both sides are connected to the system under test, which sends from where it listens: that
    /// spares the driver a route and an address for every packet.
    fn new(at: SocketAddr, target: SocketAddr, aggregation: Aggregation) -> io::Result<Self> {
        let socket = bind(at)?;
        socket.connect(target)?;
        Ok(Self { socket, inbox: Inbox::for_connected(), out: Outbox::new(), aggregation })
    }

    fn push(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> io::Result<()> {
        if self.out.free() == 0 {
            self.send()?;
        }
        self.out.push(Address::default(), fill);
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        self.out.send(&self.socket, self.aggregation)
    }
}

impl Ends {
    pub(crate) fn new(
        arguments: &Arguments,
        places: u16,
        message: Vec<u8>,
        aggregation: Aggregation,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            tally: Tally::new()?,
            sms: Side::new(arguments.sms, arguments.target, aggregation)?,
            im: Side::new(arguments.im, arguments.target, aggregation)?,
            template: Template::of(message).ok_or("the message cannot be read")?,
            status_line: format!("SIP/2.0 {} Answered\r\n", arguments.answer).into_bytes(),
            places: std::iter::repeat_n(None, usize::from(places)).collect(),
            free: (0..places).rev().collect(),
            number: 0,
            searched: now(),
        })
    }

    /// Keeps `window` messages outstanding until `end`.
    pub(crate) fn run_closed(&mut self, window: u16, end: Instant) -> io::Result<()> {
        let idle = self.places.len() - usize::from(window);
        loop {
            let at = now();
            if at >= end {
                return Ok(());
            }
            while self.free.len() > idle {
                self.start(at, at)?;
            }
            self.turn(at)?;
        }
    }

    /// Starts a message at each even interval from `start` to `end`.
    pub(crate) fn run_open(&mut self, rate: u32, start: Instant, end: Instant) -> io::Result<()> {
        let interval = Duration::from_secs(1).as_nanos() / u128::from(rate.max(1));
        let interval = Duration::from_nanos(u64::try_from(interval).unwrap_or(u64::MAX));
        let mut due = start;
        loop {
            let at = now();
            if at >= end {
                return Ok(());
            }
            while due <= at {
                if self.free.is_empty() {
                    self.tally.overruns += 1;
                } else {
                    self.start(due, at)?;
                }
                due += interval;
            }
            self.turn(at)?;
        }
    }

    /// Starts nothing new, and returns how many messages had no answer after all of `time`.
    pub(crate) fn drain(&mut self, time: Duration) -> io::Result<u64> {
        let end = now() + time;
        while self.free.len() < self.places.len() {
            let at = now();
            if at >= end {
                break;
            }
            self.turn(at)?;
        }
        Ok(u64::try_from(self.places.len() - self.free.len()).unwrap_or(u64::MAX))
    }

    fn start(&mut self, due: Instant, at: Instant) -> io::Result<()> {
        let Some(place) = self.free.pop() else { return Ok(()) };
        self.number += 1;
        self.places[usize::from(place)] = Some(Outstanding { number: self.number, due, sent: at });
        self.record_lateness(at.saturating_duration_since(due));
        let (template, number) = (&self.template, self.number);
        self.sms.push(|slot| template.write(number, place, slot))
    }

    fn turn(&mut self, at: Instant) -> io::Result<()> {
        self.sms.send()?;
        let count = self.im.inbox.receive(&self.im.socket, Wait::Never)?;
        for index in 0..count {
            self.answer(index)?;
        }
        self.im.send()?;
        let count = self.sms.inbox.receive(&self.sms.socket, Wait::Never)?;
        let arrived = if count > 0 { now() } else { at };
        for index in 0..count {
            if self.complete(index, arrived).is_none() {
                self.tally.wrong += 1;
            }
        }
        if at.saturating_duration_since(self.searched) > SEARCH_EVERY {
            self.searched = at;
            self.retransmit(at)?;
        }
        Ok(())
    }

    /// The IM side: a final response to whatever was relayed.
    fn answer(&mut self, index: usize) -> io::Result<()> {
        let request = self.im.inbox.octets(index);
        let Some(found) = scan(request).filter(|found| found.status == 0 && found.via_count == 2)
        else {
            self.tally.wrong += 1;
            return Ok(());
        };
        self.tally.relayed += 1;
        let to = found.to.of(request);
        let (status_line, out) = (&self.status_line, &mut self.im.out);
        // A batch that was received fits the batch that is sent.
        out.push(Address::default(), |slot| {
            let mut writer = Writer::new(slot);
            writer
                .put(status_line)
                .put(found.vias.of(request))
                .put(found.from.of(request))
                .put(&to[..to.len() - 2])
                .put(b";tag=im-side\r\n")
                .put(found.call_id.of(request))
                .put(found.cseq.of(request))
                .put(b"Content-Length: 0\r\n\r\n");
            writer.len()
        });
        Ok(())
    }

    /// The SMS side: a response, which must be to a message that is outstanding.
    fn complete(&mut self, index: usize, at: Instant) -> Option<()> {
        let response = self.sms.inbox.octets(index);
        let found = scan(response).filter(|found| found.status > 0 && found.via_count == 1)?;
        let branch = found.branch.of(response);
        let number = hex(branch.get(..16)?)?;
        let place = u16::try_from(hex(branch.get(16..)?)?).ok()?;
        let outstanding = (*self.places.get(usize::from(place))?)?;
        let call_id = found.call_id.of(response).strip_prefix(b"Call-ID: ")?;
        if outstanding.number != number || call_id.get(..16) != branch.get(..16) {
            return None;
        }
        if found.status < 200 {
            return Some(());
        }
        *self.tally.by_status.get_mut(usize::from(found.status))? += 1;
        self.tally.completed += 1;
        let latency = at.saturating_duration_since(outstanding.due);
        self.tally.latency.saturating_record(nanoseconds(latency));
        self.places[usize::from(place)] = None;
        self.free.push(place);
        Some(())
    }

    fn retransmit(&mut self, at: Instant) -> io::Result<()> {
        for (place, outstanding) in (0..).zip(&mut self.places) {
            let Some(outstanding) = outstanding else { continue };
            if at.saturating_duration_since(outstanding.sent) > RETRANSMIT_AFTER {
                outstanding.sent = at;
                self.tally.retransmitted += 1;
                let (template, number) = (&self.template, outstanding.number);
                self.sms.push(|slot| template.write(number, place, slot))?;
            }
        }
        Ok(())
    }

    fn record_lateness(&mut self, lateness: Duration) {
        self.tally.lateness.saturating_record(nanoseconds(lateness));
    }
}

impl Template {
    fn of(octets: Vec<u8>) -> Option<Self> {
        let found = scan(&octets)?;
        let tag = found.from.end.checked_sub(2 + 16)?;
        let call_id = found.call_id.at + b"Call-ID: ".len();
        let template = Self {
            branch: found.branch,
            tag: Range { at: tag, end: tag + 16 },
            call_id: Range { at: call_id, end: call_id + 16 },
            octets,
        };
        let wide = template.branch.end - template.branch.at == 32;
        (wide && COOKIE.len() == 7).then_some(template)
    }

    fn write(&self, number: u64, place: u16, to: &mut [u8]) -> usize {
        to[..self.octets.len()].copy_from_slice(&self.octets);
        let (first, second) = to[self.branch.at..self.branch.end].split_at_mut(16);
        write_hex(number, first);
        write_hex(u64::from(place), second);
        write_hex(number, &mut to[self.tag.at..self.tag.end]);
        write_hex(number, &mut to[self.call_id.at..self.call_id.end]);
        self.octets.len()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

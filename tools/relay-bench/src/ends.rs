//! The SMS side and the IM side.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use relay_bench::message::{Scan, Writer, hex};

use crate::abuse::Abuse;
use crate::side::Side;
use crate::template::Template;
use crate::{Arguments, Scenario, now};

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
    pub(crate) rp_acks: u64,
    pub(crate) rp_errors: u64,
    pub(crate) repeated: u64,
    /// Receives that brought something, and how many messages those brought.
    pub(crate) received: (u64, u64),
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
            rp_acks: 0,
            rp_errors: 0,
            repeated: 0,
            received: (0, 0),
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
    /// Whether its final response has come.
    answered: bool,
    /// Whether its report has come.
    reported: bool,
}

/// Both ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) tally: Tally,
    /// Who else connects meanwhile.
    pub(crate) abuse: Option<Abuse>,
    sms: Side,
    im: Side,
    template: Template,
    scenario: Scenario,
    /// The status line and what follows the Via header fields of an answer, up to its To-tag.
    status_line: Vec<u8>,
    places: Vec<Option<Outstanding>>,
    free: Vec<u16>,
    number: u64,
    searched: Instant,
}

impl Ends {
    pub(crate) fn new(
        arguments: &Arguments,
        places: u16,
        message: Vec<u8>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let template = Template::of(message).ok_or("the message cannot be read")?;
        Ok(Self {
            tally: Tally::new()?,
            abuse: None,
            // Who connects finds whoever is connected to in its place.
            im: Side::im(arguments)?,
            sms: Side::sms(arguments)?,
            template: match arguments.homes {
                None => template,
                Some(homes) => template.spread(homes),
            },
            scenario: arguments.scenario,
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
        // What the last reports are answered.
        self.sms.send()?;
        Ok(u64::try_from(self.places.len() - self.free.len()).unwrap_or(u64::MAX))
    }

    fn start(&mut self, due: Instant, at: Instant) -> io::Result<()> {
        let Some(place) = self.free.pop() else { return Ok(()) };
        self.number += 1;
        let number = self.number;
        self.places[usize::from(place)] =
            Some(Outstanding { number, due, sent: at, answered: false, reported: false });
        self.record_lateness(at.saturating_duration_since(due));
        let template = &self.template;
        self.sms.push(|slot| template.write(number, place, slot))
    }

    fn turn(&mut self, at: Instant) -> io::Result<()> {
        self.sms.send()?;
        let count = self.im.receive()?;
        self.note_received(count);
        for index in 0..count {
            self.answer(index);
        }
        self.im.send()?;
        let count = self.sms.receive()?;
        self.note_received(count);
        let arrived = if count > 0 { now() } else { at };
        for index in 0..count {
            if self.complete(index, arrived).is_none() {
                self.tally.wrong += 1;
            }
        }
        if let Some(abuse) = &mut self.abuse {
            abuse.turn(at);
        }
        if !self.sms.is_reliable() && at.saturating_duration_since(self.searched) > SEARCH_EVERY {
            self.searched = at;
            self.retransmit(at)?;
        }
        Ok(())
    }

    fn note_received(&mut self, count: usize) {
        let (receives, messages) = &mut self.tally.received;
        *receives += u64::from(count > 0);
        *messages += count as u64;
    }

    /// The IM side: a final response to whatever was relayed.
    fn answer(&mut self, index: usize) {
        let vias = match self.scenario {
            Scenario::Relay => 2,
            Scenario::Gateway => 1,
        };
        let found = self.im.scan(index).filter(|it| it.status == 0 && it.via_count == vias);
        let Some(found) = found else {
            self.tally.wrong += 1;
            return;
        };
        self.tally.relayed += 1;
        let status_line = &self.status_line;
        self.im.reply(index, |request, slot| response(status_line, request, &found, slot));
    }

    /// The SMS side: a response to a message that is outstanding, or the report about one.
    fn complete(&mut self, index: usize, at: Instant) -> Option<()> {
        let found = self.sms.scan(index).filter(|found| found.via_count == 1)?;
        if found.status == 0 {
            return self.on_report(index, &found, at);
        }
        let octets = self.sms.octets(index);
        let branch = found.branch.of(octets);
        let (number, place) = numbers(branch)?;
        let outstanding = self.places.get_mut(usize::from(place))?.as_mut()?;
        let call_id = found.call_id.of(octets).strip_prefix(b"Call-ID: ")?;
        if outstanding.number != number || call_id.get(..16) != branch.get(..16) {
            return None;
        }
        if found.status < 200 {
            return Some(());
        }
        *self.tally.by_status.get_mut(usize::from(found.status))? += 1;
        outstanding.answered = true;
        if self.scenario == Scenario::Relay || outstanding.reported {
            self.close(place, at);
        }
        Some(())
    }

    /// RP-ACK or RP-ERROR about an outstanding message, which is answered 200. What is known already
    /// comes again when its 200 was late, and is answered again.
    fn on_report(&mut self, index: usize, found: &Scan, at: Instant) -> Option<()> {
        const ACCEPTED: &[u8] = b"SIP/2.0 200 OK\r\n";
        let report = self.sms.octets(index);
        let about = found.in_reply_to.of(report).strip_prefix(b"In-Reply-To: ")?;
        let (number, place) = numbers(about.get(..32)?)?;
        let (of, is_ack) = match *found.body.of(report) {
            [0x02, of, 0x41, 0x02, 0x00, 0x00] => (of, true),
            [0x04, of, ..] => (of, false),
            _ => return None,
        };
        self.sms.reply(index, |report, slot| response(ACCEPTED, report, found, slot));
        let slot = self.places.get_mut(usize::from(place))?;
        let Some(outstanding) = slot.as_mut().filter(|it| it.number == number && !it.reported)
        else {
            self.tally.repeated += 1;
            return Some(());
        };
        let [reference, ..] = number.to_le_bytes();
        if of != reference {
            return None;
        }
        match is_ack {
            true => self.tally.rp_acks += 1,
            false => self.tally.rp_errors += 1,
        }
        outstanding.reported = true;
        if outstanding.answered {
            self.close(place, at);
        }
        Some(())
    }

    fn close(&mut self, place: u16, at: Instant) {
        let Some(outstanding) = self.places[usize::from(place)].take() else { return };
        self.tally.completed += 1;
        let latency = at.saturating_duration_since(outstanding.due);
        self.tally.latency.saturating_record(nanoseconds(latency));
        self.free.push(place);
    }

    fn retransmit(&mut self, at: Instant) -> io::Result<()> {
        for (place, outstanding) in (0..).zip(&mut self.places) {
            let Some(outstanding) = outstanding else { continue };
            if !outstanding.answered
                && at.saturating_duration_since(outstanding.sent) > RETRANSMIT_AFTER
            {
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

/// The number of a message and its place, in 32 digits.
fn numbers(digits: &[u8]) -> Option<(u64, u16)> {
    let (number, place) = digits.split_at_checked(16)?;
    Some((hex(number)?, u16::try_from(hex(place)?).ok()?))
}

/// A response without a body.
fn response(status_line: &[u8], request: &[u8], found: &Scan, to: &mut [u8]) -> usize {
    let to_line = found.to.of(request);
    let mut writer = Writer::new(to);
    writer
        .put(status_line)
        .put(found.vias.of(request))
        .put(found.from.of(request))
        .put(&to_line[..to_line.len() - 2])
        .put(b";tag=im-side\r\n")
        .put(found.call_id.of(request))
        .put(found.cseq.of(request))
        .put(b"Content-Length: 0\r\n\r\n");
    writer.len()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

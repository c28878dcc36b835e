//! Tests of one endpoint against octets, and of two against each other.

#![expect(
    clippy::disallowed_macros,
    clippy::cast_possible_truncation,
    clippy::large_stack_arrays,
    clippy::wildcard_enum_match_arm,
    reason = "tests may allocate, and their numbers are small"
)]

mod carried;
mod carried_walk;
mod hazards;
mod receiving;
mod sending;
mod sessions;
mod walk;

use super::*;
use crate::wire::msrp::{FailureReport, Path};

pub(super) const OURS: &str = "msrp://us.example:7000/s0-secret;tcp";
pub(super) const THEIRS: &str = "msrp://them.example:8000/theirs;tcp";

/// What an endpoint asks for, without keys: identifiers are the numbers in them.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) bodies: Vec<Vec<u8>>,
    /// What every identifier begins with.
    pub(super) name: &'static str,
    /// Identifiers that are minted before any other.
    pub(super) forced: Vec<&'static str>,
    pub(super) reports: u32,
    /// Octets of a body that are given at once.
    pub(super) piece: usize,
}

impl Desk {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, piece: usize::MAX, ..Self::default() }
    }
}

impl Host for Desk {
    fn session(&self, session_id: &[u8]) -> Option<u32> {
        let text = core::str::from_utf8(session_id).ok()?;
        text.strip_prefix('s')?.split('-').next()?.parse().ok()
    }

    fn mint(&mut self, transaction: Transaction, to: &mut [u8; MSRP_IDENT_SIZE_MAX]) -> usize {
        let text = match transaction {
            Transaction::Chunk { sending, number, attempt } if self.forced.is_empty() => {
                let name = self.name;
                format!("{name}.{}.{}.{number}.{attempt}", sending.index, sending.generation)
            }
            Transaction::Carried { piece, attempt } if self.forced.is_empty() => {
                let name = self.name;
                format!("{name}.c.{}.{}.{attempt}", piece.index, piece.generation)
            }
            Transaction::Chunk { .. } | Transaction::Carried { .. } => {
                self.forced.remove(0).to_owned()
            }
            Transaction::Report => {
                self.reports += 1;
                format!("{}rep{}", self.name, self.reports)
            }
        };
        to[..text.len()].copy_from_slice(text.as_bytes());
        text.len()
    }

    fn transaction(&self, transaction_id: &[u8]) -> Option<Transaction> {
        let text = core::str::from_utf8(transaction_id).ok()?;
        let text = text.strip_prefix(self.name)?.strip_prefix('.')?;
        let is_carried = text.starts_with("c.");
        let mut numbers = text.trim_start_matches("c.").split('.');
        let mut number = || numbers.next()?.parse::<u32>().ok();
        if is_carried {
            let piece = PieceId::new(number()?, number()?);
            return Some(Transaction::Carried { piece, attempt: u8::try_from(number()?).ok()? });
        }
        let sending = SendingId::new(number()?, number()?);
        Some(Transaction::Chunk {
            sending,
            number: number()?,
            attempt: u8::try_from(number()?).ok()?,
        })
    }

    fn body(&self, owner: u64, start: u64, most: usize) -> &[u8] {
        let rest = &self.bodies[owner as usize][start as usize..];
        &rest[..rest.len().min(most).min(self.piece)]
    }
}

pub(super) fn rules() -> Rules {
    Rules {
        connections_max: 4,
        sessions_max: 4,
        sendings_max: 12,
        incomings_max: 12,
        buffers_max: 10,
        buffer_size: 100_000,
        response_ms: RESPONSE_MS,
        carrying: Carrying { joins_max: 2, messages_max: 24, ring_size: 4_096 },
    }
}

pub(super) const ANY: Acceptance =
    Acceptance { size_max: 100_000, keep: Keep::Assembled, reports: Reports::AtOnce };

pub(super) const START: Instant = Instant(1_000_000_000);

pub(super) fn path(text: &str) -> Path<'_> {
    Path::parse(text.as_bytes()).unwrap()
}

pub(super) fn at(ms: u32) -> Instant {
    START.plus_ms(ms)
}

/// One endpoint with one session, and whoever is at the other end of connection 0.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) it: Endpoint,
    pub(super) desk: Desk,
    pub(super) session: SessionId,
    pub(super) now: Instant,
}

impl Bench {
    /// A session that waits for its first request.
    pub(super) fn passive(acceptance: Acceptance) -> Self {
        let mut it = Endpoint::new(rules(), START);
        let session = it.open(77, acceptance).unwrap();
        assert!(it.offer(session, OURS.as_bytes()));
        assert!(it.agree(session, path(THEIRS)));
        it.connected(0, START);
        Self { it, desk: Desk::new("us"), session, now: START }
    }

    /// A session on a connection that we have opened.
    pub(super) fn active(acceptance: Acceptance) -> Self {
        let mut bench = Self::passive(acceptance);
        assert!(bench.it.bind(bench.session, 0));
        bench
    }

    /// What was observed, but for the beginnings of messages.
    pub(super) fn facts(&mut self) -> Vec<Fact> {
        let facts = core::iter::from_fn(|| self.it.fact());
        facts.filter(|fact| !matches!(fact, Fact::Arriving { .. })).collect()
    }

    /// Shows octets on a connection; says how it ended.
    pub(super) fn show_on(&mut self, connection: u16, octets: &[u8]) -> Step {
        let mut at = 0;
        loop {
            let read = self.it.read(connection, &octets[at..], &mut self.desk, self.now);
            at += read.len;
            if !matches!(read.step, Step::Used | Step::Body { .. }) {
                return read.step;
            }
        }
    }

    pub(super) fn show(&mut self, octets: &str) {
        assert_eq!(self.show_on(0, octets.as_bytes()), Step::Partial, "{octets}");
    }

    /// What is written on a connection, and not handed over.
    pub(super) fn written_on(&mut self, connection: u16, room: usize) -> String {
        let mut to = vec![0; room];
        let len = self.it.write(connection, &mut to, &mut self.desk);
        String::from_utf8(to[..len].to_vec()).unwrap()
    }

    /// What is written, and handed over at once.
    pub(super) fn written(&mut self) -> String {
        let octets = self.written_on(0, 1 << 20);
        self.it.handed_over(0, octets.len() as u64, self.now);
        octets
    }

    pub(super) fn expire(&mut self, ms: u32) {
        self.now = at(ms);
        self.it.expire(&mut self.desk, self.now, 1_000);
    }

    /// Sends a message with these octets.
    pub(super) fn send(&mut self, body: &[u8], failure_report: FailureReport) -> SendingId {
        self.desk.bodies.push(body.to_vec());
        let message = Message {
            owner: self.desk.bodies.len() as u64 - 1,
            message_id: b"message1",
            content_type: Some(b"text/plain"),
            size: body.len() as u64,
            success_report: true,
            failure_report,
        };
        self.it.send(self.session, &message).unwrap()
    }
}

/// A SEND to us.
pub(super) fn chunk(tid: &str, fields: &str, body: &str, flag: char) -> String {
    format!(
        "MSRP {tid} SEND\r\nTo-Path: {OURS}\r\nFrom-Path: {THEIRS}\r\n{fields}\
         Content-Type: text/plain\r\n\r\n{body}\r\n-------{tid}{flag}\r\n"
    )
}

pub(super) fn response(tid: &str, code: u16) -> String {
    format!("MSRP {tid} {code} Said\r\nTo-Path: {OURS}\r\nFrom-Path: {THEIRS}\r\n-------{tid}$\r\n")
}

pub(super) fn report(message_id: &str, fields: &str) -> String {
    format!(
        "MSRP theirrep REPORT\r\nTo-Path: {OURS}\r\nFrom-Path: {THEIRS}\r\n\
         Message-ID: {message_id}\r\n{fields}-------theirrep$\r\n"
    )
}

/// Start lines of what was written.
pub(super) fn starts(octets: &str) -> Vec<&str> {
    octets.split("\r\n").filter(|line| line.starts_with("MSRP ")).collect()
}

/// The response to a chunk of ours.
pub(super) fn ours(id: SendingId, number: u32) -> String {
    format!("us.{}.{}.{number}.0", id.index, id.generation)
}

pub(super) const RESPONSE_MS: u32 = 20_000;

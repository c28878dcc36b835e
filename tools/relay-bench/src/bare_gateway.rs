//! The least that a gateway of short messages can be: the floor of the measurement.
//!
//! Of each short message it receives RP-DATA in a MESSAGE, scans it once, reads RP and TPDU with the
//! views of the product, the text in UTF-8 included, remembers the transaction by its branch, starts
//! a timer, answers 200, and sends a MESSAGE with the text to the IM side. The 200 of that finds its
//! entry by the number in the branch, stops the timer, and RP-ACK leaves in a MESSAGE to the SMS
//! side, whose 200 closes the entry. There are no retransmissions, no absorption, no order of
//! messages to one recipient, no verdicts, no checks of who is speaking, and whatever it cannot read
//! it drops.
//!
//! Over TCP it takes one connection, and opens one for instant messages and one for reports: in a turn
//! it reads once from each, and writes once to each that has something coming.

use std::io;
use std::net::SocketAddr;
use std::time;

use clap::Parser;
use relay_bench::batch::{self, Address, Aggregation, BATCH_SIZE, Wait, bind};
use relay_bench::message::{COOKIE, Scan, Writer, bracketed, hex, scan, write_decimal, write_hex};
use relay_bench::table::{Table, fingerprint, prefetch};
use relay_bench::trunk::{self, Trunks};
use relay_bench::{Post, Reading, Transport};
use roger::time::{Instant, Wheel};
use roger::wire::rp::{self, Direction, Message};
use roger::wire::tpdu::{self, Answer, Deliver, Tpdu, UserData};

/// Makes instant messages of short messages and does nothing else.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where it listens and sends from.
    #[arg(long)]
    listen: SocketAddr,
    /// Where instant messages go.
    #[arg(long)]
    next: SocketAddr,
    /// How many transactions it remembers; a power of two.
    #[arg(long, default_value_t = 1 << 23)]
    entries: usize,
    /// How many short messages may be open at once.
    #[arg(long, default_value_t = 1 << 16)]
    open: u32,
    /// How packets are carried.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// How what comes over a connection is read.
    #[arg(long, value_enum, default_value_t)]
    reading: Reading,
    /// Where reports go over TCP; over UDP they go where the short message came from.
    #[arg(long, required_if_eq("transport", "tcp"))]
    back: Option<SocketAddr>,
}

/// The host of URIs and Call-IDs of ours.
const DOMAIN: &[u8] = b"sms.example.net";
/// Timer F.
const TIMEOUT_MS: u32 = 32_000;
/// Octets of a sender, a recipient and a Call-ID that are kept for the report.
const KEPT_SIZE: usize = 400;
/// What a branch of ours says first.
const INSTANT: u8 = b'0';
const REPORT: u8 = b'1';

/// A short message whose report has not been taken.
#[derive(Clone, Debug)]
struct Open {
    /// Zero when there is none.
    sequence: u64,
    /// Where its report goes.
    source: Address,
    /// RP-MR.
    reference: u8,
    /// How long the sender, the recipient and the line with the Call-ID are, which stand in `kept`.
    lens: [usize; 3],
    kept: [u8; KEPT_SIZE],
}

impl Open {
    const NONE: Self = Self {
        sequence: 0,
        source: Address::NONE,
        reference: 0,
        lens: [0; 3],
        kept: [1; KEPT_SIZE],
    };

    /// The sender, the recipient and the value of Call-ID with its CRLF.
    fn pieces(&self) -> (&[u8], &[u8], &[u8]) {
        let [sender, recipient, call_id] = self.lens;
        let (first, rest) = self.kept.split_at(sender);
        let (second, rest) = rest.split_at(recipient);
        (first, second, &rest[..call_id])
    }
}

struct Gateway {
    next: Address,
    /// Where reports go, if not back.
    back: Option<Address>,
    /// Our Via up to its branch.
    via: Box<[u8]>,
    table: Table,
    open: Box<[Open]>,
    free: Vec<u32>,
    wheel: Wheel,
    start: time::Instant,
}

/// What the second pass over a batch needs to know about a message beside its scan.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The fingerprint of the branch of a request.
    Fingerprint(u64),
    /// What the branch of a response says: what it answers, the entry, and the sequence number.
    Entry(u8, u32, u64),
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let gateway = Gateway::new(&arguments);
    match arguments.transport {
        Transport::Udp => over_udp(&arguments, gateway),
        Transport::Tcp => over_tcp(&arguments, gateway),
    }
}

fn over_udp(arguments: &Arguments, mut gateway: Gateway) -> io::Result<()> {
    let socket = bind(arguments.listen)?;
    let mut inbox = batch::Inbox::new();
    let mut out = batch::Outbox::new();
    let mut scans = [None; BATCH_SIZE];
    loop {
        let count = inbox.receive(&socket, Wait::ForOne)?;
        let now = gateway.now();
        for (index, found) in scans[..count].iter_mut().enumerate() {
            let octets = inbox.octets(index);
            *found = scan(octets).and_then(|found| Some((found, gateway.locate(octets, &found)?)));
        }
        for (index, found) in scans[..count].iter().enumerate() {
            // One short message makes two datagrams.
            if out.free() < 2 {
                out.send(&socket, Aggregation::None)?;
            }
            let Some((found, place)) = found else { continue };
            gateway.on_message(
                inbox.octets(index),
                found,
                *place,
                inbox.source(index),
                now,
                &mut out,
            );
        }
        out.send(&socket, Aggregation::None)?;
        gateway.expire(now);
    }
}

fn over_tcp(arguments: &Arguments, mut gateway: Gateway) -> io::Result<()> {
    let (mut trunks, mut out) = (Trunks::new(), trunk::Outbox::new());
    trunks.listen(arguments.listen)?;
    trunks.accept(&mut out)?;
    for to in [Some(arguments.next), arguments.back].into_iter().flatten() {
        trunks.connect(None, to, &mut out)?;
    }
    let mut inbox = trunk::Inbox::new(arguments.reading);
    let mut places = [None; BATCH_SIZE];
    loop {
        let count = inbox.receive(&trunks)?;
        let now = gateway.now();
        for first in (0..count).step_by(BATCH_SIZE) {
            let batch = first..count.min(first + BATCH_SIZE);
            for (index, place) in batch.clone().zip(&mut places) {
                let found = inbox.scan(index);
                *place = found.and_then(|found| gateway.locate(inbox.octets(index), found));
            }
            for (index, place) in batch.zip(places) {
                let Some((found, place)) = inbox.scan(index).zip(place) else { continue };
                let octets = inbox.octets(index);
                gateway.on_message(octets, found, place, inbox.source(index), now, &mut out);
            }
        }
        out.send(&trunks)?;
        gateway.expire(now);
        if count == 0 {
            trunks.wait(&out)?;
        }
    }
}

/// A request with RP-DATA.
#[derive(Clone, Copy, Debug)]
struct Arrival<'a> {
    octets: &'a [u8],
    found: &'a Scan,
    fingerprint: u64,
    now: Instant,
}

impl Gateway {
    fn new(arguments: &Arguments) -> Self {
        let mut via = b"Via: SIP/2.0/".to_vec();
        via.extend_from_slice(arguments.transport.name().as_bytes());
        via.push(b' ');
        via.extend_from_slice(arguments.listen.to_string().as_bytes());
        via.extend_from_slice(b";branch=");
        via.extend_from_slice(COOKIE);
        let room = usize::try_from(arguments.open).unwrap_or(0);
        Self {
            next: arguments.next.into(),
            back: arguments.back.map(Address::from),
            via: via.into(),
            table: Table::new(arguments.entries),
            open: std::iter::repeat_n(Open::NONE, room).collect(),
            free: (0..arguments.open).rev().collect(),
            wheel: Wheel::new(arguments.open, Instant(0)),
            start: started(),
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The first pass: locate, and have the entry fetched meanwhile.
    fn locate(&self, octets: &[u8], found: &Scan) -> Option<Place> {
        let branch = found.branch.of(octets);
        if found.status == 0 {
            let fingerprint = fingerprint(branch);
            self.table.prefetch(self.table.index(fingerprint))?;
            return Some(Place::Fingerprint(fingerprint));
        }
        let (&what, rest) = branch.split_first()?;
        let (index, sequence) = rest.split_at_checked(8)?;
        let index = u32::try_from(hex(index)?).ok()?;
        prefetch(self.open.get(index as usize)?);
        (found.status >= 200).then_some(Place::Entry(what, index, hex(sequence)?))
    }

    /// The second pass.
    fn on_message(
        &mut self,
        octets: &[u8],
        found: &Scan,
        place: Place,
        source: Address,
        now: Instant,
        out: &mut impl Post,
    ) {
        match place {
            Place::Fingerprint(fingerprint) => {
                let arrival = Arrival { octets, found, fingerprint, now };
                self.on_request(arrival, source, out);
            }
            Place::Entry(what, index, sequence) => self.on_response(what, index, sequence, out),
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(index) = self.wheel.expire(now) {
            self.close(index);
        }
    }

    fn on_request(
        &mut self,
        arrival: Arrival<'_>,
        source: Address,
        out: &mut impl Post,
    ) -> Option<()> {
        let Arrival { octets, found, fingerprint, now } = arrival;
        let Ok(Message::Data(data)) = rp::parse(found.body.of(octets)) else { return None };
        let read = tpdu::parse(data.tpdu, Direction::NetworkToMs, Answer::Ack);
        let Ok(Tpdu::Deliver(deliver)) = read else { return None };
        let sender = bracketed(found.asserted.of(octets))?;
        let recipient = bracketed(found.called_party.of(octets))?;
        let call_id = found.call_id.of(octets).strip_prefix(b"Call-ID: ")?;
        let known = self.table.sequence();
        let (_, sequence) = self.table.insert(fingerprint, source);
        out.push(source, |slot| accepted(octets, found, sequence, slot));
        if sequence <= known {
            return None;
        }
        let index = self.free.pop()?;
        let open = self.open.get_mut(index as usize)?;
        let back = self.back.unwrap_or(source);
        (open.sequence, open.source, open.reference) = (sequence, back, data.reference);
        open.lens = [sender.len(), recipient.len(), call_id.len()];
        Writer::new(&mut open.kept).put(sender).put(recipient).put(call_id);
        self.wheel.start(index, now.plus_ms(TIMEOUT_MS));
        let branch = branch(INSTANT, index, sequence);
        out.push(self.next, |slot| {
            instant(&self.via, &branch, recipient, &deliver, slot).unwrap_or(0)
        });
        Some(())
    }

    fn on_response(&mut self, what: u8, index: u32, sequence: u64, out: &mut impl Post) {
        let Some(open) = self.open.get(index as usize) else { return };
        if open.sequence != sequence {
            return;
        }
        if what == REPORT {
            return self.close(index);
        }
        self.wheel.stop(index);
        let branch = branch(REPORT, index, sequence);
        out.push(open.source, |slot| report(&self.via, &branch, open, slot));
    }

    fn close(&mut self, index: u32) {
        if let Some(open) = self.open.get_mut(index as usize)
            && open.sequence != 0
        {
            open.sequence = 0;
            self.free.push(index);
        }
    }
}

/// The 200 of RP-DATA.
fn accepted(octets: &[u8], found: &Scan, sequence: u64, to: &mut [u8]) -> usize {
    let mut tag = [0; 16];
    write_hex(sequence, &mut tag);
    let to_line = found.to.of(octets);
    let mut writer = Writer::new(to);
    writer
        .put(b"SIP/2.0 200 OK\r\n")
        .put(found.vias.of(octets))
        .put(found.from.of(octets))
        .put(&to_line[..to_line.len() - 2])
        .put(b";tag=")
        .put(&tag)
        .put(b"\r\n")
        .put(found.call_id.of(octets))
        .put(found.cseq.of(octets))
        .put(b"Content-Length: 0\r\n\r\n");
    writer.len()
}

/// The kind, the entry and the number, in 25 digits.
fn branch(what: u8, index: u32, sequence: u64) -> [u8; 25] {
    let mut branch = [what; 25];
    write_hex(u64::from(index), &mut branch[1..9]);
    write_hex(sequence, &mut branch[9..]);
    branch
}

/// The MESSAGE with the text.
fn instant(
    via: &[u8],
    branch: &[u8; 25],
    recipient: &[u8],
    deliver: &Deliver<'_>,
    to: &mut [u8],
) -> Option<usize> {
    let mut text = [0; UserData::TEXT_SIZE_MAX];
    let len = deliver.user_data.text(&mut text)?;
    let text = &text[..len];
    let mut number = [0; 32];
    let len = deliver.originator.write(&mut number)?;
    let number = &number[..len];
    let mut date = [0; 29];
    deliver.scts.write_http_date(&mut date)?;
    let mut writer = Writer::new(to);
    head(&mut writer, via, branch, recipient);
    writer.put(b"From: <sip:+").put(number).put(b"@").put(DOMAIN).put(b";user=phone>;tag=");
    addressed(&mut writer, branch, recipient);
    writer
        .put(b"Date: ")
        .put(&date)
        .put(b"\r\nP-Asserted-Identity: <sip:+")
        .put(number)
        .put(b"@")
        .put(DOMAIN)
        .put(b";user=phone>\r\nRequest-Disposition: no-fork\r\nAccept-Contact: *;+g.oma.sip-im\r\n")
        .put(b"Content-Type: text/plain;charset=UTF-8\r\n");
    // The texts of the driver have between 100 and 999 octets.
    let mut digits = [0; 3];
    write_decimal(text.len() as u64, &mut digits);
    writer.put(b"Content-Length: ").put(&digits).put(b"\r\n\r\n").put(text);
    Some(writer.len())
}

/// RP-ACK in a MESSAGE.
fn report(via: &[u8], branch: &[u8; 25], open: &Open, to: &mut [u8]) -> usize {
    let (sender, recipient, call_id) = open.pieces();
    let mut body = [0; 8];
    let ack = rp::ack(Direction::MsToNetwork, open.reference, &[0, 0], &mut body);
    let body = &body[..ack.unwrap_or(0)];
    let mut writer = Writer::new(to);
    head(&mut writer, via, branch, sender);
    writer.put(b"From: <").put(recipient).put(b">;tag=");
    addressed(&mut writer, branch, sender);
    writer
        .put(b"In-Reply-To: ")
        .put(call_id)
        .put(b"P-Asserted-Identity: <")
        .put(recipient)
        .put(b">\r\nContent-Type: application/vnd.3gpp.sms\r\nContent-Length: 6\r\n\r\n")
        .put(body);
    writer.len()
}

/// A request line, our Via and Max-Forwards.
fn head(writer: &mut Writer<'_>, via: &[u8], branch: &[u8; 25], uri: &[u8]) {
    writer
        .put(b"MESSAGE ")
        .put(uri)
        .put(b" SIP/2.0\r\n")
        .put(via)
        .put(branch)
        .put(b";rport\r\nMax-Forwards: 70\r\n");
}

/// The tag of From, To, Call-ID and CSeq.
fn addressed(writer: &mut Writer<'_>, branch: &[u8; 25], uri: &[u8]) {
    writer
        .put(&branch[9..])
        .put(b"\r\nTo: <")
        .put(uri)
        .put(b">\r\nCall-ID: ")
        .put(branch)
        .put(b"@")
        .put(DOMAIN)
        .put(b"\r\nCSeq: 1 MESSAGE\r\n");
}

#[expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]
fn started() -> time::Instant {
    time::Instant::now()
}

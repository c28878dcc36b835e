//! A gateway for the tests of the SC, the users and their judge: as naive as they are, with faults on
//! request. It knows what a short message says from the plan of the run, so it reads no TPDU.

#![expect(clippy::disallowed_macros, reason = "a test")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::load::schedule::{Clock, Run, Timers};
use crate::load::short::case::Case;
use crate::load::short::judge::{Claim, Ledger};
use crate::load::short::plan::{self, Domains};
use crate::load::short::sc::Sc;
use crate::load::short::summary::ShortRecords;
use crate::load::short::user::{Proofs, Users};
use crate::load::sip::{self, COOKIE, Text};
use crate::load::summary::Summary;
use crate::load::{DATAGRAM_SIZE_MAX, bind, receive, until};

/// What the gateway does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// 404 is reported as delivery.
    FailureAcknowledged,
    /// 202 is taken for delivery.
    AcceptedIsDelivered,
    /// RP-ACK leaves before anything else does.
    EarlyAck,
    /// Nothing is reported about 603.
    ReportLost,
    /// There is no verdict about 603.
    VerdictLost,
    /// The report about 603 comes twice, under two branches.
    ReportDoubled,
    /// Two verdicts about 603.
    VerdictDoubled,
    /// What was delivered is sent again when it is repeated.
    Forgetful,
    /// A further attempt has another Call-ID.
    CallIdChanged,
    /// What was refused for good is tried again.
    RefusalForgotten,
    /// The late 200 is ignored.
    LateIgnored,
    /// RP-Cause 22 where the user is busy.
    MemoryExceeded,
    /// The report about 603 repeats another RP-MR.
    OtherReference,
    /// The text is not what it was.
    TextChanged,
    /// Two texts at a time to one recipient.
    Crowded,
    /// Silence is told as a temporary failure.
    SilenceIsFailure,
    /// A lost report is claimed to be taken.
    LossUnnoticed,
}

#[derive(Default)]
struct Submission {
    head: String,
    arrived_ns: u64,
    answer: Option<(bool, char)>,
    report: String,
    sent_ns: u64,
    next_ns: u64,
    is_over: bool,
}

#[derive(Default)]
struct Message {
    submissions: Vec<Submission>,
    /// When the running attempt began, when it is sent again, and after how long then.
    attempt: Option<(u64, u64, u64)>,
    attempts: u32,
    is_queued: bool,
    memory: Option<char>,
    source: Option<SocketAddr>,
}

struct Gateway {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    domain: SocketAddr,
    fault: Fault,
    messages: Vec<Message>,
    ledger: Ledger,
}

impl Gateway {
    fn run_until(&mut self, stop: &AtomicBool) {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        let socket = self.socket.try_clone().unwrap();
        while !stop.load(Ordering::Relaxed) {
            if let Some((datagram, source)) = receive(&socket, &mut buffer) {
                let end = datagram.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
                let head = Text::read(&datagram[..end + 4]).unwrap();
                match head.status() {
                    None => self.on_submission(&head, source),
                    Some(status) => self.on_final(&head, status),
                }
            }
            for number in 0..self.run.messages {
                self.on_time(number);
            }
        }
    }

    fn on_submission(&mut self, head: &Text<'_>, source: SocketAddr) {
        let (number, place) = plan::of_call_id(&self.run, head.field("Call-ID").unwrap()).unwrap();
        let mut response = String::new();
        sip::write_response(head, 200, &mut response);
        self.socket.send_to(response.as_bytes(), source).unwrap();
        let message = &mut self.messages[number];
        message.source = Some(source);
        if place < message.submissions.len() {
            return;
        }
        let arrived_ns = self.clock.now_ns();
        message.submissions.push(Submission {
            head: String::from(head.field("Call-ID").unwrap()),
            arrived_ns,
            ..Submission::default()
        });
        let case = plan::case(&self.run, number);
        match (message.memory, case) {
            (_, Case::TypeZero) => self.report(number, place, true, 'A'),
            (_, Case::Octets) => self.report(number, place, false, 'P'),
            _ if self.fault == Fault::EarlyAck => {
                self.report(number, place, true, 'D');
                self.messages[number].is_queued = place == 0;
            }
            (Some('D'), _) if self.fault == Fault::Forgetful => self.begin(number),
            (Some('P'), _) if self.fault == Fault::RefusalForgotten => self.begin(number),
            (Some('D'), _) => self.report(number, place, true, 'D'),
            (Some(verdict @ ('P' | 'A')), _) => self.report(number, place, false, verdict),
            (Some('T'), Case::NotBefore) => self.report(number, place, false, 'T'),
            _ => self.begin(number),
        }
    }

    /// A request to the user, unless one is out already or another one to the same user.
    fn begin(&mut self, number: usize) {
        let is_pair = plan::case(&self.run, number).is_pair();
        let other = self.messages.get(number ^ 1);
        let is_taken = is_pair && other.is_some_and(|other| other.attempt.is_some());
        let message = &mut self.messages[number];
        if message.attempt.is_some() {
            return;
        }
        message.is_queued = is_taken && self.fault != Fault::Crowded;
        if message.is_queued {
            return;
        }
        let now = self.clock.now_ns();
        let interval_ns = self.run.timers.t1_ms * 1_000_000;
        message.attempt = Some((now, now + interval_ns, interval_ns));
        message.attempts += 1;
        self.send_instant(number);
    }

    fn send_instant(&self, number: usize) {
        let attempt = self.messages[number].attempts;
        let recipient = plan::recipient(&self.run, number, self.domain);
        let mut text = plan::text(&self.run, number);
        if self.fault == Fault::TextChanged {
            text = text.replace("tea", "tee");
        }
        let renamed = self.fault == Fault::CallIdChanged || self.fault == Fault::Forgetful;
        let name = if renamed { attempt } else { 0 };
        let sent_by = self.socket.local_addr().unwrap();
        let request = format!(
            "MESSAGE {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {sent_by};branch={COOKIE}-{number}.{attempt}\r\n\
             From: <sip:+15551230001@gateway.example>;tag=1\r\n\
             To: {recipient}\r\n\
             Call-ID: i{number}.{name}@gateway.example\r\n\
             CSeq: {attempt} MESSAGE\r\n\
             Content-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {len}\r\n\r\n{text}",
            uri = recipient.trim_matches(['<', '>']),
            len = text.len()
        );
        self.socket.send_to(request.as_bytes(), self.domain).unwrap();
    }

    fn on_final(&mut self, head: &Text<'_>, status: u16) {
        let call_id = head.field("Call-ID").unwrap();
        if let Some(place) = call_id.strip_prefix("report-") {
            let (number, place) = plan::of_call_id(&self.run, place).unwrap();
            return self.end_report(number, place, true);
        }
        let number: usize = call_id[1..].split_once('.').unwrap().0.parse().unwrap();
        let verdict = match status {
            200 => 'D',
            202 => 'A',
            404 | 603 => 'P',
            504 => 'U',
            _ => 'T',
        };
        let is_late = self.messages[number].attempt.is_none();
        if is_late {
            let message = &mut self.messages[number];
            if status == 200 && self.fault != Fault::LateIgnored {
                message.memory = Some('D');
            }
            return;
        }
        let was_told = self.messages[number].submissions.iter().all(|one| one.answer.is_some());
        if self.fault != Fault::LateIgnored || !was_told {
            self.end_attempt(number, verdict);
        }
    }

    fn end_attempt(&mut self, number: usize, verdict: char) {
        let message = &mut self.messages[number];
        message.attempt = None;
        message.memory = Some(verdict);
        for place in 0..message.submissions.len() {
            let is_open = self.messages[number].submissions[place].answer.is_none();
            let case = plan::case(&self.run, number);
            if is_open && verdict != 'A' {
                let wrong = self.fault == Fault::FailureAcknowledged && case == Case::NotFound;
                self.report(number, place, verdict == 'D' || wrong, verdict);
            } else if is_open && self.fault == Fault::AcceptedIsDelivered {
                self.report(number, place, true, 'D');
            }
        }
        let other = number ^ 1;
        if self.messages.get(other).is_some_and(|other| other.is_queued) {
            self.begin(other);
        }
    }

    fn report(&mut self, number: usize, place: usize, acknowledged: bool, verdict: char) {
        let case = plan::case(&self.run, number);
        let is_declined = case == Case::Declined;
        let now = self.clock.now_ns();
        let one = &mut self.messages[number].submissions[place];
        if one.answer.is_some() {
            return;
        }
        one.answer = Some((acknowledged, verdict));
        if is_declined && self.fault == Fault::ReportLost {
            one.next_ns = u64::MAX;
            return self.end_report(number, place, true);
        }
        let mut reference = plan::reference(number, place);
        if is_declined && self.fault == Fault::OtherReference {
            reference += 1;
        }
        let is_busy = case == Case::Busy && self.fault == Fault::MemoryExceeded;
        let cause = if is_busy { 22 } else { 111 };
        let fcs = if case == Case::Octets { 0x90 } else { 0xFF };
        // No octet of these is above 0x7F but the TP-FCS, so the text is made of Latin-1.
        let body: String = if acknowledged {
            [0x02, reference, 0x41, 2, 0, 0].into_iter().map(char::from).collect()
        } else {
            [0x04, reference, 1, cause, 0x41, 3, 0, fcs, 0].into_iter().map(char::from).collect()
        };
        let recipient = plan::recipient(&self.run, number, self.domain);
        let sent_by = self.socket.local_addr().unwrap();
        one.report = format!(
            "MESSAGE sip:sc@sc.example SIP/2.0\r\n\
             Via: SIP/2.0/UDP {sent_by};branch={COOKIE}-r{number}.{place}\r\n\
             From: {recipient};tag=2\r\n\
             To: {sc}\r\n\
             Call-ID: report-{call_id}\r\n\
             CSeq: 1 MESSAGE\r\n\
             In-Reply-To: {call_id}\r\n\
             P-Asserted-Identity: {recipient}\r\n\
             Content-Type: {media_type}\r\n\r\n{body}",
            call_id = one.head,
            sc = plan::SC,
            media_type = plan::MEDIA_TYPE,
        );
        (one.sent_ns, one.next_ns) = (now, now);
        if is_declined && self.fault == Fault::ReportDoubled {
            let again = one.report.replacen(COOKIE, &format!("{COOKIE}-2"), 1);
            let source = self.messages[number].source.unwrap();
            self.socket.send_to(&latin_1(&again), source).unwrap();
        }
    }

    fn end_report(&mut self, number: usize, place: usize, is_taken: bool) {
        let case = plan::case(&self.run, number);
        let one = &mut self.messages[number].submissions[place];
        if core::mem::replace(&mut one.is_over, true) {
            return;
        }
        let (acknowledged, verdict) = one.answer.unwrap();
        let is_declined = case == Case::Declined;
        let claim = Claim {
            verdict,
            acknowledged: Some(acknowledged),
            is_taken: is_taken || self.fault == Fault::LossUnnoticed,
        };
        let lost = is_declined && self.fault == Fault::VerdictLost;
        let twice = is_declined && self.fault == Fault::VerdictDoubled;
        let times = usize::from(!lost) + usize::from(twice);
        for _ in 0..times {
            self.ledger.note(one.head.clone().as_bytes(), claim);
        }
    }

    fn on_time(&mut self, number: usize) {
        let now = self.clock.now_ns();
        let f_ns = self.run.timers.f_ms() * 1_000_000;
        let deadline_ns = self.run.timers.deadline_ms * 1_000_000;
        for place in 0..self.messages[number].submissions.len() {
            let message = &mut self.messages[number];
            let memory = message.memory;
            let (one, source) = (&mut message.submissions[place], message.source);
            if one.answer.is_none() && now >= one.arrived_ns + deadline_ns {
                let failure = self.fault == Fault::SilenceIsFailure;
                let verdict = if failure { 'T' } else { 'U' };
                let verdict = memory.filter(|memory| *memory == 'A').unwrap_or(verdict);
                self.report(number, place, false, verdict);
            } else if one.answer.is_some() && !one.is_over && now >= one.sent_ns + f_ns {
                self.end_report(number, place, false);
            } else if one.answer.is_some() && !one.is_over && now >= one.next_ns {
                one.next_ns = now + 100_000_000;
                self.socket.send_to(&latin_1(&one.report), source.unwrap()).unwrap();
            }
        }
        if self.fault == Fault::EarlyAck && self.messages[number].is_queued {
            let first_ns = self.messages[number].submissions[0].arrived_ns;
            if now >= first_ns + 100_000_000 {
                self.begin(number);
            }
        }
        let Some((began_ns, next_ns, interval_ns)) = self.messages[number].attempt else { return };
        if now >= began_ns + f_ns {
            self.end_attempt(number, 'U');
        } else if now >= next_ns {
            let attempt = (began_ns, now + 2 * interval_ns, 2 * interval_ns);
            self.messages[number].attempt = Some(attempt);
            self.send_instant(number);
        }
    }
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap()).collect()
}

/// A whole run of two messages for each case through a gateway with that fault.
fn run_with(fault: Fault) -> Summary {
    // Nothing goes in a session here.
    let messages = 2 * (Case::Session as usize);
    let run = Run { id: 9, seed: 3, rate_mhz: 200_000, messages, timers: Timers::SHORT };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let [sc_socket, socket, users_socket] = [(); 3].map(|()| bind(any).unwrap());
    let (server, domain) = (socket.local_addr().unwrap(), users_socket.local_addr().unwrap());
    let clock = Clock::start();
    let proofs = Proofs::new(messages);
    let all = core::iter::repeat_with(Message::default).take(messages).collect();
    let ledger = Ledger::new(run);
    let mut gateway = Gateway { run, clock, socket, domain, fault, messages: all, ledger };
    let stop = AtomicBool::new(false);
    let users = Users::start(run, clock, users_socket, proofs.clone()).unwrap();
    let domains = Domains { pager: domain, phone: domain, relay: domain };
    let sc = Sc::start(run, clock, sc_socket, (server, domains), proofs).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| gateway.run_until(&stop));
        // What is lost is never finished; everything else is long before that.
        let end_ns = 7_000_000_000;
        until(|| clock.now_ns() > end_ns);
        stop.store(true, Ordering::Relaxed);
    });
    let strays = sc.watch().strays.load(Ordering::Relaxed) + users.strays();
    assert_eq!(strays, 0, "{fault:?}");
    let (sent, seen) = (sc.finish().unwrap(), users.finish().unwrap());
    let mut summary = Summary::default();
    ShortRecords { run, sent: &sent, seen: &seen, ledger: &gateway.ledger }.add_to(&mut summary);
    summary
}

#[test]
fn a_faultless_gateway_is_judged_clean() {
    let summary = run_with(Fault::None);
    assert!(summary.is_clean(), "{:#?}", summary.faults);
    let sums = summary.short_messages.sums;
    assert_eq!((sums.messages, sums.lost_reports, sums.false_rp_acks), (42, 0, 0));
    assert_eq!(sums.submissions, sums.rp_acks + sums.rp_errors);
    assert_eq!(sums.verdicts, sums.submissions);
    assert_eq!((sums.recognised, sums.seen_twice), (2, 0));
    assert_eq!(summary.short_messages.rows.len(), Case::Session as usize);
}

/// The judge sees each fault in the two messages of the case that shows it.
#[test]
fn each_planted_fault_is_seen() {
    let faults = [
        (Fault::FailureAcknowledged, Case::NotFound),
        (Fault::AcceptedIsDelivered, Case::Accepted),
        (Fault::EarlyAck, Case::Ok),
        (Fault::ReportLost, Case::Declined),
        (Fault::VerdictLost, Case::Declined),
        (Fault::ReportDoubled, Case::Declined),
        (Fault::VerdictDoubled, Case::Declined),
        (Fault::Forgetful, Case::AckLost),
        (Fault::CallIdChanged, Case::SilentHas),
        (Fault::RefusalForgotten, Case::NotFound),
        (Fault::LateIgnored, Case::OkTooLate),
        (Fault::MemoryExceeded, Case::Busy),
        (Fault::OtherReference, Case::Declined),
        (Fault::TextChanged, Case::Ok),
        (Fault::Crowded, Case::TwoTexts),
        (Fault::SilenceIsFailure, Case::SilentHas),
        (Fault::LossUnnoticed, Case::AckLost),
    ];
    thread::scope(|scope| {
        for (fault, case) in faults {
            scope.spawn(move || {
                let summary = run_with(fault);
                let row = summary.short_messages.rows.iter().find(|row| row.case == case).unwrap();
                // Of two texts at a time it is the second one that should have waited.
                let faulty = if fault == Fault::Crowded { 1 } else { 2 };
                assert_eq!(row.sums.faulty, faulty, "{fault:?}: {:#?}", summary.faults);
                let (seen, sums) = (&summary, summary.short_messages.sums);
                let counted = match fault {
                    Fault::None => 0,
                    Fault::FailureAcknowledged | Fault::AcceptedIsDelivered | Fault::EarlyAck => {
                        sums.false_rp_acks.min(seen.is_false)
                    }
                    Fault::ReportLost | Fault::VerdictLost => sums.lost_reports.min(seen.lost),
                    Fault::ReportDoubled | Fault::VerdictDoubled | Fault::RefusalForgotten => {
                        seen.duplicated
                    }
                    Fault::Forgetful | Fault::CallIdChanged => sums.seen_twice,
                    Fault::LateIgnored => seen.duplicated,
                    Fault::SilenceIsFailure => seen.is_false,
                    Fault::MemoryExceeded | Fault::OtherReference => seen.wrong,
                    Fault::TextChanged | Fault::Crowded | Fault::LossUnnoticed => seen.wrong,
                };
                assert!(counted >= 1, "{fault:?}: {counted}: {:#?}", summary.faults);
            });
        }
    });
}

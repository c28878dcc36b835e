//! A stateful proxy for the tests of the actors: as naive as they are, with faults on request.
//!
//! The actors are the product's conscience, so they are tried on something that is not the
//! product: a faultless proxy must be judged clean with every outcome injected, and each planted
//! fault must be seen in a whole run.

#![expect(clippy::disallowed_macros, reason = "a test")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::load::im::Im;
use crate::load::judge::Ledger;
use crate::load::schedule::{Clock, Run, Timers};
use crate::load::sip::{self, COOKIE, Text};
use crate::load::sms::Sms;
use crate::load::summary::{Records, Summary};
use crate::load::truth::Outcome;
use crate::load::{DATAGRAM_SIZE_MAX, bind, receive, until};
use crate::metrics::Total;

/// What the proxy does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// A 480 is never passed on.
    ReportLost,
    /// There is no verdict about what was busy.
    VerdictLost,
    /// A 404 is passed on twice.
    ReportDoubled,
    /// The message goes out in two transactions.
    MessageDoubled,
    /// What answers 403 is decided twice.
    VerdictDoubled,
    /// 202 is taken for delivery.
    AcceptedIsDelivered,
    /// Silence is reported as 408.
    SilenceIsFailure,
    /// 603 is taken for a temporary failure.
    DeclineIsTemporary,
    /// 503 is passed on as it is.
    OverloadPassed,
    /// The body is not what it was.
    BodyChanged,
}

/// One message on its way.
struct Open {
    request: String,
    onward: String,
    client: SocketAddr,
    arrived_ns: u64,
    next_ns: u64,
    interval_ns: u64,
    decided: bool,
    response: Option<String>,
}

struct Proxy {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    im: SocketAddr,
    fault: Fault,
    open: BTreeMap<String, Open>,
    verdicts: Sender<(String, char, Option<u16>, u64)>,
}

const BRANCH: &str = "-proxy-";

impl Proxy {
    fn run_until(&mut self, stop: &AtomicBool) {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        let socket = self.socket.try_clone().unwrap();
        while !stop.load(Ordering::Relaxed) {
            if let Some((datagram, source)) = receive(&socket, &mut buffer) {
                let text = Text::read(datagram).unwrap();
                match text.status() {
                    None => self.on_request(&text, datagram, source),
                    Some(100) => (),
                    Some(status) => self.on_final(&text, status),
                }
            }
            self.on_time();
        }
    }

    fn on_request(&mut self, text: &Text<'_>, datagram: &[u8], client: SocketAddr) {
        let call_id = String::from(text.field("Call-ID").unwrap());
        if let Some(open) = self.open.get(&call_id) {
            if let Some(response) = &open.response {
                self.socket.send_to(response.as_bytes(), open.client).unwrap();
            }
            return;
        }
        let request = String::from(core::str::from_utf8(datagram).unwrap());
        let own = self.socket.local_addr().unwrap();
        let via = format!("\r\nVia: SIP/2.0/UDP {own};branch={COOKIE}{BRANCH}{call_id}\r\nVia:");
        let mut onward = request.replacen("\r\nVia:", &via, 1).replacen(
            "Max-Forwards: 70",
            "Max-Forwards: 69",
            1,
        );
        if self.fault == Fault::BodyChanged {
            onward = onward.replace("lamp", "lump");
        }
        self.socket.send_to(onward.as_bytes(), self.im).unwrap();
        if self.fault == Fault::MessageDoubled {
            let doubled = onward.replacen(BRANCH, "-again-", 1);
            self.socket.send_to(doubled.as_bytes(), self.im).unwrap();
        }
        let now = self.clock.now_ns();
        let interval_ns = self.run.timers.t1_ms * 1_000_000;
        let open = Open {
            request,
            onward,
            client,
            arrived_ns: now,
            next_ns: now + interval_ns,
            interval_ns,
            decided: false,
            response: None,
        };
        self.open.insert(call_id, open);
    }

    fn on_final(&mut self, text: &Text<'_>, status: u16) {
        let call_id = String::from(text.field("Call-ID").unwrap());
        let top = text.vias().next().unwrap();
        let own = sip::parameter(top, "branch").unwrap().contains(BRANCH);
        let open = self.open.get_mut(&call_id).unwrap();
        if open.decided || !own {
            return;
        }
        open.decided = true;
        let request = open.request.clone();
        let client = open.client;
        let passed = match status {
            408 => None,
            503 if self.fault != Fault::OverloadPassed => Some(500),
            480 if self.fault == Fault::ReportLost => None,
            _ => Some(status),
        };
        if let Some(status) = passed {
            let mut response = String::new();
            sip::write_response(&Text::read(request.as_bytes()).unwrap(), status, &mut response);
            let twice = self.fault == Fault::ReportDoubled && status == 404;
            for _ in 0..1 + usize::from(twice) {
                self.socket.send_to(response.as_bytes(), client).unwrap();
            }
            self.open.get_mut(&call_id).unwrap().response = Some(response);
        }
        let verdict = match status {
            202 if self.fault == Fault::AcceptedIsDelivered => 'D',
            603 if self.fault == Fault::DeclineIsTemporary => 'T',
            202 => 'A',
            200 => 'D',
            408 | 504 => 'U',
            302 | 480 | 486 | 500..=599 => 'T',
            _ => 'P',
        };
        if status == 486 && self.fault == Fault::VerdictLost {
            return;
        }
        let twice = self.fault == Fault::VerdictDoubled && status == 403;
        for _ in 0..1 + usize::from(twice) {
            self.tell(&call_id, verdict, passed);
        }
    }

    fn on_time(&mut self) {
        let now = self.clock.now_ns();
        let deadline_ns = self.run.timers.deadline_ms * 1_000_000;
        let mut unknown = Vec::new();
        for (call_id, open) in &mut self.open {
            if open.decided {
                continue;
            }
            if now >= open.arrived_ns + deadline_ns {
                open.decided = true;
                unknown.push(call_id.clone());
            } else if now >= open.next_ns {
                self.socket.send_to(open.onward.as_bytes(), self.im).unwrap();
                open.interval_ns *= 2;
                open.next_ns = now + open.interval_ns;
            }
        }
        for call_id in unknown {
            let failure = self.fault == Fault::SilenceIsFailure;
            if failure {
                let open = &self.open[&call_id];
                let mut response = String::new();
                let request = Text::read(open.request.as_bytes()).unwrap();
                sip::write_response(&request, 408, &mut response);
                self.socket.send_to(response.as_bytes(), open.client).unwrap();
            }
            self.tell(&call_id, 'U', failure.then_some(408));
        }
    }

    fn tell(&self, call_id: &str, verdict: char, report: Option<u16>) {
        let decided_ns = self.clock.now_ns() - self.open[call_id].arrived_ns;
        self.verdicts.send((String::from(call_id), verdict, report, decided_ns)).unwrap();
    }
}

/// A whole run of 60 messages through a proxy with that fault.
fn run_with(fault: Fault) -> Summary {
    let run = Run { id: 9, seed: 3, rate_mhz: 200_000, messages: 60, timers: Timers::SHORT };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = [(); 3].map(|()| bind(any).unwrap());
    let [sms_socket, socket, im_socket] = sockets;
    let (server, domain) = (socket.local_addr().unwrap(), im_socket.local_addr().unwrap());
    let clock = Clock::start();
    let (verdicts, told) = mpsc::channel();
    let open = BTreeMap::new();
    let mut proxy = Proxy { run, clock, socket, im: domain, fault, open, verdicts };
    let stop = AtomicBool::new(false);
    let im = Im::start(run, clock, im_socket).unwrap();
    let sms = Sms::start(run, clock, sms_socket, server, domain).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| proxy.run_until(&stop));
        until(|| sms.is_done());
        stop.store(true, Ordering::Relaxed);
    });
    drop(proxy);
    let mut ledger = Ledger::new(run);
    for (call_id, verdict, report, decided_ns) in told {
        ledger.note(call_id.as_bytes(), verdict, report, decided_ns);
    }
    let (submissions, truths) = (sms.finish().unwrap(), im.finish().unwrap());
    let counters = Total::of([]);
    Records {
        run,
        submissions: &submissions,
        truths: &truths,
        ledger: &ledger,
        counters: &counters,
        strays: 0,
    }
    .sum_up()
}

/// How many messages of the run have that outcome.
fn of(summary: &Summary, outcome: Outcome) -> u64 {
    summary.rows.iter().find(|row| row.outcome == outcome).unwrap().messages
}

#[test]
fn a_faultless_proxy_is_judged_clean() {
    let summary = run_with(Fault::None);
    assert!(summary.is_clean(), "{:#?}", summary.faults);
    assert_eq!((summary.messages, summary.verdicts), (60, 60));
    assert_eq!(summary.reports + summary.silent, 60);
    assert_eq!(summary.rows.len(), Outcome::ALL.len());
}

#[test]
fn each_planted_fault_is_seen() {
    let faults = [
        (Fault::ReportLost, Outcome::Unavailable),
        (Fault::VerdictLost, Outcome::Busy),
        (Fault::ReportDoubled, Outcome::NotFound),
        (Fault::VerdictDoubled, Outcome::Forbidden),
        (Fault::AcceptedIsDelivered, Outcome::Accepted),
        (Fault::SilenceIsFailure, Outcome::SilentHas),
        (Fault::DeclineIsTemporary, Outcome::Declined),
        (Fault::OverloadPassed, Outcome::Overloaded),
        (Fault::BodyChanged, Outcome::Ok),
        (Fault::MessageDoubled, Outcome::Moved),
    ];
    thread::scope(|scope| {
        for (fault, outcome) in faults {
            scope.spawn(move || {
                let summary = run_with(fault);
                assert!(!summary.is_clean(), "{fault:?}");
                let count = of(&summary, outcome);
                let seen = match fault {
                    Fault::None => 0,
                    Fault::ReportLost | Fault::VerdictLost => summary.lost,
                    Fault::ReportDoubled | Fault::VerdictDoubled | Fault::MessageDoubled => {
                        summary.duplicated
                    }
                    Fault::AcceptedIsDelivered | Fault::BodyChanged => summary.is_false,
                    Fault::SilenceIsFailure => summary.is_false,
                    Fault::DeclineIsTemporary | Fault::OverloadPassed => summary.wrong,
                };
                assert!(seen >= count, "{fault:?}: {seen} of {count}: {:#?}", summary.faults);
            });
        }
    });
}

//! `roger demo`: an SMS side, the engine and an IM side on loopback, and what came of it.
//!
//! Nothing is installed, nothing is written, no port is known beforehand. The timers are a tenth
//! of RFC 3261's, so that even silence has come to its end when the table appears.

mod configuration;
mod screen;
mod trunk;

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use crossbeam::queue::ArrayQueue;

use crate::cli::demo::configuration::{TRUNK_SMS, config_text};
use crate::cli::demo::screen::Progress;
use crate::cli::demo::trunk::{Places, Share, Trunk};
use crate::cli::{Exit, Terminal, finish, tell};

pub use self::screen::Screen;
use crate::config::Config;
use crate::delivery::{Account, Answer, Form, Report, RpResult};
use crate::load::im::Im;
use crate::load::judge::Ledger;
use crate::load::schedule::{Clock, Run, Timers};
use crate::load::short::judge::Claim;
use crate::load::short::plan::{self, Domains};
use crate::load::short::sc::Sc;
use crate::load::short::session::Phones;
use crate::load::short::summary::ShortRecords;
use crate::load::short::user::{Proofs, Users};
use crate::load::sms::Sms;
use crate::load::summary::{Records, Summary};
use crate::load::table::{Paint, grouped};
use crate::load::trunk::TrunkRecords;
use crate::load::{bind, short};
use crate::metrics::{Counter, Total};
use crate::oam::Service;

/// How many messages one run may have: the records of all three sides take some 200 octets each.
const MESSAGES_MAX: u64 = 10_000_000;

/// How often accounts are taken from their ring.
const TURN_NS: u64 = 2_000_000;

/// How long after timer F of the last message its account may come.
const GRACE_NS: u64 = 2_000_000_000;

/// How long we listen for what should not come any more.
const LINGER_NS: u64 = 100_000_000;

/// What `roger demo` takes.
#[derive(Args, Clone, Copy, Debug)]
pub struct Arguments {
    /// Messages per second, sent whether or not earlier ones are answered
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// How long messages are sent
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// How the engine moves octets
    #[arg(long, value_enum, default_value_t)]
    pub driver: Driver,
    /// Decides which outcome each message gets
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the result for programs
    #[arg(long)]
    pub json: bool,
}

/// How the engine moves octets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Driver {
    /// `io_uring`, or `recvmmsg` where that is refused
    #[default]
    Auto,
    /// `io_uring` or nothing
    #[value(name = "io_uring")]
    Uring,
    /// `recvmmsg` and `sendmmsg`
    Mmsg,
}

impl Driver {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "io_uring",
            Self::Mmsg => "mmsg",
        }
    }
}

/// Runs the demo and shows it.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let messages = u64::from(arguments.rate) * u64::from(arguments.seconds);
    if messages > MESSAGES_MAX {
        tell(&format!(
            "roger: {} messages are too many to remember, {} are not",
            grouped(messages),
            grouped(MESSAGES_MAX)
        ));
        return Exit::Usage;
    }
    let mut stream = io::stderr().lock();
    let mut screen = Screen::new(&mut stream, terminal);
    match run(arguments, &mut screen) {
        Ok(summary) => {
            drop(stream);
            finish(show(&summary, arguments.json, terminal), exit(&summary))
        }
        Err(error) => {
            drop(stream);
            tell(&format!("roger: {error}"));
            Exit::Os
        }
    }
}

/// What the exit code says about a run.
pub const fn exit(summary: &Summary) -> Exit {
    if summary.is_clean() { Exit::Ok } else { Exit::Failed }
}

fn show(summary: &Summary, json: bool, terminal: Terminal) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut output, summary)?;
        return writeln!(output);
    }
    let paint = if terminal.output { Paint::Colours } else { Paint::Plain };
    write!(output, "{}\n{}", summary.table(paint), summary.totals(paint))
}

/// Runs the demo.
///
/// # Errors
///
/// When the engine does not start, or the system refuses sockets or threads.
pub fn run(arguments: &Arguments, screen: &mut Screen<'_>) -> io::Result<Summary> {
    let sockets = Sockets::bind()?;
    let ends = sockets.addresses(Places::find()?)?;
    let text = config_text(arguments, &ends);
    let config = Config::parse(&text, "demo").map_err(|diagnoses| {
        let lines: Vec<String> = diagnoses.iter().map(ToString::to_string).collect();
        io::Error::other(lines.join("\n"))
    })?;
    let service =
        Service::start(&config, true).map_err(|error| io::Error::other(format!("{error}")))?;
    let Some(server) = service.addresses().first().copied() else {
        return Err(io::Error::other("the engine listens nowhere"));
    };
    screen.head(arguments, &service, server, &ends)?;
    let Parts { run, short, share } = parts(arguments)?;
    let clock = Clock::start();
    let proofs = Proofs::new(short.messages);
    let im = Im::start(run, clock, sockets.im)?;
    let users = Users::start(short, clock, sockets.users, proofs.clone())?;
    let phones = Phones::start(short, clock, (sockets.phone, sockets.relay), proofs.clone())?;
    let sms = Sms::start(run, clock, sockets.sms, server, ends.im)?;
    let sc = Sc::start(short, clock, sockets.sc, (server, ends.users), proofs)?;
    let trunk = Trunk::start(ends.trunk, server, share)?;
    let mut stage = Stage {
        trunk,
        run,
        short,
        clock,
        sms,
        sc,
        im,
        users,
        phones,
        total: service.total(),
        accounts: service.accounts(),
        ledger: Ledger::new(run),
        shorts: short::judge::Ledger::new(short),
    };
    let played = stage.play(screen);
    // The actors end before the engine does: nothing that they hear is its farewell.
    let summary = stage.sum_up();
    service.stop();
    played?;
    summary
}

/// What goes which way.
struct Parts {
    run: Run,
    short: Run,
    share: Share,
}

/// Of four messages one is a short message in RP-DATA and one goes over a connection; the others are
/// passed through in datagrams.
fn parts(arguments: &Arguments) -> io::Result<Parts> {
    let rate_mhz = u64::from(arguments.rate) * 1_000;
    let messages = u64::from(arguments.rate) * u64::from(arguments.seconds);
    let run = |rate_mhz, messages| {
        Ok::<_, io::Error>(Run {
            id: std::process::id(),
            seed: arguments.seed,
            rate_mhz,
            messages: usize::try_from(messages).map_err(io::Error::other)?,
            timers: Timers::SHORT,
        })
    };
    let share = Share {
        rate_mhz: rate_mhz / 4,
        messages: u32::try_from(messages / 4).map_err(io::Error::other)?.max(1),
        seed: arguments.seed,
        t1_ms: Timers::SHORT.t1_ms,
    };
    let short = run(rate_mhz / 4, messages / 4)?;
    let run = run(rate_mhz - rate_mhz / 4 * 2, messages - messages / 4 * 2)?;
    Ok(Parts { run, short, share })
}

/// What the actors hear and speak with.
struct Sockets {
    sms: UdpSocket,
    sc: UdpSocket,
    im: UdpSocket,
    users: UdpSocket,
    phone: UdpSocket,
    relay: UdpSocket,
}

impl Sockets {
    fn bind() -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let [sms, sc, im] = [bind(any)?, bind(any)?, bind(any)?];
        Ok(Self { sms, sc, im, users: bind(any)?, phone: bind(any)?, relay: bind(any)? })
    }

    fn addresses(&self, trunk: Places) -> io::Result<Ends> {
        let (sms, sc) = (self.sms.local_addr()?, self.sc.local_addr()?);
        let users = Domains {
            pager: self.users.local_addr()?,
            phone: self.phone.local_addr()?,
            relay: self.relay.local_addr()?,
        };
        Ok(Ends { sms, sc, im: self.im.local_addr()?, users, trunk })
    }
}

/// Where the actors are.
struct Ends {
    sms: SocketAddr,
    sc: SocketAddr,
    im: SocketAddr,
    users: Domains,
    trunk: Places,
}

/// Everything that runs at once.
struct Stage {
    trunk: Trunk,
    run: Run,
    short: Run,
    clock: Clock,
    sms: Sms,
    sc: Sc,
    im: Im,
    users: Users,
    phones: Phones,
    total: Total,
    accounts: Option<Arc<ArrayQueue<Account>>>,
    ledger: Ledger,
    shorts: short::judge::Ledger,
}

impl Stage {
    /// Takes accounts and shows progress until everything is settled.
    fn play(&mut self, screen: &mut Screen<'_>) -> io::Result<()> {
        let last_ns = self.last_ns();
        // What is repeated once has its deadline, a pause, and a timer F.
        let tail_ms = self.run.timers.deadline_ms + 2 * self.run.timers.f_ms();
        let latest_ns = last_ns + tail_ms * 1_000_000 + GRACE_NS;
        loop {
            let now = self.clock.now_ns();
            self.take_accounts();
            screen.frame(now, &self.progress(now))?;
            let are_done = self.sms.is_done() && self.sc.is_done() && self.trunk.is_over();
            let is_done = are_done && self.is_settled();
            if is_done || now > latest_ns {
                break;
            }
            self.clock.sleep_until(now + TURN_NS);
        }
        self.clock.sleep_until(self.clock.now_ns() + LINGER_NS);
        self.take_accounts();
        screen.end(&self.progress(self.clock.now_ns()))
    }

    /// Whether every message that the engine accepted has its account.
    fn is_settled(&self) -> bool {
        let accepted = self.total.read(Counter::MessagesAccepted);
        self.settled() >= accepted
    }

    /// How much there is an account of.
    fn settled(&self) -> u64 {
        let datagrams = u64::try_from(self.ledger.settled + self.shorts.settled);
        datagrams.unwrap_or(u64::MAX).saturating_add(self.trunk.settled())
    }

    /// When everything was submitted.
    fn last_ns(&self) -> u64 {
        self.run.due_ns(self.run.messages).max(self.short.due_ns(self.short.messages))
    }

    fn take_accounts(&mut self) {
        let Some(accounts) = &self.accounts else { return };
        while let Some(account) = accounts.pop() {
            let call_id = account.sms_call_id.octets();
            let verdict = account.verdict.letter();
            if account.sms_peer == TRUNK_SMS {
                *self.trunk.verdicts.entry(verdict).or_default() += 1;
                continue;
            }
            if matches!(account.form, Form::Rp { .. }) {
                self.shorts.note(call_id, claim(&account));
                continue;
            }
            let report = match account.report {
                Report::Silence | Report::Rp(..) | Report::Msrp(_) => None,
                Report::Response(status) | Report::Refused(status, _) => Some(status),
            };
            let decided_ns = account.decided.since(account.arrived);
            self.ledger.note(call_id, verdict, report, decided_ns);
        }
    }

    fn progress(&self, now_ns: u64) -> Progress {
        let (watch, shorts, trunk) = (self.sms.watch(), self.sc.watch(), self.trunk.look());
        let sent =
            watch.sent.load(Ordering::Relaxed) + shorts.sent.load(Ordering::Relaxed) + trunk.sent;
        let finished =
            shorts.finished.load(Ordering::Relaxed) + trunk.sent.saturating_sub(trunk.open);
        let answered = watch.answered.load(Ordering::Relaxed) + finished;
        let settled = answered + watch.timed_out.load(Ordering::Relaxed);
        let end_ns = self.last_ns();
        Progress {
            at: Duration::from_nanos(now_ns),
            permille: (now_ns.min(end_ns) * 1_000 / end_ns.max(1)).min(1_000),
            sent,
            answered,
            open: sent.saturating_sub(settled),
            late: watch.late.load(Ordering::Relaxed) + shorts.late.load(Ordering::Relaxed),
        }
    }

    /// Stops the actors and judges.
    fn sum_up(self) -> io::Result<Summary> {
        let strays = self.sms.watch().strays.load(Ordering::Relaxed)
            + self.im.watch().strays.load(Ordering::Relaxed)
            + self.sc.watch().strays.load(Ordering::Relaxed)
            + self.users.strays()
            + self.phones.strays();
        let (submissions, truths) = (self.sms.finish()?, self.im.finish()?);
        let (sent, mut seen) = (self.sc.finish()?, self.users.finish()?);
        for (number, in_session) in self.phones.finish()?.into_iter().enumerate() {
            if plan::case(&self.short, number).is_large() {
                seen[number] = in_session;
            }
        }
        let records = Records {
            run: self.run,
            submissions: &submissions,
            truths: &truths,
            ledger: &self.ledger,
            counters: &self.total,
            strays,
        };
        let mut summary = records.sum_up();
        let (ends, verdicts) = self.trunk.finish()?;
        TrunkRecords { ends: &ends, verdicts }.add_to(&mut summary);
        let (run, ledger) = (self.short, &self.shorts);
        ShortRecords { run, sent: &sent, seen: &seen, ledger }.add_to(&mut summary);
        Ok(summary)
    }
}

/// What an account claims about a short message.
const fn claim(account: &Account) -> Claim {
    let (acknowledged, is_taken) = match account.report {
        Report::Rp(answer, result) => {
            (Some(matches!(answer, Answer::Ack)), matches!(result, RpResult::Taken(_)))
        }
        Report::Silence | Report::Response(_) | Report::Refused(..) | Report::Msrp(_) => {
            (None, false)
        }
    };
    Claim { verdict: account.verdict.letter(), acknowledged, is_taken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::summary::tests::Case;
    use crate::load::truth::Outcome;

    #[test]
    fn the_exit_code_says_whether_all_was_right() {
        let mut case = Case::new();
        assert_eq!(exit(&case.sum_up()), Exit::Ok);
        case.retell(Outcome::Accepted, 'D');
        assert_eq!(exit(&case.sum_up()), Exit::Failed);
        assert_eq!(exit(&Summary::default()), Exit::Failed);
    }
}

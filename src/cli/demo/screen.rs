//! What the demo shows while it runs.

use core::time::Duration;
use std::io::{self, Write};
use std::net::SocketAddr;

use crate::cli::Terminal;
use crate::cli::demo::{Arguments, Ends};
use crate::load::table::{Paint, grouped};
use crate::oam::Service;

/// How often the progress line is rewritten.
const FRAME_NS: u64 = 100_000_000;

/// How often a line of progress is written where lines cannot be rewritten.
const LINE_NS: u64 = 2_000_000_000;

/// One look at a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) at: Duration,
    pub(super) permille: u64,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) open: u64,
    pub(super) late: u64,
}

/// Where progress is shown: one line that is rewritten on a terminal, else a line now and then.
pub struct Screen<'a> {
    to: &'a mut dyn Write,
    paint: Paint,
    rewrites: bool,
    next_ns: u64,
    before: (Duration, u64),
    rate: u64,
}

impl<'a> Screen<'a> {
    /// Shows progress on `to`, which is standard error.
    pub fn new(to: &'a mut dyn Write, terminal: Terminal) -> Self {
        let paint = if terminal.error { Paint::Colours } else { Paint::Plain };
        let rewrites = io::IsTerminal::is_terminal(&io::stderr());
        Self { to, paint, rewrites, next_ns: 0, before: (Duration::ZERO, 0), rate: 0 }
    }

    pub(super) fn head(
        &mut self,
        arguments: &Arguments,
        service: &Service,
        server: SocketAddr,
        ends: &Ends,
    ) -> io::Result<()> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel: Vec<&str> = release.trim().splitn(3, '.').take(2).collect();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        writeln!(
            self.to,
            "roger {}  kernel {}  {}  {cpus} cpus  {}, {} s, nothing is written\n",
            env!("CARGO_PKG_VERSION"),
            kernel.join("."),
            driver(service),
            server.ip(),
            arguments.seconds,
        )?;
        let [sms, sc, engine, im] = [ends.sms, ends.sc, server, ends.im].map(|end| end.port());
        let [pager, phone, relay] =
            [ends.users.pager, ends.users.phone, ends.users.relay].map(|end| end.port());
        let [sender, answerer] = [ends.trunk.sender, ends.trunk.answerer].map(|end| end.port());
        let said = [
            "<-- its final response is the delivery report --",
            "<-- RP-ACK or RP-ERROR --",
            "<-- the same, proved over MSRP --",
            "<== the same over one connection to each side ==",
        ];
        let [response, report, session, trunk] = said.map(|text| self.paint.dim(text));
        writeln!(
            self.to,
            "  sms :{sms:<5} --MESSAGE--> engine :{engine:<5} --MESSAGE--> im :{im}\n             {response}\n  \
             sc  :{sc:<5} --RP-DATA--> engine :{engine:<5} --MESSAGE--> im :{pager}\n             {report}\n  \
             sc  :{sc:<5} --RP-DATA--> engine :{engine:<5} --INVITE---> im :{phone} and :{relay}\n             {session}\n  \
             tcp :{sender:<5} ==MESSAGE==> engine :{engine:<5} ==MESSAGE==> im :{answerer}\n             {trunk}\n"
        )
    }

    pub(super) fn frame(&mut self, now_ns: u64, progress: &Progress) -> io::Result<()> {
        if now_ns < self.next_ns {
            return Ok(());
        }
        self.next_ns = now_ns + if self.rewrites { FRAME_NS } else { LINE_NS };
        let (at, sent) = self.before;
        let elapsed = progress.at.saturating_sub(at);
        // Half a second at least, so that the figure can be read.
        if elapsed.as_millis() >= 500 {
            let count = u128::from(progress.sent.saturating_sub(sent));
            let rate = count * 1_000_000 / elapsed.as_micros().max(1);
            self.rate = u64::try_from(rate).unwrap_or(u64::MAX);
            self.before = (progress.at, progress.sent);
        }
        let line = self.line(progress);
        if self.rewrites {
            write!(self.to, "\r  {line}\x1b[K")?;
        } else {
            writeln!(self.to, "  {line}")?;
        }
        self.to.flush()
    }

    /// A line that is rewritten must fit a narrow terminal; one that stays may say more.
    fn line(&self, progress: &Progress) -> String {
        let seconds = progress.at.as_secs();
        let clock = format!("{:02}:{:02}", seconds / 60, seconds % 60);
        let percent = progress.permille / 10;
        let pace = if progress.permille < 1_000 {
            format!("{} msg/s", grouped(self.rate))
        } else {
            String::from("last timers")
        };
        let (open, late) = (grouped(progress.open), grouped(progress.late));
        if self.rewrites {
            let bar = self.paint.good(&bar(progress.permille));
            return format!(
                "{clock} {bar} {percent:>3}%  {pace:>13}  open {open}  late sends {late}"
            );
        }
        format!(
            "{clock} {percent:>3}%  {pace:>11}  sent {}  reports {}  open {open}  late {late}",
            grouped(progress.sent),
            grouped(progress.answered),
        )
    }

    /// The last look, whenever it comes.
    pub(super) fn end(&mut self, progress: &Progress) -> io::Result<()> {
        self.next_ns = 0;
        self.frame(0, progress)?;
        writeln!(self.to, "{}", if self.rewrites { "\n" } else { "" })
    }
}

/// Which driver it is, and why not the other one.
fn driver(service: &Service) -> String {
    match service.refusal() {
        None => service.kind().to_string(),
        Some(refusal) => format!("{} (io_uring is refused: {refusal})", service.kind()),
    }
}

/// Twenty cells, the last of them in eighths.
fn bar(permille: u64) -> String {
    const CELLS: usize = 20;
    const PARTS: [&str; 9] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
    let eighths = usize::try_from(permille.min(1_000)).unwrap_or(0) * CELLS * 8 / 1_000;
    let mut text = "█".repeat(eighths / 8);
    text.push_str(PARTS[eighths % 8]);
    let filled = text.chars().count();
    text.push_str(&" ".repeat(CELLS - filled));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_keeps_its_width() {
        for permille in 0..=1_100 {
            assert_eq!(bar(permille).chars().count(), 20);
        }
        assert_eq!(bar(0).trim(), "");
        assert!(bar(500).starts_with("██████████ "));
        assert_eq!(bar(1_000), "█".repeat(20));
    }

    #[test]
    fn without_a_terminal_progress_is_a_line_now_and_then() {
        let mut written = Vec::new();
        let terminal = Terminal { output: false, error: false };
        let mut screen = Screen::new(&mut written, terminal);
        screen.rewrites = false;
        for second in 0..5 {
            let progress = Progress {
                at: Duration::from_secs(second),
                permille: second * 250,
                sent: second * 5_000,
                answered: 0,
                open: 7,
                late: 0,
            };
            screen.frame(second * 1_000_000_000, &progress).unwrap();
            if second == 4 {
                screen.end(&Progress { open: 0, ..progress }).unwrap();
            }
        }
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("open 0"), "{text}");
        assert!(text.contains("5,000 msg/s"), "{text}");
        assert!(text.contains("last timers"), "{text}");
        assert!(!text.contains(['\r', '\x1b']), "{text}");
    }
}

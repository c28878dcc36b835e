//! What is shown of a run while it goes on.

use core::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::cli::Terminal;
use crate::load::generator::interval::Interval;
use crate::load::generator::page::fine;
use crate::load::generator::plan::Plan;
use crate::load::generator::stage::Look;
use crate::load::table::{Paint, grouped};

/// How often the progress line is rewritten, in nanoseconds.
const FRAME_NS: u64 = 100_000_000;

/// How often a line of progress is written where lines cannot be rewritten.
const LINE_NS: u64 = 2_000_000_000;

/// Cells of the bar.
const CELLS: u64 = 15;

/// One line that is rewritten on a terminal, else a line now and then.
#[derive(Debug)]
pub(super) struct Screen {
    paint: Paint,
    rewrites: bool,
    next_ns: u64,
    warmup_ns: u64,
    whole_ns: u64,
    /// The latest latencies: median and 99 of 100.
    latest: Option<(u64, u64)>,
    /// Messages that left in the latest interval, and how long that was.
    pace: (u64, u64),
    is_quiet: bool,
}

impl Screen {
    pub(super) fn new(plan: &Plan, whole_ns: u64, terminal: Terminal, is_quiet: bool) -> Self {
        Self {
            paint: if terminal.error { Paint::Colours } else { Paint::Plain },
            rewrites: io::stderr().is_terminal(),
            next_ns: 0,
            warmup_ns: plan.pace.due_ns(plan.warmup),
            whole_ns,
            latest: None,
            pace: (0, 0),
            is_quiet,
        }
    }

    pub(super) fn note(&mut self, interval: &Interval) {
        let latencies = &interval.intended;
        if !latencies.is_empty() {
            self.latest =
                Some((latencies.value_at_quantile(0.5), latencies.value_at_quantile(0.99)));
        }
        self.pace = (interval.sent, interval.to_ns.saturating_sub(interval.from_ns));
    }

    /// Shows where the run is, if it is time for that.
    pub(super) fn frame(&mut self, look: &Look) {
        if self.is_quiet || look.at_ns < self.next_ns {
            return;
        }
        self.next_ns = look.at_ns + if self.rewrites { FRAME_NS } else { LINE_NS };
        let line = self.line(look);
        let mut error = io::stderr().lock();
        // There is nobody left to tell that nobody can be told.
        let _ =
            if self.rewrites { write!(error, "\r{line}\x1b[K") } else { writeln!(error, "{line}") };
        let _ = error.flush();
    }

    /// Ends the line that is rewritten.
    pub(super) fn end(&self) {
        if self.rewrites && !self.is_quiet {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    fn line(&self, look: &Look) -> String {
        let mut line = String::new();
        let done_ns = look.at_ns.min(self.whole_ns);
        let phase = match look.at_ns {
            at if at < self.warmup_ns => "warm-up",
            at if at < self.whole_ns => "measuring",
            _ => "last answers",
        };
        let filled = (CELLS * done_ns).checked_div(self.whole_ns).unwrap_or(CELLS);
        let bar: String = (0..CELLS).map(|cell| if cell < filled { '█' } else { ' ' }).collect();
        let _ = write!(
            line,
            "{phase:<12} {} {}/{}",
            self.paint.good(&bar),
            clock(done_ns),
            clock(self.whole_ns)
        );
        let (sent, ns) = self.pace;
        if let Some(rate) = (u128::from(sent) * 1_000_000_000).checked_div(u128::from(ns)) {
            let _ = write!(line, "  {}/s", grouped(u64::try_from(rate).unwrap_or(u64::MAX)));
        }
        let _ = write!(line, "  sent {}  open {}", grouped(look.sent), grouped(look.open));
        if let Some((p50, p99)) = self.latest {
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let [p50, p99] = [p50, p99].map(|ns| fine(ns as f64));
            let _ = write!(line, "  p50 {p50}  p99 {p99}");
        }
        let _ = write!(line, "  failed {}", grouped(look.failed));
        line
    }
}

fn clock(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let mut text = String::new();
    let _ = write!(text, "{:02}:{:02}", seconds / 60, seconds % 60);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_where_the_run_is() {
        let mut screen = Screen {
            paint: Paint::Plain,
            rewrites: false,
            next_ns: 0,
            warmup_ns: 2_000_000_000,
            whole_ns: 10_000_000_000,
            latest: None,
            pace: (0, 0),
            is_quiet: false,
        };
        let look = |at_ns| Look { at_ns, sent: 1_234, open: 5, ..Look::default() };
        assert!(screen.line(&look(1)).starts_with("warm-up"));
        let mut interval = Interval::new().unwrap();
        (interval.to_ns, interval.sent) = (500_000_000, 2_000);
        interval.intended.record(41_000).unwrap();
        screen.note(&interval);
        let line = screen.line(&look(6_000_000_000));
        for part in ["measuring", "00:06/00:10", "4,000/s", "sent 1,234  open 5", "p50 41.0us"] {
            assert!(line.contains(part), "{line}");
        }
        assert_eq!(line.matches('█').count(), 9);
        assert!(screen.line(&look(11_000_000_000)).contains("last answers"));
    }
}

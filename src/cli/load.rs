//! `roger load run`: messages at a rate that never waits, to any SIP system, and what came of them.
//!
//! Results go to standard output, the progress to standard error. The exit code is 0 when nothing
//! failed, 1 when a message or a threshold did, 99 when there was no message at all, 130 when the run
//! was interrupted.

mod arguments;
mod directory;
mod screen;
mod sessions;
mod units;

use core::time::Duration;
use std::fs;
use std::io::{self, Write};
use std::thread;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::load::arguments::RunArguments;
use crate::cli::load::directory::{Directory, EndMeta, Meta};
use crate::cli::load::screen::Screen;
use crate::cli::{Exit, Terminal, finish, plain, tell};
use crate::load::generator::interval::{Interval, Round};
use crate::load::generator::stage::{Records, Stage, Stop};
use crate::load::generator::summary::Summary;
use crate::load::table::{Paint, grouped};

/// How often the run is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// What `roger load` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send messages at a rate, answer them, or both, and measure
    Run(Box<RunArguments>),
}

/// Why it ended before it began.
struct Failure(Exit, String);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(Exit::Os, plain(&error))
    }
}

/// Does what the command line says.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let Verb::Run(arguments) = &arguments.verb;
    run(arguments, terminal).unwrap_or_else(|Failure(exit, message)| {
        tell(&format!("roger: {message}"));
        exit
    })
}

fn run(arguments: &RunArguments, terminal: Terminal) -> Result<Exit, Failure> {
    let (plan, whole_ns) = arguments.plan().map_err(|error| Failure(Exit::Usage, error))?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    #[expect(clippy::disallowed_methods, reason = "the date of the results")]
    let started = SystemTime::now();
    #[expect(clippy::cast_precision_loss, reason = "a rate is below 2^53")]
    let rate = plan.pace.rate_mhz as f64 / 1_000.0;
    let mut directory = match &arguments.out {
        Some(path) => Some(Directory::open(path, rate, started).map_err(|error| {
            let message = format!("cannot write results to {}: {}", path.display(), plain(&error));
            Failure(Exit::CannotCreate, message)
        })?),
        None => None,
    };
    let mut stage = Stage::set(plan).map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        Failure(if taken { Exit::Unavailable } else { Exit::Os }, plain(&error))
    })?;
    introduce(&stage, arguments);
    if let Some(directory) = &directory {
        write_meta(directory, &stage, started).map_err(cannot_write)?;
    }
    let mut screen = Screen::new(stage.plan(), whole_ns, terminal, arguments.quiet);
    let mut total = Interval::new().map_err(|error| Failure(Exit::Os, error.to_string()))?;
    stage.start();
    let mut watch = Watch { directory: directory.as_mut(), total: &mut total, error: None };
    let stop = attend(&stage, &mut signals, (whole_ns, arguments), &mut screen, &mut watch);
    screen.end();
    // What the sender handed over last is still on its way round.
    let round = stage.round();
    let records = stage.finish()?;
    watch.take(&round, &mut screen);
    if let Some(told) = &records.sender {
        watch.add(&told.interval);
    }
    watch.error.take().map_or(Ok(()), |error| Err(cannot_write(error)))?;
    let summary = Summary::of(&records, &total, &arguments.fail_if, stop != Stop::No);
    if let Some(directory) = &directory {
        directory.write_result(&summary).map_err(cannot_write)?;
    }
    let exit = exit(&summary, &records, stop);
    Ok(finish(show(&summary, arguments, terminal), exit))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn cannot_write(error: io::Error) -> Failure {
    Failure(Exit::CannotCreate, format!("results are lost: {}", plain(&error)))
}

/// Who takes the intervals.
struct Watch<'a> {
    directory: Option<&'a mut Directory>,
    total: &'a mut Interval,
    error: Option<io::Error>,
}

impl Watch<'_> {
    fn take(&mut self, round: &Round, screen: &mut Screen) {
        round.take(|interval| {
            screen.note(interval);
            self.add(interval);
        });
    }

    fn add(&mut self, interval: &Interval) {
        self.total.add(interval);
        if let Some(directory) = &mut self.directory
            && let Err(error) = directory.add(interval)
        {
            self.error.get_or_insert(error);
        }
    }
}

/// Watches until the run is over; says how it was ended.
#[expect(clippy::disallowed_methods, reason = "whoever watches has time")]
fn attend(
    stage: &Stage,
    signals: &mut Signals,
    (whole_ns, arguments): (u64, &RunArguments),
    screen: &mut Screen,
    watch: &mut Watch<'_>,
) -> Stop {
    let mut stop = Stop::No;
    let round = stage.round();
    let answers_only = stage.sender().is_none();
    while !stage.is_over() {
        for _ in signals.pending() {
            // The first signal lets what is open end, the second does not.
            stop = if stop == Stop::No && !answers_only { Stop::Soft } else { Stop::Now };
            stage.stop(stop);
        }
        let look = stage.look();
        if answers_only && (stop != Stop::No || (arguments.is_bounded() && look.at_ns > whole_ns)) {
            break;
        }
        watch.take(&round, screen);
        screen.frame(&look);
        thread::sleep(PAUSE);
    }
    stop
}

/// Where both ends are: whoever answers may have taken a port that nobody knew before.
fn introduce(stage: &Stage, arguments: &RunArguments) {
    let plan = stage.plan();
    if let Some((address, opened)) = stage.answerer() {
        tell(&format!("answering on {address} ({})", opened.driver));
        if let Some(sessions) = &plan.sessions {
            tell(&format!("taking sessions on {}", sessions.address));
        }
    }
    if let Some((address, opened)) = stage.sender() {
        let mebibytes = u64::from(plan.messages) * 32 / (1 << 20);
        tell(&format!(
            "sending from {address} to {} ({}), {} messages, {mebibytes} MiB of records",
            plan.target,
            opened.driver,
            grouped(u64::from(plan.messages)),
        ));
        if let Some(refusal) = &opened.refusal {
            tell(&format!("io_uring is refused: {refusal}"));
        }
    }
    if plan.polling == crate::io::Polling::Spin && arguments.cpu.is_empty() {
        tell("spinning without --cpu: the ends may have to share a core");
    }
}

fn write_meta(directory: &Directory, stage: &Stage, started: SystemTime) -> io::Result<()> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let plan = stage.plan();
    let cpu_of = |end: Option<crate::load::generator::plan::End>| end.and_then(|end| end.cpu);
    let ends: Vec<EndMeta> = [
        ("send", stage.sender(), cpu_of(plan.sender)),
        ("answer", stage.answerer(), cpu_of(plan.answerer)),
    ]
    .into_iter()
    .filter_map(|(plays, end, cpu)| {
        let (address, opened) = end?;
        Some(EndMeta {
            plays,
            address: address.to_string(),
            cpu,
            driver: opened.driver.clone(),
            refusal: opened.refusal.clone(),
        })
    })
    .collect();
    let command: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    directory.write_meta(&Meta {
        command: &command,
        version: env!("CARGO_PKG_VERSION"),
        started: started
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64()),
        kernel: &read("/proc/sys/kernel/osrelease"),
        cpu_model: model.map_or("", |(_, model)| model),
        cpus: thread::available_parallelism().map_or(1, usize::from),
        clock_source: &read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        run: plan.run.to_string(),
        seed: plan.seed,
        messages: plan.messages,
        ends: &ends,
    })
}

fn exit(summary: &Summary, records: &Records, stop: Stop) -> Exit {
    let answered = records.answerer.as_ref().map_or(0, |told| {
        let in_sessions = told.sessions.as_ref().map_or(0, |told| told.counts.invites);
        told.counts.requests + in_sessions
    });
    let nothing = match &records.sender {
        Some(_) => summary.messages == 0,
        None => answered == 0,
    };
    // Whoever only answers is ended by a signal unless he was told for how long.
    if stop != Stop::No && records.sender.is_some() {
        Exit::Interrupted
    } else if nothing {
        Exit::Nothing
    } else if summary.ok {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

fn show(summary: &Summary, arguments: &RunArguments, terminal: Terminal) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut output, summary)?;
        return writeln!(output);
    }
    let paint = if terminal.output { Paint::Colours } else { Paint::Plain };
    write!(output, "{}", summary.text(paint))?;
    if let Some(path) = &arguments.out {
        let files = "result.json  latency.hlog  stat.csv  meta.json";
        writeln!(output, "saved {}: {files}", path.display())?;
    }
    Ok(())
}

/// A number that no other run has.
fn fresh(plan_seed: u64) -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    let [a, b, c, d, ..] = RandomState::new().hash_one(plan_seed).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_names_of_their_own() {
        let names: Vec<u32> = (0..4).map(|_| fresh(1)).collect();
        assert!(names.iter().any(|name| *name != names[0]));
    }
}

//! `roger run`: the daemon, in the foreground, until a signal ends it.
//!
//! The first SIGTERM or SIGINT drains, the second ends at once; [`crate::oam::drain`] says how. The
//! exit code is 0 when every message was final, 75 when some were open and ended as unknown.

use core::time::Duration;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use crossbeam::channel::{self, Receiver, RecvTimeoutError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::cli::check::{diagnoses, verdict};
use crate::cli::{ConfigArguments, Exit, Terminal, counted, plain, read_text, tell};
use crate::config::{Config, Listener, Machine, Polling, Sources, SystemNames, examine};
use crate::engine::Serving;
use crate::oam::drain::{Drain, End, Step};
use crate::oam::socket::Server;
use crate::oam::status::duration;
use crate::oam::verdicts::{self, Context, Writer, role_name};
use crate::oam::{self, Service, StartError};

/// How often a drain is looked after.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);

/// How often it is seen that the worker still runs.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the last verdict lines may take.
const WRITER_PATIENCE: Duration = Duration::from_secs(5);

/// What `roger run` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArguments,
    /// Write one line of JSON for each message: what happened to it, and from what proof; "-" for
    /// standard output
    #[arg(long, value_name = "FILE|-")]
    pub verdicts: Option<PathBuf>,
}

/// Why it ended before it began.
struct Failure(Exit, String);

/// Runs until a signal ends it.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let config = match configuration(&arguments.config, terminal) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match run(&config, arguments.verdicts.as_deref()) {
        Ok(exit) => exit,
        Err(Failure(exit, message)) => {
            tell(&format!("roger: {message}"));
            exit
        }
    }
}

fn configuration(arguments: &ConfigArguments, terminal: Terminal) -> Result<Config, Exit> {
    let text = read_text(&arguments.config).map_err(|error| {
        tell(&format!("roger: {error}"));
        Exit::Config
    })?;
    let (overrides, machine) = (arguments.overrides(), Machine::this());
    let name = arguments.config.display().to_string();
    let sources = Sources { name: &name, text: &text, overrides: &overrides, machine: &machine };
    let mut examination = examine(sources, &mut SystemNames);
    // When nobody can be told, the exit code still says it.
    let _ = diagnoses(&examination, sources, &mut io::stderr().lock(), terminal.error);
    examination.config.take().ok_or_else(|| {
        tell(&format!("roger: {name} is wrong, nothing was started"));
        verdict(&examination, false)
    })
}

fn run(config: &Config, file: Option<&Path>) -> Result<Exit, Failure> {
    let (signals, handle) = signals()
        .map_err(|error| Failure(Exit::Os, format!("cannot wait for signals: {error}")))?;
    let lines = file.map(open_verdicts).transpose()?;
    let service = Service::start(config, lines.is_some()).map_err(explained)?;
    let server = match &config.status_socket {
        Some(path) => Some(answer_status(config, &service, path)?),
        None => None,
    };
    let writer = match (lines, service.accounts()) {
        (Some(lines), Some(accounts)) => {
            let names = config.peers.iter().map(|peer| peer.name.as_str().into());
            let context = Context { peers: names.collect(), time: service.started() };
            let writer = Writer::start(accounts, context, lines, cannot_write);
            Some(writer.map_err(|error| Failure(Exit::Os, error.to_string()))?)
        }
        _ => None,
    };
    tell(&introduction(config, &service, file));

    let end = serve(config, &service, &signals);
    let open = service.stop().abandoned;
    if let Some(server) = server {
        server.finish();
    }
    handle.close();
    let exit = last_words(end, open);
    let outcome = writer.map(|writer| writer.finish(WRITER_PATIENCE)).unwrap_or_default();
    let lost = counted(usize::try_from(outcome.failed).unwrap_or(usize::MAX), "verdict line");
    if outcome.stuck {
        let message = format!("nobody reads the verdict lines; at least {lost} not written");
        Err(Failure(Exit::CannotCreate, message))
    } else if outcome.failed > 0 {
        Err(Failure(Exit::CannotCreate, format!("{lost} not written")))
    } else {
        Ok(exit)
    }
}

fn open_verdicts(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    verdicts::open(path).map_err(|error| {
        let message = format!("cannot write verdicts to {}: {}", path.display(), plain(&error));
        Failure(Exit::CannotCreate, message)
    })
}

fn cannot_write(error: &io::Error) {
    tell(&format!("roger: verdict lines are being lost: {}", plain(error)));
}

fn answer_status(config: &Config, service: &Service, path: &Path) -> Result<Server, Failure> {
    let observer = service.observer(config);
    let document = move || serde_json::to_string(&observer.snapshot()).unwrap_or_default();
    Server::start(path, document).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::AddrInUse {
            Exit::Unavailable
        } else {
            Exit::CannotCreate
        };
        let message = format!("cannot answer at {}: {}", path.display(), plain(&error));
        Failure(exit, format!("{message} ([status] socket)"))
    })
}

/// The exit code and the words for a service that did not start.
fn explained(error: StartError) -> Failure {
    let taken = |error: &io::Error| {
        let kind = error.kind();
        kind == io::ErrorKind::AddrInUse || kind == io::ErrorKind::AddrNotAvailable
    };
    let exit = match &error {
        StartError::Bind(_, error) | StartError::Ports(_, error) if taken(error) => {
            Exit::Unavailable
        }
        StartError::Bind(..)
        | StartError::Ports(..)
        | StartError::Secret(_)
        | StartError::Worker(_) => Exit::Os,
    };
    let hint = match &error {
        StartError::Bind(address, error)
            if error.kind() == io::ErrorKind::PermissionDenied && address.port() < 1_024 =>
        {
            "; ports below 1024 need CAP_NET_BIND_SERVICE"
        }
        StartError::Bind(..)
        | StartError::Ports(..)
        | StartError::Secret(_)
        | StartError::Worker(_) => "",
    };
    Failure(exit, format!("{error}{hint}"))
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    End,
    Reload,
}

fn signals() -> io::Result<(Receiver<Asked>, Handle)> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let handle = signals.handle();
    let (tell, told) = channel::unbounded();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let asked = if signal == SIGHUP { Asked::Reload } else { Asked::End };
            if tell.send(asked).is_err() {
                return;
            }
        }
    })?;
    Ok((told, handle))
}

/// Serves until a drain has come to its end.
fn serve(config: &Config, service: &Service, signals: &Receiver<Asked>) -> End {
    let timers = config.timers;
    let mut drain = Drain::new(timers.drain_announce_ms, timers.drain_timeout_ms);
    loop {
        let pause = if drain.is_draining() { DRAIN_PAUSE } else { PAUSE };
        let step = match signals.recv_timeout(pause) {
            Ok(Asked::End) => drain.on_signal(oam::now()),
            Ok(Asked::Reload) => {
                tell("roger: a configuration takes effect at the start only; nothing changes");
                Step::Stay
            }
            Err(RecvTimeoutError::Timeout) => drain.on_tick(oam::now(), service.open()),
            // No signal can come any more: nobody could end this in good order.
            Err(RecvTimeoutError::Disconnected) => return End::Now,
        };
        match step {
            Step::Stay if service.is_running() => {}
            Step::Stay => return End::WorkerEnded,
            Step::Serve(serving) => {
                service.serve(serving);
                tell(&changed(serving, timers.drain_announce_ms, service.open()));
            }
            Step::End(end) => return end,
        }
    }
}

fn changed(serving: Serving, announce_ms: u32, open: u64) -> String {
    match serving {
        Serving::Open => "roger: serving".to_owned(),
        Serving::Announcing => format!(
            "roger: draining: OPTIONS is answered 503, messages are accepted for another {}; \
             {open} open",
            duration(announce_ms.into()),
        ),
        Serving::Refusing => {
            format!("roger: draining: new messages are refused with 503; {open} open")
        }
    }
}

fn last_words(end: End, open: u64) -> Exit {
    let why = match end {
        End::Finished => "every message is final",
        End::TimedOut => "drain_timeout is over",
        End::Now => "told twice",
        End::WorkerEnded => "the worker has ended by itself, which is a bug",
    };
    match (end, open) {
        (End::WorkerEnded, _) => {
            tell(&format!("roger: ended: {why}"));
            Exit::Os
        }
        (_, 0) => {
            tell(&format!("roger: ended: {why}"));
            Exit::Ok
        }
        (_, open) => {
            tell(&format!("roger: ended: {why}; {open} open messages end without a report"));
            Exit::Temporary
        }
    }
}

/// What is running here, in a few lines.
fn introduction(config: &Config, service: &Service, verdicts: Option<&Path>) -> String {
    let mut lines = Vec::from([headline(config, service)]);
    if let Some(refusal) = service.refusal() {
        lines.push(format!("  driver    io_uring was refused: {refusal}"));
    }
    for (index, address) in service.addresses().iter().enumerate() {
        lines.push(format!("  socket    {address}{}", uses(config, service, index, *address)));
    }
    for peer in &config.peers {
        let places: Vec<String> = peer.places.iter().map(ToString::to_string).collect();
        let mut words = Vec::from([peer.side.name()]);
        words.extend(peer.side.is_im().then(|| role_name(peer.role)));
        words.extend(peer.trusted.then_some("trusted"));
        let (words, places) = (words.join(", "), places.join(", "));
        lines.push(format!("  peer      {} ({words}): {places}", peer.name));
    }
    let (capacity, memory) = (config.capacity, service.footprint());
    let timer_j = duration(64 * u64::from(config.timers.t1_ms));
    lines.push(format!(
        "  capacity  {} open messages, {} of them large; {} finished = {}/s for the {timer_j} of \
         timer J",
        capacity.open,
        capacity.open_large,
        config.finished_max(),
        capacity.rate,
    ));
    lines.push(format!(
        "  memory    {} octets per open message, {} per finished transaction, {} MiB of tables",
        memory.open_message,
        memory.finished_transaction,
        memory.total >> 20,
    ));
    if let Some(path) = &config.status_socket {
        lines.push(format!("  status    {}", path.display()));
    }
    if let Some(path) = verdicts {
        let path = if path == Path::new("-") { Path::new("standard output") } else { path };
        lines.push(format!("  verdicts  {}", path.display()));
    }
    lines.push(
        "Every accepted message ends in exactly one verdict while this process lives. There is no \
         journal\nyet: a crash forgets the messages that are open."
            .to_owned(),
    );
    lines.join("\n")
}

fn headline(config: &Config, service: &Service) -> String {
    let polling = match config.workers.polling {
        Polling::Spin => "spinning",
        Polling::Adaptive => "spinning, then waiting",
        Polling::Wait => "waiting",
    };
    let cpu = config.workers.cpu.map_or_else(|| "any CPU".to_owned(), |cpu| format!("CPU {cpu}"));
    let version = env!("CARGO_PKG_VERSION");
    format!("roger {version}  node {}  {} on {cpu}, {polling}", config.node, service.kind())
}

fn uses(
    config: &Config,
    service: &Service,
    index: usize,
    address: core::net::SocketAddr,
) -> String {
    let listener = config.listeners.get(index);
    let advertise = listener.and_then(|listener: &Listener| listener.advertise.as_ref());
    let mut uses = advertise.map_or_else(String::new, |advertise| format!(" as {advertise}"));
    if service.request_addresses().contains(&address) {
        uses.push_str(if listener.is_some() { ", own requests too" } else { ", own requests" });
    }
    uses
}

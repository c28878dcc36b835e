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
use crate::config::{
    Config, Listener, Machine, MsrpListener, MsrpTransport, OnLoss, Polling, Sources, SystemNames,
    Workers, cpu_set, examine,
};
use crate::engine::Serving;
use crate::oam::drain::{Drain, End, Step};
use crate::oam::socket::Server;
use crate::oam::status::duration;
use crate::oam::verdicts::{self, Context, Writer, msrp_role_name, role_name};
use crate::oam::{self, IdentityError, Loss, Service, StartError, Stopped};
use crate::packet::Transport;

/// How often a drain is looked after.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);

/// How often it is seen whether a worker was lost.
const PAUSE: Duration = Duration::from_millis(100);

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

/// The configuration that the command line names, or the exit that says what is wrong with it.
pub(super) fn configuration(
    arguments: &ConfigArguments,
    terminal: Terminal,
) -> Result<Config, Exit> {
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
    let Stopped { abandoned: open, losses } = service.stop();
    losses.iter().for_each(|loss| tell(&lost(loss, OnLoss::Exit)));
    let end = if losses.is_empty() { end } else { End::WorkerLost };
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
        StartError::Identity(error) => without_identity(error),
        StartError::Certificates(_) => Exit::Config,
        StartError::Bind(..)
        | StartError::Ports(..)
        | StartError::Steering(_)
        | StartError::Worker(..)
        | StartError::Carriers(_)
        | StartError::Supervisor(_)
        | StartError::Files(_)
        | StartError::FewFiles { .. } => Exit::Os,
    };
    let hint = match &error {
        StartError::Bind(address, error)
            if error.kind() == io::ErrorKind::PermissionDenied && address.port() < 1_024 =>
        {
            "; ports below 1024 need CAP_NET_BIND_SERVICE"
        }
        StartError::Bind(..)
        | StartError::Ports(..)
        | StartError::Identity(_)
        | StartError::Steering(_)
        | StartError::Worker(..)
        | StartError::Certificates(_)
        | StartError::Carriers(_)
        | StartError::Supervisor(_)
        | StartError::Files(_)
        | StartError::FewFiles { .. } => "",
    };
    Failure(exit, format!("{error}{hint}"))
}

/// What does not become right by trying again is a wrong configuration to whoever starts us again.
/// Another process may end, and room may come on a disk.
fn without_identity(error: &IdentityError) -> Exit {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error {
        IdentityError::Unwritable(_, error)
            if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) =>
        {
            Exit::Config
        }
        IdentityError::NoDirectory(_)
        | IdentityError::Unreadable(..)
        | IdentityError::Exposed(..)
        | IdentityError::Damaged(..)
        | IdentityError::Version(..)
        | IdentityError::Exhausted(_) => Exit::Config,
        IdentityError::Locked(_) => Exit::Unavailable,
        IdentityError::Unwritable(..) => Exit::CannotCreate,
        IdentityError::Random(_) => Exit::Os,
    }
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
                tell(&renewed(service.renew_certificates()));
                Step::Stay
            }
            Err(RecvTimeoutError::Timeout) => {
                drain.on_tick(oam::now(), service.open() + service.unfinished())
            }
            // No signal can come any more: nobody could end this in good order.
            Err(RecvTimeoutError::Disconnected) => return End::Now,
        };
        service.troubles().for_each(|trouble| tell(&format!("roger: {trouble}")));
        for loss in service.losses() {
            tell(&lost(&loss, config.workers.on_loss));
            if config.workers.on_loss == OnLoss::Exit || service.is_deserted() {
                return End::WorkerLost;
            }
        }
        match step {
            Step::Stay if !service.is_running() => return End::WorkerLost,
            Step::Stay => {}
            Step::Serve(serving) => {
                service.serve(serving);
                tell(&changed(serving, timers.drain_announce_ms, service.open()));
            }
            Step::End(end) => return end,
        }
    }
}

/// What SIGHUP has changed.
fn renewed(result: Option<Result<(), String>>) -> String {
    match result {
        None => "roger: a configuration takes effect at the start only; nothing changes".to_owned(),
        Some(Ok(())) => {
            "roger: the files of [tls] hold for new connections from now on; nothing else \
                         of a configuration takes effect before the next start"
                .to_owned()
        }
        Some(Err(problem)) => format!(
            "roger: certificates and keys stay as they were: {problem}; nothing else of a \
             configuration takes effect before the next start"
        ),
    }
}

/// A worker that is lost, and what that means.
fn lost(loss: &Loss, on_loss: OnLoss) -> String {
    let Loss { worker, is_broken, unknown, nameless, untold, was_speaking } = *loss;
    let how = if is_broken { "has ended by itself" } else { "is stuck" };
    let messages = counted(usize::try_from(unknown).unwrap_or(usize::MAX), "open message");
    let end = if unknown == 1 { "ends" } else { "end" };
    let mut text = format!("roger: worker {worker} {how}: {messages} {end} as unknown");
    if nameless > 0 {
        text.push_str(&format!(", {nameless} of them without a name"));
    }
    if untold > 0 {
        text.push_str(&format!("; {untold} more had their verdict, and no account of it"));
    }
    if was_speaking {
        text.push_str("; it was sending, so that the last of it may have left");
    }
    text.push_str(match on_loss {
        OnLoss::Exit => "; the process ends (on_loss = \"exit\")",
        OnLoss::Stay => "; the others go on (on_loss = \"stay\")",
    });
    text
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
        End::WorkerLost => "a worker is lost, which is a bug or a machine that stands still",
    };
    match (end, open) {
        (End::WorkerLost, _) => {
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

/// How much of Large Messages and of what passes there may be.
fn sessions(config: &Config) -> impl Iterator<Item = String> {
    let large = config.large.as_ref().map(|large| {
        format!(
            "  large     {} sessions of up to {} octets, {} connections of MSRP a worker",
            large.sessions, large.message_size, large.connections,
        )
    });
    let carry = config.large.as_ref().and_then(|large| large.carry).map(|carry| {
        format!(
            "  carry     {} messages at once from session to session, {} octets of each",
            carry.messages, carry.buffer,
        )
    });
    large.into_iter().chain(carry)
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
    lines.extend(msrp(config, service));
    for peer in &config.peers {
        let places: Vec<String> = peer.places.iter().map(ToString::to_string).collect();
        let mut words = Vec::from([peer.side.name()]);
        words.extend(peer.side.is_im().then(|| role_name(peer.role)));
        words.extend(peer.trusted.then_some("trusted"));
        let tls = if peer.msrp_transport == MsrpTransport::Tls { " over TLS" } else { "" };
        let msrp = peer.msrp.map(|role| format!("msrp {}{tls}", msrp_role_name(role)));
        words.extend(msrp.as_deref());
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
    if config.workers.count() > 1 {
        lines.push(format!("  a worker  {}", config.per_worker()));
    }
    lines.push(format!(
        "  memory    {} octets per open message, {} per finished transaction, {} MiB of tables",
        memory.open_message,
        memory.finished_transaction,
        memory.total >> 20,
    ));
    lines.push(format!(
        "  streams   {} connections a worker, {} of one source at most, {} MiB",
        capacity.connections,
        capacity.connections_per_source,
        service.connections_size() >> 20,
    ));
    lines.extend(sessions(config));
    lines.push(match &config.state_directory {
        Some(path) => format!("  state     {}", path.display()),
        None => "  state     none: a new secret at each start".to_owned(),
    });
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

/// Where MSRP is listened for: a line for each listener of the configuration.
fn msrp(config: &Config, service: &Service) -> Vec<String> {
    let listeners = config.large.iter().flat_map(|large| &large.listeners).enumerate();
    let line = |(index, listener): (usize, &MsrpListener)| {
        let all = service.msrp_addresses().iter();
        let bound: Vec<String> =
            all.filter_map(|one| one.get(index)).map(ToString::to_string).collect();
        let (Some(first), Some(last)) = (bound.first(), bound.last()) else { return None };
        let places = match (bound.len(), listener.address.port()) {
            (1, _) => first.clone(),
            (_, 0) => bound.join(", "),
            (_, _) => format!("{first} to {last}, one a worker"),
        };
        let advertise = listener.advertise.as_ref();
        let name = advertise.map_or_else(String::new, |advertise| format!(", as {advertise}"));
        let transport = if listener.is_tls { "msrps" } else { "msrp " };
        Some(format!("  {transport}     {places}{name}"))
    };
    listeners.filter_map(line).collect()
}

fn headline(config: &Config, service: &Service) -> String {
    let polling = match config.workers.polling {
        Polling::Spin => "spinning",
        Polling::Adaptive => "spinning, then waiting",
        Polling::Wait => "waiting",
    };
    let version = env!("CARGO_PKG_VERSION");
    let (node, kind, cpus) = (config.node, service.kind(), cpus(&config.workers));
    let workers = counted(config.workers.count(), "worker");
    format!("roger {version}  node {node}  {workers}, {kind} on {cpus}, {polling}")
}

/// Where the workers run.
fn cpus(workers: &Workers) -> String {
    let pinned: Option<Vec<usize>> = workers.cpus.iter().copied().collect();
    let Some(mut cpus) = pinned else { return "any CPU".to_owned() };
    cpus.sort_unstable();
    cpus.dedup();
    let plural = if cpus.len() == 1 { "" } else { "s" };
    format!("CPU{plural} {}", cpu_set(&cpus))
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
    for transport in listener.iter().flat_map(|listener| &listener.transports) {
        uses.push(' ');
        uses.push_str(transport_name(*transport));
    }
    if service.request_addresses().contains(&address) {
        uses.push_str(if listener.is_some() { ", own requests too" } else { ", own requests" });
    }
    uses
}

const fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

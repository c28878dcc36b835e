//! From text to [`Config`]: everything that can be wrong with a configuration is found here, all
//! of it at once, before a single socket is opened.
//!
//! The way of a setting: `reader` finds it (command line before environment before file before
//! default) and remembers its origin; `value` understands it; `sections` says which settings
//! there are; `relations` and `peering` say which of them contradict each other, or the machine,
//! or the names that a resolver knows. What survives is a [`Config`]: typed, resolved, immutable.
//!
//! To add a setting: read it in `sections` under its key, give it a field here, say in
//! `relations` what it must not contradict, and show it in `tools/packaging/roger.toml`.

#![expect(clippy::disallowed_macros, reason = "cold code: runs before the first packet")]

mod capacity;
mod carry;
mod choices;
mod diagnosis;
mod large;
mod meanings;
mod msrp;
mod peering;
mod places;
mod reader;
mod relations;
mod sections;
mod sockets;
mod surroundings;
mod terms;
mod tls;
mod transports;
mod value;
mod workers;

pub use self::capacity::Share;
pub use self::carry::Carry;
pub use self::diagnosis::{Blame, Diagnosis, Origin, Severity};
pub use self::large::{Large, MsrpListener};
pub use self::reader::{ENVIRONMENT_PREFIX, Effective, Override, overrides_from_environment};
pub use self::surroundings::{Machine, Names, SystemNames};

pub(crate) use self::value::{cpu_set, nearest};

use core::net::SocketAddr;
use std::path::PathBuf;

use crate::delivery::{Mapping, MsrpRole, Role};
use crate::engine::{Content, Credentials, Gateway, Profile, Recipient};
use crate::packet::Transport;
use crate::tls::Files;

/// Everything that is configured, checked and resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which node of a group this process is.
    pub node: u8,
    /// Where the secret and the boot epoch live from one start to the next; `None`: each start has
    /// a secret of its own.
    pub state_directory: Option<PathBuf>,
    /// The workers, where they run and how they wait for packets.
    pub workers: Workers,
    /// Where we listen for SIP.
    pub listeners: Vec<Listener>,
    /// Where our own requests leave from.
    pub requests: Requests,
    /// Who may talk to us.
    pub peers: Vec<Peer>,
    /// The outbound proxies, as positions in `peers`, in the order in which they are tried.
    pub outbound_proxies: Vec<usize>,
    /// How short messages become instant messages.
    pub gateway: Gateway,
    /// How Large Messages are sent; `None` where nothing listens for MSRP.
    pub large: Option<Large>,
    /// How long things take.
    pub timers: Timers,
    /// How much fits.
    pub capacity: Capacity,
    /// What a source outside the peers' list gets.
    pub strangers: Strangers,
    /// Certificates and keys; `None` where TLS is not spoken.
    pub tls: Option<Files>,
    /// The Unix socket that `roger status` asks.
    pub status_socket: Option<PathBuf>,
    /// What somebody should know although it starts.
    pub warnings: Vec<Diagnosis>,
    /// Every setting with its origin.
    pub effective: Vec<Effective>,
}

/// The workers, where they run and how they wait for packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Workers {
    /// The CPU that each of them is pinned to, in their order; `None` where the kernel chooses.
    pub cpus: Vec<Option<usize>>,
    /// How octets move.
    pub driver: Driver,
    /// What a worker does when there is nothing to do.
    pub polling: Polling,
    /// Which datagram meets which worker.
    pub steering: Steering,
    /// What the process does when a worker is stuck or dead.
    pub on_loss: OnLoss,
    /// How long a worker may do nothing at all before it is lost, in milliseconds.
    pub lost_after_ms: u32,
}

impl Workers {
    /// How many there are: at least one.
    pub const fn count(&self) -> usize {
        self.cpus.len()
    }
}

/// The CPUs of the workers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cpus {
    /// Wherever the kernel puts them.
    Any,
    /// One worker on each of these, in rising order.
    Set(Vec<usize>),
}

/// Which datagram meets which worker. The verdicts are the same with both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Steering {
    /// A program in the kernel spreads datagrams evenly by their content: behind one SBC all of
    /// them have the same addresses and ports.
    Spread,
    /// The kernel's hash of addresses and ports decides.
    Kernel,
}

/// What the process does when a worker is stuck or dead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnLoss {
    /// It ends, so that whoever started it can start it again.
    Exit,
    /// It goes on without that worker.
    Stay,
}

/// How octets move between kernel and worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Driver {
    /// `io_uring`, or `recvmmsg` where that is refused.
    Auto,
    /// `io_uring` or no start.
    Uring,
    /// `recvmmsg` and `sendmmsg`.
    Mmsg,
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Polling {
    /// Looks again at once: the shortest latency, and a CPU of its own.
    Spin,
    /// Looks again for a while, then waits.
    Adaptive,
    /// Waits.
    Wait,
}

/// One address where we listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// The address that is bound.
    pub address: SocketAddr,
    /// What our Via says instead of it.
    pub advertise: Option<HostPort>,
    /// What is listened for there, each once, in the order of [`Transport`].
    pub transports: Vec<Transport>,
}

/// A host, as a name in lower case or as an address without brackets, and a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Where our own requests leave from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requests {
    /// The first listener of the address family.
    SinglePort,
    /// A port of the worker's own out of this range.
    Ports(PortRange),
}

/// Ports from `first` to `last`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// Which side a peer is on, as the file says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerSide {
    /// Messages come from it.
    Sms,
    /// Messages go to it.
    Im,
    /// Both.
    Both,
}

impl PeerSide {
    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Im => "im",
            Self::Both => "both",
        }
    }

    /// Whether messages come from it.
    pub const fn is_sms(self) -> bool {
        matches!(self, Self::Sms | Self::Both)
    }

    /// Whether messages go to it.
    pub const fn is_im(self) -> bool {
        matches!(self, Self::Im | Self::Both)
    }
}

/// Somebody who may talk to us.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Which side it is on.
    pub side: PeerSide,
    /// How our requests to it leave, where nothing else is asked for.
    pub transport: Transport,
    /// The name in its certificate, where one is written.
    pub tls_name: Option<String>,
    /// Who originates the final responses that come from it. On a peer of the SMS side alone,
    /// which sends us none, it means nothing.
    pub role: Role,
    /// Whether its P-Asserted-Identity is believed (RFC 3325).
    pub trusted: bool,
    /// Where it is, as written, with what that resolved to.
    pub places: Vec<Place>,
    /// What its final responses mean.
    pub mapping: Mapping,
    /// From the arrival of a message from it to the verdict, in milliseconds; `None` on a peer from
    /// which none come.
    pub sync_deadline_ms: Option<u32>,
    /// Who is the recipient of a short message from it.
    pub recipient: Recipient,
    /// The Route of our reports to it, as a header field value.
    pub route: Option<String>,
    /// The number of its SC, to which messages of IM users go; `None`: it takes none.
    pub smsc: Option<String>,
    /// Who its MSRP sessions are with; `None`: it takes no Large Messages.
    pub msrp: Option<MsrpRole>,
    /// What its MSRP sessions are carried over.
    pub msrp_transport: MsrpTransport,
    /// Which service our sessions with it belong to.
    pub profile: Profile,
    /// What an instant message to it holds.
    pub content: Content,
    /// Whether a 202 from it is reported as RP-ACK where nobody asked for a status report.
    pub ack_accepted: bool,
    /// How its challenges are answered.
    pub credentials: Option<Credentials>,
}

/// What MSRP sessions are carried over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MsrpTransport {
    /// TCP: `TCP/MSRP`.
    Tcp,
    /// TLS, with certificates that SDP names: `TCP/TLS/MSRP`.
    Tls,
}

/// One address of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// As written.
    pub written: HostPort,
    /// The addresses behind it.
    pub addresses: Vec<SocketAddr>,
}

impl core::fmt::Display for Place {
    /// As written, and what that resolved to.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.written)?;
        if self.written.literal().is_none() {
            let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
            write!(f, " = {}", addresses.join(", "))?;
        }
        Ok(())
    }
}

/// How long things take, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// RFC 3261 T1.
    pub t1_ms: u32,
    /// RFC 3261 T2.
    pub t2_ms: u32,
    /// From arrival to verdict U.
    pub sync_deadline_ms: u32,
    /// How long OPTIONS says 503 before messages are refused.
    pub drain_announce_ms: u32,
    /// From the signal to the end of the process, at most.
    pub drain_timeout_ms: u32,
}

/// How much fits, in all workers together where nothing else is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacity {
    /// Messages per second that are planned for.
    pub rate: u32,
    /// Messages that may be open at once.
    pub open: u32,
    /// How many of them may be long.
    pub open_large: u32,
    /// Connections of each worker.
    pub connections: u16,
    /// How many of them may be with one address.
    pub connections_per_source: u16,
}

/// What a source outside the peers' list gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strangers {
    /// Nothing.
    Silence,
    /// 403.
    Forbid,
}

/// All that a configuration is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The name of the file, for diagnoses.
    pub name: &'a str,
    /// The text of the file.
    pub text: &'a str,
    /// Environment first, command line last: later ones win.
    pub overrides: &'a [Override],
    /// What this machine offers.
    pub machine: &'a Machine,
}

/// What became of a configuration.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The configuration, if nothing is wrong with it.
    pub config: Option<Config>,
    /// Errors and warnings in the order of the file.
    pub diagnoses: Vec<Diagnosis>,
    /// Every setting that was understood, with its origin.
    pub effective: Vec<Effective>,
}

impl Examination {
    /// How many diagnoses are this bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnoses.iter().filter(|one| one.severity == severity).count()
    }
}

impl Config {
    /// Understands `text` on this machine with its resolver, without environment and command
    /// line.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, warnings included.
    pub fn parse(text: &str, name: &str) -> Result<Self, Vec<Diagnosis>> {
        let machine = Machine { state_directory: None, ..Machine::this() };
        let sources = Sources { name, text, overrides: &[], machine: &machine };
        let examination = examine(sources, &mut SystemNames);
        examination.config.ok_or(examination.diagnoses)
    }
}

/// Finds everything that is wrong with a configuration.
pub fn examine(sources: Sources<'_>, names: &mut dyn Names) -> Examination {
    let (mut diagnoses, effective, config) = sections::read(sources, names);
    for one in &mut diagnoses {
        one.locate(sources.name, sources.text);
    }
    // What is in the file in its order, what is not in it first.
    diagnoses.sort_by_key(|one| (one.line, one.column));
    let wrong = diagnoses.iter().any(|one| one.severity == Severity::Error);
    let config = config.filter(|_| !wrong).map(|config| Config {
        warnings: diagnoses.clone(),
        effective: effective.clone(),
        ..config
    });
    Examination { config, diagnoses, effective }
}

/// The status socket that a configuration names, whatever else may be wrong with it: asking a
/// running process must not depend on a resolver, or on an edit that is half done.
pub fn status_socket(sources: Sources<'_>) -> Option<PathBuf> {
    struct Nobody;
    impl Names for Nobody {
        fn resolve(&mut self, _: &str, _: u16) -> Result<Vec<SocketAddr>, String> {
            Ok(Vec::new())
        }
    }
    let effective = examine(sources, &mut Nobody).effective;
    let socket = effective.iter().find(|one| one.header == "[status]" && one.key == "socket")?;
    let table: toml::Table = format!("socket = {}", socket.value).parse().ok()?;
    Some(table.get("socket")?.as_str()?.into())
}

/// The settings as a TOML document, each with its origin in a comment.
pub fn render_effective(effective: &[Effective], sources: Sources<'_>) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut section = ("", 0);
    for one in effective {
        if section != (one.header.as_str(), one.number) {
            section = (one.header.as_str(), one.number);
            lines.push((String::new(), String::new()));
            lines.push((one.header.clone(), String::new()));
        }
        let remark =
            if one.remark.is_empty() { String::new() } else { format!("; {}", one.remark) };
        let origin = origin_name(&one.origin, sources);
        lines.push((format!("{} = {}", one.key, one.value), format!("# {origin}{remark}")));
    }
    let width = lines.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (setting, comment) in lines {
        let line = format!("{setting:width$}  {comment}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// An origin in a few characters: `default`, `roger.toml:3`, the variable, the option.
pub fn origin_name(origin: &Origin, sources: Sources<'_>) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(span) => {
            let (line, _) = diagnosis::line_and_column(sources.text, span.start);
            format!("{}:{line}", sources.name)
        }
        Origin::Environment(name) => name.clone(),
        Origin::Flag(flag) => flag.clone(),
    }
}

//! Which settings there are: one function for each section.

use std::path::PathBuf;

use toml::de::DeTable;

use crate::config::choices::Listened;
use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::large::{self, DraftLarge};
use crate::config::meanings::Meanings;
use crate::config::reader::{Effective, Reader, Section, Setting};
use crate::config::relations;
use crate::config::surroundings::{Names, STATE_DIRECTORY};
use crate::config::terms::{Domain, FilePath, RouteUri, Smsc, TlsName, Username};
use crate::config::value::{Count, Millis, Name, Several};
use crate::config::workers::{self, DraftWorkers};
use crate::config::{
    Config, HostPort, Machine, MsrpTransport, PeerSide, PortRange, Sources, Strangers,
};
use crate::delivery::{MsrpRole, Preset, Role};
use crate::engine::{Content, Profile, Recipient};
use crate::limits;
use crate::packet::Transport;

/// [`limits::CONNECTIONS_MAX`] as a number that can be written.
pub(super) const CONNECTIONS_MAX: u32 = 60_000;

const _: () = assert!(CONNECTIONS_MAX == limits::CONNECTIONS_MAX as u32);

/// Everything that was read, each with its place; `None` where it was missing or not understood.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) node: Setting<Count<0, 255>>,
    pub(super) state_directory: Option<Setting<FilePath>>,
    pub(super) workers: DraftWorkers,
    /// Where SIP is listened for.
    pub(super) listeners: Vec<DraftListener>,
    /// Where MSRP is.
    pub(super) msrp: Vec<DraftListener>,
    pub(super) single_port: Setting<bool>,
    pub(super) ports: Option<Setting<PortRange>>,
    pub(super) peers: Vec<DraftPeer>,
    pub(super) outbound_proxies: Setting<Several<Name>>,
    pub(super) gateway: DraftGateway,
    pub(super) large: DraftLarge,
    pub(super) timers: DraftTimers,
    pub(super) rate: Setting<Count<1, 10_000_000>>,
    pub(super) open: Setting<Count<1, 16_000_000>>,
    pub(super) open_large: Setting<Count<0, 16_000_000>>,
    pub(super) connections: Setting<Count<1, CONNECTIONS_MAX>>,
    pub(super) per_source: Setting<Count<1, CONNECTIONS_MAX>>,
    pub(super) strangers: Setting<Strangers>,
    pub(super) tls: DraftTls,
    pub(super) status_socket: Option<Setting<PathBuf>>,
}

#[derive(Debug)]
pub(super) struct DraftListener {
    pub(super) at: Origin,
    /// Which section `[[listen]]` it is.
    pub(super) number: usize,
    pub(super) address: Option<Setting<core::net::SocketAddr>>,
    pub(super) advertise: Option<Setting<HostPort>>,
    /// Whether `advertise` was written at all, rightly or wrongly.
    pub(super) advertises: bool,
    pub(super) transports: Setting<Several<Listened>>,
}

#[derive(Debug)]
pub(super) struct DraftPeer {
    pub(super) at: Origin,
    pub(super) name: Option<Setting<Name>>,
    pub(super) side: Option<Setting<PeerSide>>,
    pub(super) role: Option<Setting<Role>>,
    pub(super) addresses: Option<Setting<Several<HostPort>>>,
    pub(super) trusted: Setting<bool>,
    pub(super) transport: Setting<Transport>,
    pub(super) tls_name: Option<Setting<TlsName>>,
    /// From here on: settings of the SMS side.
    pub(super) sync_deadline: Option<Setting<Millis>>,
    pub(super) recipient: Option<Setting<Recipient>>,
    pub(super) route: Option<Setting<RouteUri>>,
    pub(super) smsc: Option<Setting<Smsc>>,
    /// From here on: settings of the IM side.
    pub(super) msrp: Option<Setting<MsrpRole>>,
    /// Whether it was written at all, rightly or wrongly.
    pub(super) has_msrp: bool,
    pub(super) msrp_transport: Option<Setting<MsrpTransport>>,
    /// Whether it was written and not understood.
    pub(super) has_wrong_msrp_transport: bool,
    pub(super) profile: Option<Setting<Profile>>,
    pub(super) content: Option<Setting<Content>>,
    pub(super) ack_accepted: Option<Setting<bool>>,
    pub(super) preset: Option<Setting<Option<Preset>>>,
    pub(super) map: Option<Setting<Meanings>>,
    /// From here on: settings of both.
    pub(super) username: Option<Setting<Username>>,
    pub(super) password_file: Option<Setting<FilePath>>,
    /// Whether they were written at all, rightly or wrongly.
    pub(super) has_username: bool,
    pub(super) has_password_file: bool,
}

/// Files, all in PEM.
#[derive(Debug)]
pub(super) struct DraftTls {
    pub(super) at: Origin,
    pub(super) certificate: Option<Setting<FilePath>>,
    pub(super) key: Option<Setting<FilePath>>,
    pub(super) ca: Option<Setting<FilePath>>,
    pub(super) client_ca: Option<Setting<FilePath>>,
    /// Whether anything was written that was not understood.
    pub(super) sound: bool,
}

#[derive(Debug)]
pub(super) struct DraftGateway {
    pub(super) domain: Setting<Domain>,
    pub(super) uri_pending: Setting<Count<1, 1_000>>,
    pub(super) uri_wait: Setting<Millis>,
    pub(super) dedup: Setting<bool>,
    pub(super) permanent_window: Setting<Millis>,
    pub(super) pager_max: Setting<Count<500, 8_192>>,
}

#[derive(Debug)]
pub(super) struct DraftTimers {
    pub(super) t1: Setting<Millis>,
    pub(super) t2: Setting<Millis>,
    pub(super) sync_deadline: Setting<Millis>,
    pub(super) drain_announce: Setting<Millis>,
    pub(super) drain_timeout: Setting<Millis>,
}

impl Draft {
    /// The shortest deadline that a message may have.
    pub(super) fn shortest_deadline(&self) -> &Setting<Millis> {
        shortest_deadline(&self.peers, &self.timers)
    }
}

fn shortest_deadline<'d>(peers: &'d [DraftPeer], timers: &'d DraftTimers) -> &'d Setting<Millis> {
    let of_peers = peers.iter().filter_map(|peer| peer.sync_deadline.as_ref());
    of_peers.min_by_key(|deadline| deadline.value).unwrap_or(&timers.sync_deadline)
}

impl DraftListener {
    /// Whether it is for MSRP, with TLS or without, and for nothing else.
    fn is_for_msrp(&self) -> bool {
        let items = &self.transports.value.items;
        let is_first = |item: &Listened| items.first().is_some_and(|(first, _)| first == item);
        self.names_msrp() && items.iter().all(|(item, _)| is_first(item))
    }

    /// Whether MSRP is listened for, whatever stands beside it.
    pub(super) fn names_msrp(&self) -> bool {
        self.names(Listened::Msrp) || self.names_msrps()
    }

    /// The same of MSRP over TLS.
    pub(super) fn names_msrps(&self) -> bool {
        self.names(Listened::Msrps)
    }

    fn names(&self, listened: Listened) -> bool {
        self.transports.value.items.iter().any(|(item, _)| *item == listened)
    }
}

impl DraftPeer {
    /// What its MSRP sessions are carried over: TCP where nothing else is said.
    pub(super) fn msrp_transport(&self) -> MsrpTransport {
        self.msrp_transport.as_ref().map_or(MsrpTransport::Tcp, |transport| transport.value)
    }
}

/// Reads the whole file.
pub(super) fn read(
    sources: Sources<'_>,
    names: &mut dyn Names,
) -> (Vec<Diagnosis>, Vec<Effective>, Option<Config>) {
    let (document, errors) = DeTable::parse_recoverable(sources.text);
    if !errors.is_empty() {
        // What was recovered from broken TOML may not be what was meant: nothing else is judged.
        let errors = errors.iter().map(|error| {
            let at = error.span().map_or(Origin::Default, Origin::File);
            let mut words = error.message().lines();
            let what = words.next().unwrap_or("syntax error").to_owned();
            let label = words.next().unwrap_or("here").to_owned();
            Diagnosis::error(format!("this is not TOML: {what}"), at, label)
        });
        return (errors.collect(), Vec::new(), None);
    }
    let mut reader = Reader::new(sources.overrides);
    let draft = draft(&mut reader, document.get_ref(), sources.machine);
    reader.finish();
    let config = relations::settle(&mut reader, &draft, sources, names);
    (reader.diagnoses, reader.effective, config)
}

fn draft<'t>(reader: &mut Reader, document: &'t DeTable<'t>, machine: &Machine) -> Draft {
    let mut root = Section::root(reader, document);
    let node = root.read("node", Count(0));

    let state_directory = state_directory(&mut root, machine);
    let workers = workers::read(root.inner("workers"), machine);

    let (msrp, listeners) = listeners(&mut root);

    let mut requests = root.inner("requests");
    let ports = requests.read_optional("ports");
    let no_range = ports.is_none() && !requests.has("ports");
    let single_port = requests.read("single_port", no_range);
    requests.finish();

    // Peers take their deadline from the timers, which are shown after them.
    let shown = root.reader.effective.len();
    let timers = timers(root.inner("timers"));
    let shown_timers = root.reader.effective.split_off(shown);
    let found = root.list("peer");
    let peers: Vec<DraftPeer> = found
        .into_iter()
        .enumerate()
        .map(|(number, table)| {
            let section = Section::element(root.reader, "peer", number, table);
            peer(section, timers.sync_deadline.value)
        })
        .collect();

    let mut route = root.inner("route");
    let outbound_proxies = route.read("outbound_proxies", Several::none());
    route.finish();

    let gateway = gateway(root.inner("gateway"), &listeners);
    let deadline = shortest_deadline(&peers, &timers).value;
    let large = large::read(root.inner("large"), workers.count(), deadline, !msrp.is_empty());
    root.reader.effective.extend(shown_timers);

    let mut capacity = root.inner("capacity");
    let rate = capacity.read("rate", Count(10_000));
    let open = capacity.read("open", Count(65_536));
    let open_large = capacity.read("open_large", Count(1_024));
    let connections = capacity.read("connections", Count(1_024));
    capacity.remark("of each worker");
    let per_source = capacity.read("connections_per_source", Count(connections.value.0));
    if per_source.is_default() {
        capacity.remark("as `connections`");
    }
    capacity.finish();

    let tls = tls(root.inner("tls"));

    let strangers = strangers(root.inner("strangers"));

    let mut status = root.inner("status");
    let status_socket = status.read_optional("socket");
    status.finish();

    root.finish();
    Draft {
        node,
        state_directory,
        workers,
        listeners,
        msrp,
        single_port,
        ports,
        peers,
        outbound_proxies,
        gateway,
        large,
        timers,
        rate,
        open,
        open_large,
        connections,
        per_source,
        strangers,
        tls,
        status_socket,
    }
}

/// What is written, or what whoever started this process lets it have.
fn state_directory(root: &mut Section<'_, '_>, machine: &Machine) -> Option<Setting<FilePath>> {
    let offered = machine.state_directory.clone().map(|path| Setting {
        value: FilePath(path),
        origin: Origin::Environment(STATE_DIRECTORY.to_owned()),
        sound: true,
    });
    root.read_optional_or("state_directory", offered)
}

fn strangers(mut section: Section<'_, '_>) -> Setting<Strangers> {
    let strangers = section.read("answer", Strangers::Silence);
    section.finish();
    strangers
}

fn tls(mut section: Section<'_, '_>) -> DraftTls {
    let at = section.origin();
    let mut sound = true;
    let mut read = |key| {
        let file = section.read_optional(key);
        sound &= file.is_some() || !section.has(key);
        file
    };
    let (certificate, key) = (read("certificate"), read("key"));
    let (ca, client_ca) = (read("ca"), read("client_ca"));
    section.finish();
    DraftTls { at, certificate, key, ca, client_ca, sound }
}

/// Those for MSRP, and all others.
fn listeners(root: &mut Section<'_, '_>) -> (Vec<DraftListener>, Vec<DraftListener>) {
    let found = root.list("listen").into_iter().enumerate().map(|(number, table)| {
        listener(Section::element(root.reader, "listen", number, table), number)
    });
    found.partition(DraftListener::is_for_msrp)
}

fn listener(mut section: Section<'_, '_>, number: usize) -> DraftListener {
    let at = section.origin();
    let address = section.require(
        "address",
        "there is no default address: everybody who can reach it can send to it",
        "address = \"192.0.2.1:5060\", or \"0.0.0.0:5060\" with `advertise`",
    );
    let advertises = section.has("advertise");
    let advertise = section.read_optional("advertise");
    // RFC 3261 section 18.2.1: who listens for one of them listens for the other at the same port.
    let both = Several::of([Transport::Udp, Transport::Tcp].map(Listened::Sip));
    let transports = section.read("transports", both);
    section.finish();
    DraftListener { at, number, address, advertise, advertises, transports }
}

fn peer(mut section: Section<'_, '_>, sync_deadline: Millis) -> DraftPeer {
    let at = section.origin();
    let name = section.require(
        "name",
        "status and verdicts name the peer that a message came from and went to",
        "name = \"sbc\"",
    );
    let side: Option<Setting<PeerSide>> = section.require(
        "side",
        "messages are taken from the SMS side and given to the IM side",
        "side = \"sms\", \"im\" or \"both\"",
    );
    // An SMS-side peer sends us no final response, so that nobody asks who originates it.
    let is_im = side.as_ref().is_none_or(|side| side.value.is_im());
    let role = if is_im {
        section.require(
            "role",
            "a 200 of a `proxy` or an `endpoint` is the recipient's own and proves delivery,\n\
             one of an `im_server` or a `gateway` proves acceptance only",
            "role = \"proxy\", \"endpoint\", \"im_server\" or \"gateway\"",
        )
    } else {
        section.read_optional("role")
    };
    let addresses = section.require(
        "address",
        "only what comes from a peer's address is taken",
        "address = \"192.0.2.7:5060\", \"sbc.example.net:5060\" or a list of such",
    );
    let transport = section.read("transport", Transport::Udp);
    let tls_name = section.read_optional("tls_name");
    let trusted = section.read("trusted", false);
    let mut draft = DraftPeer {
        at,
        name,
        side,
        role,
        addresses,
        trusted,
        transport,
        tls_name,
        sync_deadline: None,
        recipient: None,
        route: None,
        smsc: None,
        msrp: None,
        has_msrp: section.has("msrp"),
        msrp_transport: None,
        has_wrong_msrp_transport: false,
        profile: None,
        content: None,
        ack_accepted: None,
        preset: None,
        map: None,
        has_username: section.has("username"),
        has_password_file: section.has("password_file"),
        username: section.read_optional("username"),
        password_file: section.read_optional("password_file"),
    };
    terms(&mut section, &mut draft, sync_deadline);
    section.finish();
    draft
}

/// The settings that each side has of its own. A peer whose side is not known may have them all.
fn terms(section: &mut Section<'_, '_>, draft: &mut DraftPeer, sync_deadline: Millis) {
    let is = |of: fn(PeerSide) -> bool| draft.side.as_ref().is_none_or(|side| of(side.value));
    let (is_sms, is_im) = (is(PeerSide::is_sms), is(PeerSide::is_im));
    if is_sms {
        let deadline = section.read("sync_deadline", sync_deadline);
        if deadline.is_default() {
            section.remark("as in [timers]");
        }
        draft.sync_deadline = Some(deadline);
        draft.recipient = Some(section.read("recipient", Recipient::CalledParty));
        draft.route = section.read_optional("route");
        draft.smsc = section.read_optional("smsc");
    } else {
        let what = "is about short messages that come from a peer of the SMS side";
        section.misplaced(&["sync_deadline", "recipient", "route", "smsc"], what);
    }
    if is_im {
        draft.msrp = section.read_optional("msrp");
        draft.msrp_transport = section.read_optional("msrp_transport");
        draft.has_wrong_msrp_transport =
            draft.msrp_transport.is_none() && section.has("msrp_transport");
        let profile = section.read("im.profile", Profile::SimpleIm);
        let is_cpm = profile.value == Profile::Cpm;
        let content = if is_cpm { Content::Cpim } else { Content::Text };
        let content = section.read("content", content);
        if is_cpm && content.is_default() {
            section.remark("as CPM has it");
        }
        (draft.profile, draft.content) = (Some(profile), Some(content));
        draft.ack_accepted = Some(section.read("ack_accepted", false));
        draft.preset = Some(section.read("preset", None));
        draft.map = section.read_optional("map");
    } else {
        let what = "is about messages that go to a peer of the IM side";
        let keys =
            ["msrp", "msrp_transport", "im.profile", "content", "ack_accepted", "preset", "map"];
        section.misplaced(&keys, what);
    }
}

/// RFC 3428 section 8 bounds a MESSAGE to 1300 octets where it arrives; proxies add to it.
const PAGER_MAX: u32 = 1_300 - 150;

fn gateway(mut section: Section<'_, '_>, listeners: &[DraftListener]) -> DraftGateway {
    let host = listeners.first().and_then(|first| match (&first.advertise, &first.address) {
        (Some(advertise), _) => Some(advertise.value.host.clone()),
        (None, Some(address)) => Some(address.value.ip().to_string()),
        (None, None) => None,
    });
    let domain = Domain::of_host(host.as_deref().unwrap_or("localhost"));
    let gateway = DraftGateway {
        domain: section.read("domain", domain),
        uri_pending: section.read("uri_pending", Count(1)),
        uri_wait: section.read("uri_wait", Millis(2_000)),
        dedup: section.read("dedup", true),
        permanent_window: section.read("permanent_window", Millis(3_600_000)),
        pager_max: section.read("pager_max", Count(PAGER_MAX)),
    };
    section.finish();
    gateway
}

fn timers(mut section: Section<'_, '_>) -> DraftTimers {
    /// Beyond that 64*T1 would be more than an hour.
    const T1_MS_MAX: u32 = 60_000;
    let mut t1 = section.read("t1", Millis(500));
    if !(1..=T1_MS_MAX).contains(&t1.value.0) {
        let message = "T1 must lie between 1ms and 1min";
        section.reader.report(
            Diagnosis::error(message, t1.origin.clone(), "out of range")
                .because("it is the estimate of a round trip (RFC 3261 section 17.1.1.1)"),
        );
        t1 = Setting { value: Millis(500), sound: false, ..t1 };
    }
    let t2 = section.read("t2", Millis(4_000));
    let sync_deadline = section.read("sync_deadline", Millis(28_000));
    let drain_announce = section.read("drain_announce", Millis(5_000));
    let drain_timeout = section.read("drain_timeout", Millis(40_000));
    section.finish();
    DraftTimers { t1, t2, sync_deadline, drain_announce, drain_timeout }
}

//! Large Messages: how many sessions and connections, how large, how long they wait, and what peers say
//! about them.

use core::net::SocketAddr;

use crate::config::capacity::share;
use crate::config::carry::{self, Carry, DraftCarry};
use crate::config::diagnosis::Diagnosis;
use crate::config::reader::{Reader, Section, Setting};
use crate::config::relations::{either, remark};
use crate::config::sections::{CONNECTIONS_MAX, Draft, DraftListener, DraftPeer};
use crate::config::value::{Count, Millis};
use crate::config::{HostPort, MsrpTransport};
use crate::delivery::{MsrpRole, Role};
use crate::engine::{Content, Profile};
use crate::limits::{
    LARGE_INVITE_WAIT_MS, LARGE_INVITE_WAIT_MS_MIN, LARGE_MESSAGE_SIZE, LARGE_MESSAGE_SIZE_MAX,
    LARGE_MESSAGE_SIZE_MIN, LARGE_REPORT_WAIT_MS, LARGE_REPORT_WAIT_MS_MAX,
    LARGE_REPORT_WAIT_MS_MIN, LARGE_SESSION_IDLE_MS_MAX, LARGE_SESSIONS, LARGE_SESSIONS_MAX,
    MSRP_RESPONSE_MS, MSRP_RESPONSE_MS_MIN,
};

/// How Large Messages are sent (RFC 4975).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Large {
    /// Where MSRP is listened for: one address of each family at most.
    pub listeners: Vec<MsrpListener>,
    /// Sessions at once, in all workers together.
    pub sessions: u32,
    /// Octets of a message at most.
    pub message_size: u32,
    /// Connections of MSRP of each worker.
    pub connections: u16,
    /// How long a final response to INVITE is waited for, in milliseconds.
    pub invite_wait_ms: u32,
    /// How long a response to a chunk is waited for, in milliseconds.
    pub response_wait_ms: u32,
    /// How long REPORTs are waited for, in milliseconds.
    pub report_wait_ms: u32,
    /// How long a session stays for further messages of the same two, in milliseconds; 0: it does not.
    pub session_idle_ms: u32,
    /// What passes from one session to another; none where sessions do not pass.
    pub carry: Option<Carry>,
}

/// One address where we listen for MSRP, each worker at a port of its own: that of the address and its own
/// number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MsrpListener {
    /// Where the first worker listens. With port 0 each worker has any port.
    pub address: SocketAddr,
    /// What MSRP URIs of the first worker say instead of it.
    pub advertise: Option<HostPort>,
    /// Whether it has TLS.
    pub is_tls: bool,
}

impl MsrpListener {
    /// Where a worker is to listen.
    pub const fn address_of(&self, worker: u8) -> SocketAddr {
        let mut address = self.address;
        if address.port() != 0 {
            address.set_port(address.port().saturating_add(worker as u16));
        }
        address
    }

    /// Host and port in the MSRP URIs of a worker that listens at `bound` (RFC 4975 section 6): what is
    /// advertised for it, where its port is not left to chance.
    pub fn authority_of(&self, worker: u8, bound: SocketAddr) -> HostPort {
        let Some(HostPort { host, port }) = &self.advertise else {
            return HostPort { host: bound.ip().to_string(), port: bound.port() };
        };
        let port = match self.address.port() {
            0 => bound.port(),
            _ => port.saturating_add(u16::from(worker)),
        };
        HostPort { host: host.clone(), port }
    }
}

impl core::fmt::Display for MsrpListener {
    /// Where the first worker listens, and under which name, where that is another one.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{}", self.address, if self.is_tls { " over TLS" } else { "" })?;
        self.advertise.as_ref().map_or(Ok(()), |advertise| write!(f, " as {advertise}"))
    }
}

/// The section `[large]` as it was read.
#[derive(Debug)]
pub(super) struct DraftLarge {
    pub(super) sessions: Setting<Count<1, LARGE_SESSIONS_MAX>>,
    pub(super) message_size: Setting<Count<LARGE_MESSAGE_SIZE_MIN, LARGE_MESSAGE_SIZE_MAX>>,
    pub(super) connections: Setting<Count<1, CONNECTIONS_MAX>>,
    invite_wait: Setting<Millis>,
    response_wait: Setting<Millis>,
    report_wait: Setting<Millis>,
    session_idle: Setting<Millis>,
    pub(super) carry: DraftCarry,
}

/// Reads `[large]`, where so many workers share it, and messages have no more than this deadline.
pub(super) fn read(
    mut section: Section<'_, '_>,
    workers: usize,
    deadline: Millis,
    is_served: bool,
) -> DraftLarge {
    let sessions = section.read("sessions", Count(LARGE_SESSIONS));
    if !is_served {
        section.remark("takes effect where something listens for MSRP");
    }
    let message_size = section.read("message_size", Count(LARGE_MESSAGE_SIZE));
    // Each session may have a connection of its own, and none needs more.
    let as_many = share(sessions.value.0, workers).clamp(1, CONNECTIONS_MAX);
    let connections = section.read("connections", Count(as_many));
    section.remark(if connections.is_default() {
        "of each worker; as many as its sessions"
    } else {
        "of each worker"
    });
    // The message itself and its reports need the rest of the time.
    let half = (deadline.0 / 2).max(LARGE_INVITE_WAIT_MS_MIN);
    let invite_wait = section.read("invite_wait", Millis(LARGE_INVITE_WAIT_MS.min(half)));
    if invite_wait.is_default() && invite_wait.value.0 < LARGE_INVITE_WAIT_MS {
        section.remark("half of the shortest sync_deadline");
    }
    let all = sessions.value.0;
    let draft = DraftLarge {
        sessions,
        message_size,
        connections,
        invite_wait,
        response_wait: section.read("response_wait", Millis(MSRP_RESPONSE_MS)),
        report_wait: section.read("report_wait", Millis(LARGE_REPORT_WAIT_MS)),
        session_idle: section.read("session_idle", Millis(0)),
        carry: carry::read(&mut section, all),
    };
    section.finish();
    draft
}

/// Judges what is said about Large Messages anywhere; `None` where nothing listens for MSRP.
pub(super) fn judge(reader: &mut Reader, draft: &Draft) -> Option<Large> {
    for peer in &draft.peers {
        terms(reader, peer);
    }
    waits(reader, draft);
    stays(reader, draft);
    submits(reader, draft);
    let carry = carry::judge(reader, draft);
    if draft.msrp.is_empty() {
        unserved(reader, draft);
        return None;
    }
    served(reader, draft);
    let (large, all) = (&draft.large, &draft.connections);
    if large.connections.sound
        && all.sound
        && all.value.0.saturating_add(large.connections.value.0) > CONNECTIONS_MAX
    {
        let both = all.value.0.saturating_add(large.connections.value.0);
        reader.report(
            Diagnosis::error(
                format!(
                    "a worker can have {CONNECTIONS_MAX} connections, those of MSRP among them"
                ),
                either(&large.connections, all),
                format!("{both} with the others"),
            )
            .beside(&all.origin, "the others"),
        );
    }
    let size = &large.message_size;
    if size.sound && draft.gateway.pager_max.value.0 >= size.value.0 {
        reader.report(
            Diagnosis::error(
                "message_size must be more than pager_max",
                either(size, &draft.gateway.pager_max),
                format!("{} <= {}", size.value.0, draft.gateway.pager_max.value.0),
            )
            .because("what fits a MESSAGE needs no session, and what does not would never fit one"),
        );
    }
    Some(Large {
        listeners: draft.msrp.iter().map(listener).collect::<Option<_>>()?,
        sessions: large.sessions.value.0,
        message_size: size.value.0,
        connections: u16::try_from(large.connections.value.0).ok()?,
        invite_wait_ms: large.invite_wait.value.0,
        response_wait_ms: large.response_wait.value.0,
        report_wait_ms: large.report_wait.value.0,
        session_idle_ms: large.session_idle.value.0,
        carry,
    })
}

fn listener(draft: &DraftListener) -> Option<MsrpListener> {
    let advertise = draft.advertise.as_ref().map(|advertise| advertise.value.clone());
    let is_tls = draft.names_msrps();
    Some(MsrpListener { address: draft.address.as_ref()?.value, advertise, is_tls })
}

/// What a peer says of itself.
fn terms(reader: &mut Reader, peer: &DraftPeer) {
    let cpm = peer.profile.as_ref().filter(|profile| profile.value == Profile::Cpm);
    if let (Some(cpm), Some(content)) = (cpm, &peer.content)
        && content.value == Content::Text
    {
        reader.report(
            Diagnosis::error(
                "the content of CPM is in CPIM",
                content.origin.clone(),
                "must be \"cpim\" here, or left out",
            )
            .beside(&cpm.origin, "its profile")
            .because("a CPM client finds sender, date and Message-ID in the head of CPIM only"),
        );
    }
    if let Some(cpm) = cpm
        && !peer.has_msrp
    {
        reader.report(
            Diagnosis::warning(
                "the profile of sessions has no effect without sessions",
                cpm.origin.clone(),
                "this peer has no `msrp`",
            )
            .because("it takes no Large Messages; that content is CPIM for it holds all the same")
            .suggest("msrp = \"endpoint\", \"relay\", \"b2bua\" or \"im_server\""),
        );
    }
    if let Some(transport) = &peer.msrp_transport
        && !peer.has_msrp
    {
        reader.report(
            Diagnosis::warning(
                "what sessions are carried over has no effect without sessions",
                transport.origin.clone(),
                "this peer has no `msrp`",
            )
            .suggest("msrp = \"endpoint\", \"relay\", \"b2bua\" or \"im_server\""),
        );
    }
    let (Some(role), Some(msrp)) = (&peer.role, &peer.msrp) else { return };
    if msrp.value == MsrpRole::Endpoint && matches!(role.value, Role::ImServer | Role::Gateway) {
        reader.report(
            Diagnosis::warning(
                "this peer answers for the recipient over SIP, and is the recipient over MSRP",
                msrp.origin.clone(),
                "its 200s prove delivery",
            )
            .beside(&role.origin, "its 200 to a MESSAGE does not")
            .because(
                "who answers an INVITE in the place of the recipient has the session as well, and\n\
                 \"delivered\" would be said of what the recipient may never get",
            )
            .suggest("msrp = \"im_server\", unless it passes INVITE on to the recipient"),
        );
    }
}

/// The bounds of what is waited for. What nobody wrote may be longer than a deadline that somebody did: the
/// deadline then comes first.
fn waits(reader: &mut Reader, draft: &Draft) {
    let (invite, report) = (&draft.large.invite_wait, &draft.large.report_wait);
    let deadline = draft.shortest_deadline();
    if invite.value.0 < LARGE_INVITE_WAIT_MS_MIN {
        let least = Millis(LARGE_INVITE_WAIT_MS_MIN);
        reader.report(
            Diagnosis::error(
                format!("invite_wait must be {least} at least"),
                invite.origin.clone(),
                "too short",
            )
            .because("an INVITE that is cancelled before it can be answered reaches nobody"),
        );
    } else if invite.value >= deadline.value && !invite.is_default() && deadline.sound {
        reader.report(
            Diagnosis::error(
                "invite_wait must be shorter than every sync_deadline",
                invite.origin.clone(),
                format!("{} >= {}", invite.value, deadline.value),
            )
            .beside(&deadline.origin, "this one")
            .because("waiting counts against the deadline, which would always come first"),
        );
    }
    let response = &draft.large.response_wait;
    let (least, most) = (Millis(MSRP_RESPONSE_MS_MIN), Millis(MSRP_RESPONSE_MS));
    if !(least..=most).contains(&response.value) {
        reader.report(
            Diagnosis::error(
                format!("response_wait must lie between {least} and {most}"),
                response.origin.clone(),
                "out of range",
            )
            .because(
                "RFC 4975 section 7.1.1 gives a response 30 s; waited for less, what comes later\n\
                 proves nothing any more",
            ),
        );
    }
    let (least, most) = (Millis(LARGE_REPORT_WAIT_MS_MIN), Millis(LARGE_REPORT_WAIT_MS_MAX));
    if !(least..=most).contains(&report.value) {
        reader.report(
            Diagnosis::error(
                format!("report_wait must lie between {least} and {most}"),
                report.origin.clone(),
                "out of range",
            )
            .because(
                "REPORTs come through relays (RFC 4975 section 7.1.1 gives two minutes), and for so\n\
                 long a client that never sends one holds its session",
            ),
        );
    }
}

/// The bound of how long a session stays.
fn stays(reader: &mut Reader, draft: &Draft) {
    let idle = &draft.large.session_idle;
    let most = Millis(LARGE_SESSION_IDLE_MS_MAX);
    if idle.value > most {
        reader.report(
            Diagnosis::error(
                format!("session_idle must not be longer than {most}"),
                idle.origin.clone(),
                "too long",
            )
            .because(
                "a session that waits for another message takes the place of one for somebody else",
            ),
        );
    }
}

/// Who takes messages of IM users: nothing says which one would, were there two.
fn submits(reader: &mut Reader, draft: &Draft) {
    let mut all = draft.peers.iter().filter_map(|peer| peer.smsc.as_ref());
    let Some(first) = all.next() else { return };
    if let Some(second) = all.next() {
        reader.report(
            Diagnosis::error(
                "messages of IM users can go to one SC only",
                second.origin.clone(),
                "another `smsc`",
            )
            .beside(&first.origin, "the first one")
            .because("nothing says which of them a message would go to"),
        );
    }
    if draft.msrp.is_empty() && !draft.listeners.iter().any(DraftListener::names_msrp) {
        reader.report(
            Diagnosis::warning(
                "no message of an IM user can come: nothing listens for MSRP",
                first.origin.clone(),
                "has no effect",
            )
            .because("their sessions lead to a listener of ours (RFC 4975 section 5.4)")
            .suggest(
                "add a section [[listen]] with address = \"192.0.2.1:2855\" and\n\
                 transports = [\"msrp\"]",
            ),
        );
    }
}

/// Peers that nothing listens for.
fn unserved(reader: &mut Reader, draft: &Draft) {
    // What was not understood may be the listener that is meant, and so may one that is told to be wrong.
    let may_be_meant = |one: &DraftListener| !one.transports.sound || one.names_msrp();
    if draft.listeners.is_empty() || draft.listeners.iter().any(may_be_meant) {
        return;
    }
    for peer in &draft.peers {
        let Some(role) = &peer.msrp else { continue };
        reader.report(
            Diagnosis::error(
                "Large Messages to this peer have no MSRP to go over",
                role.origin.clone(),
                "nothing listens for MSRP",
            )
            .because("clients connect to us or we to them, and both have the port of a listener")
            .suggest(
                "add a section [[listen]] with address = \"192.0.2.1:2855\" and\n\
                 transports = [\"msrp\"]",
            ),
        );
        return;
    }
}

/// Roles are demanded, never guessed (R1).
fn served(reader: &mut Reader, draft: &Draft) {
    // A peer whose side or role was not understood may be the one that is missing.
    let takes = |peer: &DraftPeer| peer.has_msrp || peer.side.is_none();
    if let Some(listener) = draft.msrp.first()
        && !draft.peers.iter().any(takes)
    {
        reader.report(
            Diagnosis::error(
                "nobody takes Large Messages",
                listener.transports.origin.clone(),
                "no peer of the IM side has an `msrp`",
            )
            .because(
                "what 200 to the last chunk proves depends on who says it: the recipient\n\
                 (`endpoint`), or somebody on the way (`relay`, `b2bua`, `im_server`), of whom only\n\
                 REPORTs prove delivery",
            )
            .suggest("add msrp = \"endpoint\", \"relay\", \"b2bua\" or \"im_server\" to a peer"),
        );
    }
    carried(reader, draft);
    for (number, peer) in draft.peers.iter().enumerate() {
        if let Some(role) = &peer.msrp {
            let proof = match role.value {
                MsrpRole::Endpoint => "200 to every chunk proves delivery, and so do REPORTs",
                MsrpRole::Relay | MsrpRole::B2bua | MsrpRole::ImServer => {
                    "only REPORTs of success prove delivery"
                }
            };
            remark(reader, "[[peer]]", number, "msrp", proof);
        }
    }
}

/// Sessions with a peer have the transport that it asks for, and never fall back to another one.
fn carried(reader: &mut Reader, draft: &Draft) {
    // Of a peer whose role or transport was not understood, which was told, any may be meant.
    let is_clear = |peer: &DraftPeer| {
        !peer.has_wrong_msrp_transport && (peer.msrp.is_some() || !peer.has_msrp)
    };
    if !draft.peers.iter().all(is_clear) {
        return;
    }
    let listens = |transport| {
        let is_tls = transport == MsrpTransport::Tls;
        draft.msrp.iter().find(move |one| one.names_msrps() == is_tls)
    };
    let both = [(MsrpTransport::Tcp, "msrp", "TCP"), (MsrpTransport::Tls, "msrps", "TLS")];
    let mut unused = None;
    for (transport, name, words) in both {
        let wants = |peer: &&DraftPeer| peer.msrp.is_some() && peer.msrp_transport() == transport;
        match (draft.peers.iter().find(wants), listens(transport)) {
            (Some(peer), None) => return unheard(reader, peer, (name, words)),
            (None, Some(listener)) => unused = Some((listener, words)),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    // That nobody takes Large Messages at all is told elsewhere.
    if let Some((listener, words)) = unused
        && draft.peers.iter().any(|peer| peer.msrp.is_some())
    {
        let transport = words.to_lowercase();
        reader.report(
            Diagnosis::warning(
                format!("nobody is told of this address: no peer has MSRP over {words}"),
                listener.transports.origin.clone(),
                "no effect",
            )
            .because(format!(
                "our SDP names it in sessions with peers of msrp_transport = \"{transport}\" only"
            )),
        );
    }
}

/// A peer whose sessions have a transport that no listener has.
fn unheard(reader: &mut Reader, peer: &DraftPeer, (name, words): (&str, &str)) {
    let written = peer.msrp_transport.as_ref().map(|transport| &transport.origin);
    let of_role = || peer.msrp.as_ref().map(|role| &role.origin);
    let Some(origin) = written.or_else(of_role) else { return };
    let diagnosis = Diagnosis::error(
        format!("MSRP with this peer goes over {words}, and no listener has it"),
        origin.clone(),
        format!("needs \"{name}\""),
    )
    .because("clients connect to us or we to them, and both have the port of a listener");
    reader.report(diagnosis.suggest(match written {
        // The listener that there is has TLS.
        None => "msrp_transport = \"tls\"".to_owned(),
        Some(_) => format!(
            "add a section [[listen]] with address = \"192.0.2.1:2855\" and\n\
             transports = [\"{name}\"]"
        ),
    }));
}

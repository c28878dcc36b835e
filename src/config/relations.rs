//! What settings must not say together, or to this machine; and the [`Config`] that remains.

use std::collections::BTreeMap;

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::places::PlaceAt;
use crate::config::reader::{Reader, Setting, place};
use crate::config::sections::{Draft, DraftListener, DraftPeer};
use crate::config::surroundings::Names;
use crate::config::value::{Millis, nearest};
use crate::config::{
    Capacity, Config, Listener, Peer, PeerSide, Sources, Timers, capacity, large, msrp, peering,
    places, sockets, tls, transports, workers,
};
use crate::delivery::{Mapping, Role};
use crate::engine::{Content, Credentials, Profile, Recipient};
use crate::limits::PEERS_MAX;

/// Judges the draft as a whole.
pub(super) fn settle(
    reader: &mut Reader,
    draft: &Draft,
    sources: Sources<'_>,
    names: &mut dyn Names,
) -> Option<Config> {
    let machine = sources.machine;
    let workers = workers::judge(reader, &draft.workers, machine);
    state_directory(reader, draft);
    sockets::listeners(reader, draft, machine);
    msrp::listeners(reader, draft, workers.count(), machine);
    let requests = sockets::requests(reader, draft, workers.count());
    timers(reader, draft);
    capacity::judge(reader, draft, workers.count(), machine);
    sides(reader, draft);
    names_are_unique(reader, &draft.peers);
    let places = places::resolve(reader, draft, names);
    places::addresses_are_unique(reader, draft, &places);
    places::nobody_is_us(reader, draft, &places, machine);
    transports::judge(reader, draft, &places);
    let tls = tls::judge(reader, draft);
    let outbound_proxies = outbound_proxies(reader, draft);
    let gateway = peering::gateway(reader, draft);
    let large = large::judge(reader, draft);
    let terms: Vec<Terms> =
        draft.peers.iter().map(|peer| Terms::of(reader, draft, peer, sources)).collect();
    Some(Config {
        node: u8::try_from(draft.node.value.0).ok()?,
        state_directory: draft.state_directory.as_ref().map(|path| path.value.0.clone()),
        workers,
        listeners: draft.listeners.iter().map(listener).collect::<Option<_>>()?,
        requests: requests?,
        peers: draft.peers.iter().zip(places).zip(terms).map(peer).collect::<Option<_>>()?,
        outbound_proxies,
        gateway: gateway?,
        large,
        timers: Timers {
            t1_ms: draft.timers.t1.value.0,
            t2_ms: draft.timers.t2.value.0,
            sync_deadline_ms: draft.timers.sync_deadline.value.0,
            drain_announce_ms: draft.timers.drain_announce.value.0,
            drain_timeout_ms: draft.timers.drain_timeout.value.0,
        },
        capacity: Capacity {
            rate: draft.rate.value.0,
            open: draft.open.value.0,
            open_large: draft.open_large.value.0,
            connections: u16::try_from(draft.connections.value.0).ok()?,
            connections_per_source: u16::try_from(draft.per_source.value.0).ok()?,
        },
        strangers: draft.strangers.value,
        tls,
        status_socket: draft.status_socket.as_ref().map(|socket| socket.value.clone()),
        warnings: Vec::new(),
        effective: Vec::new(),
    })
}

fn listener(draft: &DraftListener) -> Option<Listener> {
    let advertise = draft.advertise.as_ref().map(|advertise| advertise.value.clone());
    let transports = sockets::transports(draft);
    Some(Listener { address: draft.address.as_ref()?.value, advertise, transports })
}

/// What was judged of a peer by itself.
struct Terms {
    mapping: Mapping,
    credentials: Option<Credentials>,
}

impl Terms {
    fn of(reader: &mut Reader, draft: &Draft, peer: &DraftPeer, sources: Sources<'_>) -> Self {
        peering::peer(reader, draft, peer);
        let mapping = peering::mapping(reader, peer, sources);
        Self { mapping, credentials: peering::credentials(reader, peer) }
    }
}

fn peer(((draft, places), terms): ((&DraftPeer, Vec<PlaceAt>), Terms)) -> Option<Peer> {
    let side = draft.side.as_ref()?.value;
    let value = |truth: &Option<Setting<bool>>| truth.as_ref().is_some_and(|truth| truth.value);
    Some(Peer {
        name: draft.name.as_ref()?.value.0.clone(),
        side,
        transport: draft.transport.value,
        tls_name: draft.tls_name.as_ref().map(|name| name.value.0.clone()),
        role: draft.role.as_ref().map_or(Role::Proxy, |role| role.value),
        trusted: draft.trusted.value,
        places: places.into_iter().map(|at| at.place).collect(),
        mapping: terms.mapping,
        sync_deadline_ms: draft.sync_deadline.as_ref().map(|deadline| deadline.value.0),
        recipient: draft.recipient.as_ref().map_or(Recipient::CalledParty, |one| one.value),
        route: draft.route.as_ref().map(|route| route.value.header_field_value()),
        smsc: draft.smsc.as_ref().map(|smsc| smsc.value.0.clone()),
        msrp: draft.msrp.as_ref().map(|role| role.value),
        msrp_transport: draft.msrp_transport(),
        profile: draft.profile.as_ref().map_or(Profile::SimpleIm, |profile| profile.value),
        content: draft.content.as_ref().map_or(Content::Text, |content| content.value),
        ack_accepted: value(&draft.ack_accepted),
        credentials: terms.credentials,
    })
}

/// That it cannot be written is only known when it is.
fn state_directory(reader: &mut Reader, draft: &Draft) {
    let Some(setting) = &draft.state_directory else { return };
    let path = setting.value.0.display();
    match std::fs::metadata(&setting.value.0) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => reader.report(
            Diagnosis::error(
                format!("{path} is not a directory"),
                setting.origin.clone(),
                "must be a directory",
            )
            .because("the secret and the boot epoch live in a file of it"),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => reader.report(
            Diagnosis::warning(
                format!("there is no directory {path}"),
                setting.origin.clone(),
                "must be there at the start",
            )
            .because(
                "it is not made by itself: it may be on a volume that is not mounted, and\n\
                 a new one would know nothing of earlier starts",
            ),
        ),
        // Whoever checks may see less than whoever runs.
        Err(_) => {}
    }
}

fn timers(reader: &mut Reader, draft: &Draft) {
    let timers = &draft.timers;
    let (t1, t2) = (timers.t1.value.0, timers.t2.value.0);
    if t2 < t1 && timers.t1.sound && timers.t2.sound {
        let both = (timers.t1.value, timers.t2.value);
        reader.report(
            Diagnosis::error(
                "T2 must not be shorter than T1",
                either(&timers.t2, &timers.t1),
                format!("T2 = {} < T1 = {}", both.1, both.0),
            )
            .because("T1 is the first interval between retransmissions and T2 the longest"),
        );
    }
    sync_deadline(reader, draft);
    drain(reader, draft);
}

fn sync_deadline(reader: &mut Reader, draft: &Draft) {
    judge_deadline(reader, &draft.timers.t1, &draft.timers.sync_deadline);
}

/// The bounds of a deadline, of a peer or of all.
pub(super) fn judge_deadline(
    reader: &mut Reader,
    t1: &Setting<Millis>,
    deadline: &Setting<Millis>,
) {
    if !t1.sound || !deadline.sound {
        return;
    }
    let at = either(deadline, t1);
    let (timer_f, trying) = (Millis(64 * t1.value.0), Millis(7 * t1.value.0));
    if deadline.value >= timer_f {
        reader.report(
            Diagnosis::error(
                "sync_deadline must be shorter than timer F",
                at,
                format!("{} >= {timer_f} (64*T1)", deadline.value),
            )
            .because(
                "after 64*T1 the sender has given up (RFC 3261 section 17.1.2.2), so that a\n\
                 verdict would reach nobody",
            )
            .suggest(format!("sync_deadline = \"{}\"", Millis(56 * t1.value.0))),
        );
    } else if deadline.value <= trying {
        reader.report(
            Diagnosis::error(
                "sync_deadline must be longer than 7*T1",
                at,
                format!("{} <= {trying} (7*T1)", deadline.value),
            )
            .because(
                "until then an answer is still normal (RFC 4320 section 4.1), so that slow\n\
                 deliveries would end as unknown",
            )
            .suggest(format!("sync_deadline = \"{}\"", Millis(56 * t1.value.0))),
        );
    }
}

fn drain(reader: &mut Reader, draft: &Draft) {
    let timers = &draft.timers;
    let (announce, timeout) = (&timers.drain_announce, &timers.drain_timeout);
    if !announce.sound || !timeout.sound {
        return;
    }
    let last = Millis(announce.value.0.saturating_add(64 * timers.t1.value.0));
    if timeout.value <= announce.value {
        reader.report(
            Diagnosis::error(
                "drain_timeout must be longer than drain_announce",
                either(timeout, announce),
                format!("{} <= {}", timeout.value, announce.value),
            )
            .because("both run from the signal, and messages are accepted until drain_announce"),
        );
    } else if timeout.value < last && timers.t1.sound {
        reader.report(
            Diagnosis::warning(
                "a drain may end before the last message has",
                either(timeout, announce),
                format!("{} < {last} (drain_announce + 64*T1)", timeout.value),
            )
            .because("messages that are open then end as unknown, without a report"),
        );
    }
}

/// Where to point when two settings disagree: at the one that somebody wrote.
pub(super) fn either<T, U>(one: &Setting<T>, other: &Setting<U>) -> Origin {
    if one.is_default() { other.origin.clone() } else { one.origin.clone() }
}

fn sides(reader: &mut Reader, draft: &Draft) {
    if let Some(one) = draft.peers.get(PEERS_MAX) {
        let message = format!("there are more than {PEERS_MAX} peers");
        reader.report(Diagnosis::error(message, one.at.clone(), "one too many"));
    }
    // A peer whose side was not understood may be the one that is missing.
    let sides: Option<Vec<PeerSide>> =
        draft.peers.iter().map(|peer| Some(peer.side.as_ref()?.value)).collect();
    let Some(sides) = sides else { return };
    for (what, there, consequence) in [
        ("sms", sides.iter().any(|side| side.is_sms()), "no message would ever be accepted"),
        ("im", sides.iter().any(|side| side.is_im()), "no message could ever be delivered"),
    ] {
        if !there {
            let message = format!("no peer is on the {} side", what.to_uppercase());
            reader.report(
                Diagnosis::error(message, Origin::Default, "")
                    .because(consequence)
                    .suggest(format!("add a section [[peer]] with side = \"{what}\"")),
            );
        }
    }
    for role in draft.peers.iter().filter_map(|peer| peer.role.as_ref()) {
        if !role.value.speaks_for_the_recipient() {
            reader.report(
                Diagnosis::warning(
                    "a 200 from this peer passes unchanged but never proves delivery",
                    role.origin.clone(),
                    "verdict A at best",
                )
                .because("it accepts messages on behalf of recipients who may never get them"),
            );
        }
    }
}

fn names_are_unique(reader: &mut Reader, peers: &[DraftPeer]) {
    let mut first: BTreeMap<&str, &Origin> = BTreeMap::new();
    for name in peers.iter().filter_map(|peer| peer.name.as_ref()) {
        if let Some(other) = first.get(name.value.0.as_str()) {
            reader.report(
                Diagnosis::error(
                    format!("two peers are called `{}`", name.value.0),
                    name.origin.clone(),
                    "the second one",
                )
                .beside(other, "the first one"),
            );
        } else {
            first.insert(&name.value.0, &name.origin);
        }
    }
}

/// Says more about an effective setting.
pub(super) fn remark(reader: &mut Reader, header: &str, number: usize, key: &str, text: &str) {
    let mut entries = reader.effective.iter_mut();
    let entry = entries.find(|one| one.header == header && one.number == number && one.key == key);
    if let Some(entry) = entry {
        text.clone_into(&mut entry.remark);
    }
}

fn outbound_proxies(reader: &mut Reader, draft: &Draft) -> Vec<usize> {
    let setting = &draft.outbound_proxies;
    let named = |peer: &DraftPeer, name: &str| {
        peer.name.as_ref().is_some_and(|setting| setting.value.0 == name)
    };
    let mut proxies = Vec::new();
    for (name, at) in &setting.value.items {
        let at = place(at.as_ref(), &setting.origin);
        let name = name.0.as_str();
        let Some(number) = draft.peers.iter().position(|peer| named(peer, name)) else {
            // A peer whose name was not understood may be the one that is meant.
            if draft.peers.iter().all(|peer| peer.name.is_some()) {
                let names = draft.peers.iter().filter_map(|peer| peer.name.as_ref());
                let near = nearest(name, names.map(|name| name.value.0.as_str()));
                let mut diagnosis =
                    Diagnosis::error(format!("no peer is called `{name}`"), at, "unknown");
                diagnosis.suggestion = near.map(|near| format!("did you mean `{near}`?"));
                reader.report(diagnosis);
            }
            continue;
        };
        let peer = draft.peers.get(number);
        if let Some(side) = peer.and_then(|peer| peer.side.as_ref())
            && !side.value.is_im()
        {
            reader.report(
                Diagnosis::error(
                    format!("`{name}` cannot be an outbound proxy"),
                    at.clone(),
                    "not on the IM side",
                )
                .beside(&side.origin, "its side")
                .because("outbound proxies are where messages go when no Route says otherwise"),
            );
        }
        if proxies.contains(&number) {
            reader.report(Diagnosis::error(format!("`{name}` is listed twice"), at, "again"));
        }
        proxies.push(number);
    }
    proxies
}

//! SMS-side clients: what they send, how they repeat it, and what they are told.

use std::collections::BTreeMap;
use std::rc::Rc;

use roger::packet::Endpoint;

use crate::air::{Air, Bound, Event, Grade, Over, Packet};
use crate::chance::Chance;
use crate::swarm::{LISTENER_V4, LISTENER_V6, MS, SECOND, Swarm};
use crate::text::{Key, Text, written};

/// How many kinds of clients and requests there are.
pub(crate) const KINDS: usize = 24;

/// How many of them break no rule.
pub(crate) const KINDS_HONEST: usize = 11;

/// What may become of a request by the standards alone, whatever the load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    /// It may be accepted and forwarded.
    pub(crate) accept: bool,
    /// Final responses that we may give by ourselves.
    pub(crate) answer: &'static [u16],
    /// It may be dropped.
    pub(crate) silence: bool,
}

impl Expect {
    const ACCEPT: Self = Self { accept: true, answer: &[], silence: false };

    const fn answer(answer: &'static [u16]) -> Self {
        Self { accept: false, answer, silence: false }
    }

    const fn answer_or_silence(answer: &'static [u16]) -> Self {
        Self { accept: false, answer, silence: true }
    }
}

/// How a client repeats itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    /// RFC 3261 section 17.1.2.
    Standard,
    /// Every so many nanoseconds until a final response.
    Storm(u64),
    /// As the standard says, but it hears nothing.
    Deaf,
    /// Some more times after the final response.
    Echo(u64),
    /// Once.
    Once,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Composed,
    Trying,
    Proceeding,
    Completed,
    Ended,
}

/// One client transaction.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    /// What names it, when it can be named.
    pub(crate) key: Option<Key>,
    /// Which host on the SMS side sends it.
    pub(crate) client: usize,
    /// The request.
    pub(crate) octets: Rc<[u8]>,
    /// Where responses must go.
    pub(crate) reply_to: Endpoint,
    /// What may become of it.
    pub(crate) expect: Expect,
    /// Where it must be forwarded, in the order in which servers are tried.
    pub(crate) targets: Vec<Endpoint>,
    /// The first final response that came.
    pub(crate) told: Option<u16>,
    /// Where it comes from.
    pub(crate) source: Endpoint,
    /// Whether it comes over connections.
    pub(crate) is_tcp: bool,
    to: Endpoint,
    manner: Manner,
    state: State,
    started: u64,
    interval: u64,
    resubmit: Option<Box<Draft>>,
}

/// All client transactions.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// In the order in which they were composed.
    pub(crate) transactions: Vec<Transaction>,
    by_key: BTreeMap<Key, usize>,
    composed: u64,
    /// A request as we forwarded it, which somebody may send back to us.
    pub(crate) overheard: Option<Rc<[u8]>>,
}

impl Clients {
    /// The transaction with this key.
    pub(crate) fn find(&self, key: &Key) -> Option<&Transaction> {
        self.by_key.get(key).map(|index| &self.transactions[*index])
    }

    /// Composes the next message and starts its transactions.
    pub(crate) fn compose(&mut self, air: &mut Air, swarm: &Swarm, plain: bool) {
        self.composed += 1;
        let kind = if plain { 0 } else { draw_kind(&mut air.chance, swarm) };
        let draft = Draft::new(self.composed, &mut air.chance, swarm);
        for (draft, manner, expect) in
            spell(kind, draft, self.overheard.as_deref(), &mut air.chance, swarm)
        {
            let resubmit = (kind == 6).then(|| Box::new(draft.clone()));
            self.start(draft, manner, expect, resubmit, air, swarm);
        }
    }

    fn start(
        &mut self,
        draft: Draft,
        manner: Manner,
        expect: Expect,
        resubmit: Option<Box<Draft>>,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        let octets = draft.octets();
        let key = Text::read(&octets).and_then(|text| text.key());
        let index = self.transactions.len();
        if let Some(key) = key.clone() {
            self.by_key.insert(key, index);
        }
        let home = swarm.places.clients[draft.client].endpoint;
        let listener = if home.is_v4() { LISTENER_V4 } else { LISTENER_V6 };
        let is_tcp = draft.is_tcp;
        let reply_port =
            if draft.rport && !is_tcp { draft.source.port } else { draft.sent_by.port };
        self.transactions.push(Transaction {
            key,
            client: draft.client,
            octets: octets.into(),
            reply_to: Endpoint { port: reply_port, ..draft.source },
            expect,
            targets: draft.targets,
            told: None,
            source: draft.source,
            is_tcp,
            to: swarm.places.sockets[listener],
            manner,
            state: State::Composed,
            started: 0,
            interval: 0,
            resubmit,
        });
        let delay = air.chance.below(5 * MS);
        air.after(delay, Event::Sms(index));
    }

    /// Does what is due in one transaction.
    pub(crate) fn on_timer(&mut self, index: usize, air: &mut Air, swarm: &Swarm) {
        let t1 = u64::from(swarm.t1_ms) * MS;
        let t2 = u64::from(swarm.t2_ms) * MS;
        let now = air.now;
        let transaction = &mut self.transactions[index];
        let standard = match transaction.state {
            State::Composed => {
                transaction.started = now;
                transaction.state = State::Trying;
                t1
            }
            State::Trying => (transaction.interval * 2).min(t2),
            State::Proceeding => t2,
            State::Completed => {
                let Manner::Echo(left @ 1..) = transaction.manner else { return };
                transaction.manner = Manner::Echo(left - 1);
                swarm.transaction() / 40
            }
            State::Ended => return,
        };
        if transaction.state != State::Completed && now - transaction.started >= swarm.transaction()
        {
            transaction.state = State::Ended;
            return;
        }
        transaction.interval = match transaction.manner {
            Manner::Storm(interval) => interval,
            Manner::Standard | Manner::Deaf | Manner::Echo(_) | Manner::Once => standard,
        };
        let next = transaction.interval;
        let packet = Packet {
            from: transaction.source,
            to: transaction.to,
            octets: transaction.octets.clone(),
            grade: Grade::Sound,
            truncated: false,
            mark: None,
            over: if transaction.is_tcp { Over::Stream(None) } else { Over::Datagram },
        };
        if transaction.manner == Manner::Once {
            transaction.state = State::Ended;
        } else {
            air.after(next, Event::Sms(index));
        }
        air.send(packet, Bound::Relay);
    }

    /// Takes a datagram that came to the SMS side.
    pub(crate) fn on_packet(&mut self, packet: &Packet, air: &mut Air, swarm: &Swarm) {
        let Some(text) = Text::read(&packet.octets) else { return };
        let (Some(status), Some(key)) = (text.status(), text.key()) else { return };
        let Some(index) = self.by_key.get(&key).copied() else { return };
        let transaction = &mut self.transactions[index];
        if transaction.reply_to != packet.to || transaction.manner == Manner::Deaf {
            return;
        }
        let open = matches!(transaction.state, State::Trying | State::Proceeding);
        if !open {
            return;
        }
        if status < 200 {
            transaction.state = State::Proceeding;
            return;
        }
        transaction.state = State::Completed;
        transaction.told = Some(status);
        if let Manner::Echo(_) = transaction.manner {
            let delay = air.chance.below(swarm.transaction() / 8);
            air.after(delay, Event::Sms(index));
        }
        if (300..600).contains(&status)
            && let Some(draft) = transaction.resubmit.take()
        {
            let draft = draft.again(&mut air.chance);
            self.start(draft, Manner::Standard, Expect::ACCEPT, None, air, swarm);
        }
    }
}

fn draw_kind(chance: &mut Chance, swarm: &Swarm) -> usize {
    let weights = &swarm.manners.sms;
    let mut ticket = chance.below(weights.iter().sum());
    for (kind, weight) in weights.iter().enumerate() {
        if ticket < *weight {
            return kind;
        }
        ticket -= weight;
    }
    0
}

/// A request in the making.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    method: String,
    uri: String,
    version: &'static str,
    client: usize,
    source: Endpoint,
    sent_by: Endpoint,
    rport: bool,
    branch: String,
    /// Via values below our own.
    below: Vec<String>,
    joined_vias: bool,
    compact: bool,
    is_tcp: bool,
    max_forwards: Option<u32>,
    from: String,
    to: String,
    call_id: String,
    cseq: u32,
    cseq_method: String,
    extra: String,
    body: String,
    targets: Vec<Endpoint>,
    /// Replacements in the finished text, for what no draft can say.
    edits: Vec<(String, String)>,
}

impl Draft {
    fn new(number: u64, chance: &mut Chance, swarm: &Swarm) -> Self {
        let client = chance.index(swarm.places.clients.len());
        let home = swarm.places.clients[client].endpoint;
        let (uri, targets) = aim(number, chance, swarm);
        let words = chance.index(40);
        Self {
            method: "MESSAGE".to_owned(),
            uri,
            version: "SIP/2.0",
            client,
            source: home,
            sent_by: home,
            rport: chance.one_in(2),
            branch: format!("z9hG4bK{number}x{:x}", chance.word()),
            below: Vec::new(),
            joined_vias: false,
            compact: false,
            is_tcp: swarm.is_tcp_client(client),
            max_forwards: (!chance.one_in(20)).then(|| chance.pick(&[70, 70, 1, 30, 255])),
            from: format!("<sip:+49{number}@sms.example>;tag={:x}", chance.word() >> 40),
            to: format!("<sip:user{number}@im.example>"),
            call_id: format!("m{number}.{:x}@sms.example", chance.word() >> 16),
            // Most clients begin with 1, so that the number alone tells nothing apart.
            cseq: if chance.one_in(2) {
                1
            } else {
                u32::try_from(chance.between(1, 1 << 30)).unwrap_or(1)
            },
            cseq_method: "MESSAGE".to_owned(),
            extra: match chance.below(10) {
                0 => format!("P-Asserted-Identity: <tel:+49{number}>\r\n"),
                1 => format!("P-Asserted-Identity: <tel:+49{number}>\r\nPrivacy: id\r\n"),
                2 => "Privacy: id;header\r\n".to_owned(),
                _ => String::new(),
            },
            body: format!("message {number}: {}", "lorem ".repeat(words)),
            targets,
            edits: Vec::new(),
        }
    }

    /// The same message once more, in a transaction of its own (RFC 3261 section 8.1.3.5).
    fn again(mut self, chance: &mut Chance) -> Self {
        self.branch = format!("z9hG4bKagain{:x}", chance.word());
        self.cseq += 1;
        self
    }

    fn octets(&self) -> Vec<u8> {
        let name = |long: &'static str| {
            if self.compact { crate::text::compact_of(long).unwrap_or(long) } else { long }
        };
        let rport = if self.rport { ";rport" } else { "" };
        let own = written(self.sent_by);
        let transport = if self.is_tcp { "TCP" } else { "UDP" };
        let mut vias = vec![format!("SIP/2.0/{transport} {own};branch={}{rport}", self.branch)];
        vias.extend(self.below.iter().cloned());
        let mut text = format!("{} {} {}\r\n", self.method, self.uri, self.version);
        if self.joined_vias {
            text += &format!("{}: {}\r\n", name("Via"), vias.join(","));
        } else {
            for via in &vias {
                text += &format!("{}: {via}\r\n", name("Via"));
            }
        }
        if let Some(hops) = self.max_forwards {
            text += &format!("Max-Forwards: {hops}\r\n");
        }
        text += &format!("{}: {}\r\n{}: {}\r\n", name("From"), self.from, name("To"), self.to);
        text += &format!("{}: {}\r\n", name("Call-ID"), self.call_id);
        text += &format!("CSeq: {} {}\r\n", self.cseq, self.cseq_method);
        text += &self.extra;
        text += &format!("{}: text/plain\r\n", name("Content-Type"));
        text += &format!("{}: {}\r\n\r\n{}", name("Content-Length"), self.body.len(), self.body);
        for (old, new) in &self.edits {
            text = text.replacen(old, new, 1);
        }
        text.into_bytes()
    }
}

/// The Request-URI of a message and where it must take it.
fn aim(number: u64, chance: &mut Chance, swarm: &Swarm) -> (String, Vec<Endpoint>) {
    let servers = &swarm.places.servers;
    if !swarm.route_by_uri {
        let targets = servers.iter().map(|server| server.addresses[0]).collect();
        return (format!("sip:user{number}@im.example"), targets);
    }
    let index = chance.index(servers.len());
    let address = chance.pick(&servers[index].addresses);
    if chance.one_in(4) {
        (format!("sip:user{number}@im{index}.example"), vec![servers[index].addresses[0]])
    } else {
        (format!("sip:user{number}@{}", written(address)), vec![address])
    }
}

type Spelt = (Draft, Manner, Expect);

/// Makes of a plain draft what its kind wants.
fn spell(
    kind: usize,
    mut draft: Draft,
    overheard: Option<&[u8]>,
    chance: &mut Chance,
    swarm: &Swarm,
) -> Vec<Spelt> {
    let accept = Expect::ACCEPT;
    let (manner, expect) = match kind {
        1 => {
            let words = usize::try_from(chance.between(200, 1_300)).unwrap_or(0);
            draft.body = "lorem ".repeat(words);
            (Manner::Standard, accept)
        }
        2 => {
            route(&mut draft, chance, swarm);
            (Manner::Standard, accept)
        }
        3 => {
            draft.compact = true;
            (Manner::Standard, accept)
        }
        4 => {
            for below in 0..chance.between(1, 5) {
                let branch = format!("z9hG4bKbelow{below}{:x}", chance.word() >> 32);
                draft.below.push(format!("SIP/2.0/UDP inside{below}.example;branch={branch}"));
            }
            draft.joined_vias = chance.one_in(2);
            (Manner::Standard, accept)
        }
        5 => {
            draft.method = "OPTIONS".to_owned();
            draft.cseq_method = "OPTIONS".to_owned();
            (Manner::Standard, Expect::answer(&[200, 503]))
        }
        7 => {
            draft.rport = true;
            draft.source.port = u16::try_from(chance.between(20_000, 30_000)).unwrap_or(20_000);
            draft.sent_by = draft.source;
            (Manner::Standard, accept)
        }
        8 => {
            draft.source.port = u16::try_from(chance.between(20_000, 30_000)).unwrap_or(20_000);
            (Manner::Standard, accept)
        }
        9 => {
            draft.extra += "Subject: folded\r\n and long\r\nX-Odd: \"a, b\" <c>;d\r\n";
            (Manner::Standard, accept)
        }
        10 => (Manner::Echo(1), accept),
        11 => (Manner::Storm(chance.between(20, 200) * MS), accept),
        12 => (Manner::Deaf, accept),
        13 => (Manner::Echo(chance.between(2, 20)), accept),
        14 | 15 => return fork(kind == 15, draft, chance, swarm),
        0 | 6 => (Manner::Standard, accept),
        _ => return vec![wrong(kind, draft, overheard, chance, swarm)],
    };
    vec![(draft, manner, expect)]
}

/// Two transactions that look alike: two branches of one message, or one branch of two clients.
fn fork(shared_branch: bool, draft: Draft, chance: &mut Chance, swarm: &Swarm) -> Vec<Spelt> {
    let mut other = draft.clone();
    if shared_branch {
        other.client = (draft.client + 1) % swarm.places.clients.len();
        other.source = swarm.places.clients[other.client].endpoint;
        other.is_tcp = swarm.is_tcp_client(other.client);
        other.sent_by = other.source;
        other.call_id = format!("other{:x}@sms.example", chance.word());
    } else {
        other.branch = format!("z9hG4bKfork{:x}", chance.word());
        let (uri, targets) = aim(900_000 + chance.below(1_000), chance, swarm);
        (other.uri, other.targets) = (uri, targets);
    }
    [draft, other].map(|draft| (draft, Manner::Standard, Expect::ACCEPT)).into()
}

/// Sends a message through us by Route, to a server of its own choice.
fn route(draft: &mut Draft, chance: &mut Chance, swarm: &Swarm) {
    let index = chance.index(swarm.places.servers.len());
    let server = chance.pick(&swarm.places.servers[index].addresses);
    let home = swarm.places.clients[draft.client].endpoint;
    let listener = if home.is_v4() { LISTENER_V4 } else { LISTENER_V6 };
    let us = match chance.below(3) {
        0 => "relay.example".to_owned(),
        _ => written(swarm.places.sockets[listener]),
    };
    let ours = format!("<sip:{us};lr>");
    let theirs = format!("<sip:{};lr>", written(server));
    draft.extra += &match chance.below(3) {
        0 => format!("Route: {ours}\r\nRoute: {theirs}\r\n"),
        1 => format!("Route: {ours}, {theirs}\r\n"),
        _ => format!("Route: {theirs}\r\n"),
    };
    draft.targets = vec![server];
}

/// Requests that must not be forwarded.
fn wrong(
    kind: usize,
    mut draft: Draft,
    overheard: Option<&[u8]>,
    chance: &mut Chance,
    swarm: &Swarm,
) -> Spelt {
    let expect = match kind {
        16 => {
            draft.max_forwards = Some(0);
            Expect::answer(&[483])
        }
        17 => {
            let looped = overheard.and_then(|octets| looped(&mut draft, octets));
            return match looped {
                Some(()) => (draft, Manner::Standard, Expect::answer(&[482])),
                None => (draft, Manner::Standard, Expect::ACCEPT),
            };
        }
        18 => malformed(&mut draft, chance),
        19 => {
            let (method, statuses) = chance.pick(&[
                ("REGISTER", &[405_u16] as &[u16]),
                ("INVITE", &[405]),
                ("SUBSCRIBE", &[405]),
                ("BYE", &[405, 481]),
                ("message", &[501]),
                ("FLY", &[501]),
            ]);
            draft.method = method.to_owned();
            draft.cseq_method = method.to_owned();
            Expect::answer(statuses)
        }
        20 => {
            match chance.below(2) {
                0 => draft.extra += "Route: <sip:203.0.113.250:5060;lr>\r\n",
                _ => draft.extra += "Route: <sip:elsewhere.example;lr>\r\n",
            }
            Expect::answer(&[403, 404])
        }
        21 => {
            draft.extra += "Proxy-Require: foo\r\n";
            Expect::answer(&[420])
        }
        22 => {
            let words = usize::try_from(chance.between(1_500, 3_000)).unwrap_or(1_500);
            draft.body = "lorem ".repeat(words);
            Expect::answer_or_silence(&[413, 513])
        }
        _ => noise(&mut draft, chance, swarm),
    };
    (draft, if expect.answer.is_empty() { Manner::Once } else { Manner::Standard }, expect)
}

/// Sends back to us what we have forwarded, with a Via on top.
fn looped(draft: &mut Draft, octets: &[u8]) -> Option<()> {
    let text = Text::read(octets)?;
    draft.uri = text.start.split(' ').nth(1)?.to_owned();
    draft.below = text.vias().map(|via| via.trim().to_owned()).collect();
    draft.call_id = text.value("Call-ID")?.to_owned();
    draft.from = text.value("From")?.to_owned();
    draft.to = text.value("To")?.to_owned();
    draft.cseq = text.value("CSeq")?.split(' ').next()?.parse().ok()?;
    draft.body = String::from_utf8(text.body.to_vec()).ok()?;
    draft.max_forwards = Some(60);
    Some(())
}

fn malformed(draft: &mut Draft, chance: &mut Chance) -> Expect {
    let length = format!("Content-Length: {}", draft.body.len());
    let cseq = format!("CSeq: {} MESSAGE", draft.cseq);
    draft.compact = false;
    let (old, new, expect): (&str, &str, _) = match chance.below(10) {
        0 => ("Call-ID:", "Call-Idle:", Expect::answer_or_silence(&[400])),
        1 => ("From:", "Frome:", Expect::answer_or_silence(&[400])),
        2 => ("To:", "Toe:", Expect::answer_or_silence(&[400])),
        3 => (&cseq, "CSeq: 1 INVITE", Expect::answer_or_silence(&[400])),
        4 => (&cseq, "CSeq: 4294967296 MESSAGE", Expect::answer_or_silence(&[400])),
        5 => (&length, "Content-Length: 60000", Expect::answer_or_silence(&[400, 413, 513])),
        6 => (&length, "Content-Length: -1", Expect::answer_or_silence(&[400])),
        7 => ("SIP/2.0\r\n", "SIP/3.0\r\n", Expect::answer_or_silence(&[505])),
        8 => ("MESSAGE sip:", "MESSAGE  sip:", Expect::answer_or_silence(&[400])),
        _ => ("MESSAGE sip:", "MESSAGE nobody-knows:", Expect::answer(&[416, 403])),
    };
    draft.edits.push((old.to_owned(), new.to_owned()));
    expect
}

/// What no answer is owed to, or only a short one.
fn noise(draft: &mut Draft, chance: &mut Chance, swarm: &Swarm) -> Expect {
    let silent = Expect::answer_or_silence(&[]);
    match chance.below(5) {
        0 => {
            draft.method = "ACK".to_owned();
            draft.cseq_method = "ACK".to_owned();
            silent
        }
        1 => {
            draft.method = "CANCEL".to_owned();
            draft.cseq_method = "CANCEL".to_owned();
            Expect::answer(&[481])
        }
        2 => {
            // A host on the IM side that sends messages itself.
            let server = chance.index(swarm.places.servers.len());
            draft.source = swarm.places.servers[server].addresses[0];
            draft.sent_by = draft.source;
            Expect::answer(&[403])
        }
        3 => {
            let old = draft.octets();
            let old = String::from_utf8_lossy(&old).into_owned();
            draft.edits.push((old, chance.pick(&["\r\n\r\n", "\0\0\0\0", "x", "\r\n"]).to_owned()));
            silent
        }
        _ => {
            draft.edits.push((" SIP/2.0\r\n".to_owned(), " \r\n".to_owned()));
            Expect::answer_or_silence(&[400])
        }
    }
}

/// What a stranger sends: a request, or a response that claims to be an answer.
pub(crate) fn strange(overheard: Option<&[u8]>, air: &mut Air, swarm: &Swarm) -> Packet {
    let chance = &mut air.chance;
    let from = chance.pick(&swarm.places.strangers);
    let listener = if from.is_v4() { LISTENER_V4 } else { LISTENER_V6 };
    let to = swarm.places.sockets[listener];
    let answer = overheard.filter(|_| chance.one_in(2)).and_then(|octets| {
        let text = Text::read(octets)?;
        let vias: Vec<&str> = text.vias().map(str::trim).collect();
        let field = |name| text.value(name).unwrap_or("");
        Some(format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=forged\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nContent-Length: 0\r\n\r\n",
            vias.join("\r\nVia: "),
            field("From"),
            field("To"),
            field("Call-ID"),
            field("CSeq"),
        ))
    });
    let octets = answer.map_or_else(
        || {
            if chance.one_in(4) {
                return terse(from, chance.word());
            }
            let mut draft = Draft::new(800_000 + chance.below(1_000), chance, swarm);
            draft.source = from;
            draft.sent_by = from;
            draft.is_tcp = false;
            if chance.one_in(4) {
                draft.method = "OPTIONS".to_owned();
                draft.cseq_method = "OPTIONS".to_owned();
            }
            draft.octets()
        },
        String::into_bytes,
    );
    Packet {
        from,
        to,
        octets: octets.into(),
        grade: Grade::Foreign,
        truncated: false,
        mark: None,
        over: Over::Datagram,
    }
}

/// A request so short that no answer to it is shorter.
fn terse(from: Endpoint, number: u64) -> Vec<u8> {
    let own = written(from);
    format!(
        "OPTIONS sip:x SIP/2.0\r\nv:SIP/2.0/UDP {own};branch=z9hG4bK{number:x};rport\r\n\
         f:<sip:a@b>;tag=1\r\nt:<sip:c@d>\r\ni:{number:x}\r\nCSeq:1 OPTIONS\r\n\r\n"
    )
    .into_bytes()
}

/// When the next message is composed.
pub(crate) fn pause(chance: &mut Chance, swarm: &Swarm) -> u64 {
    let mean = swarm.spread / swarm.messages.max(1);
    // Some come in one burst.
    if chance.one_in(3) {
        chance.below(MS)
    } else {
        chance.exponential(mean * 3 / 2).min(10 * SECOND)
    }
}

//! An engine on a bench: two peers, a clock that is turned by hand, and text in, text out.

use std::net::SocketAddr;
use std::sync::Arc;

use roger::delivery::{Account, Role};
use roger::engine::{
    Engine, Families, Gateway, Host, Neighbours, Peer, RequestSockets, Setup, Strangers, Timers,
};
use roger::id::WorkerId;
use roger::limits::TIMERS_PER_TURN_MAX;
use roger::metrics::{Counter, Tally};
use roger::packet::{
    Arrival, Departures, Endpoint, Flow, JournalSeq, Owner, Sent, SocketId, Transport,
};
use roger::store::HashKey;
use roger::time::Instant;

pub(crate) const SBC: &str = "10.0.0.1:5060";
pub(crate) const IM: &str = "10.0.0.9:5070";
pub(crate) const IM_2: &str = "10.0.0.10:5070";
pub(crate) const OWN: &str = "10.0.0.5:5060";

pub(crate) fn endpoint(text: &str) -> Endpoint {
    Endpoint::from(text.parse::<SocketAddr>().unwrap())
}

pub(crate) fn setup() -> Setup {
    let peer = |name: &str, sms, im, role, address: &str, host: &str| Peer {
        sms,
        im,
        trusted: true,
        addresses: Box::new([endpoint(address)]),
        hosts: Box::new([Host { name: host.into(), port: 5070, endpoint: endpoint(address) }]),
        ..Peer::new(name, role)
    };
    Setup {
        worker: WorkerId(0),
        node: 1,
        epoch: 7,
        key: HashKey([11, 12]),
        peers: Box::new([
            peer("sbc", true, false, Role::Proxy, SBC, "sbc.example"),
            peer("im", false, true, Role::Endpoint, IM, "im.example"),
            peer("im-2", false, true, Role::Gateway, IM_2, "im-2.example"),
        ]),
        own_endpoints: Box::new([endpoint(OWN)]),
        own_hosts: Box::new([("roger.example".into(), 5060)]),
        sent_by: Box::new([OWN.into()]),
        transports: Box::new([Transport::Udp]),
        request_sockets: RequestSockets {
            udp: Families { v4: Some(SocketId(0)), v6: None },
            ..RequestSockets::default()
        },
        next_servers: Box::new([endpoint(IM)]),
        timers: Timers::RFC_3261,
        gateway: Gateway::default(),
        large: None,
        strangers: Strangers::Silence,
        messages_max: 64,
        messages_large_max: 4,
        finished_max: 1_000,
        accounts: true,
    }
}

/// Something that left: where to, the text, and whom to tell.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) to: SocketAddr,
    pub(crate) text: String,
    pub(crate) octets: Vec<u8>,
    pub(crate) flow: Flow,
    pub(crate) owner: Option<Owner>,
}

impl Left {
    /// The value of the first header field with this name.
    pub(crate) fn field(&self, name: &str) -> &str {
        field(&self.text, name)
    }

    /// What lies behind the header section.
    pub(crate) fn body(&self) -> &[u8] {
        let head = self.octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        &self.octets[head + 4..]
    }

    pub(crate) fn is_request(&self) -> bool {
        self.text.starts_with("MESSAGE ")
    }

    pub(crate) fn status(&self) -> u16 {
        assert!(self.text.starts_with("SIP/2.0 "), "{}", self.text);
        self.text.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let starts = |line: &&str| {
        line.split_once(':').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(name))
    };
    text.split("\r\n")
        .find(starts)
        .and_then(|line| line.split_once(':'))
        .map_or("", |(_, v)| v.trim())
}

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) out: Departures,
    pub(crate) now: Instant,
    pub(crate) tally: Arc<Tally>,
    /// What the next sends with an owner are told.
    pub(crate) sent: Sent,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(setup())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let now = Instant(1_000_000_000_000);
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let servers = setup.next_servers.len();
        let mut group = Neighbours::group(usize::from(setup.worker.0) + 1, servers);
        let engine = Engine::among(group.pop().unwrap(), setup, Arc::clone(&tally), now);
        Self { engine, out: Departures::with_connections(64), now, tally, sent: Ok(()) }
    }

    /// One datagram in, everything that leaves because of it out.
    pub(crate) fn give(&mut self, from: &str, text: &str) -> Vec<Left> {
        self.give_octets(from, text.as_bytes(), false)
    }

    pub(crate) fn give_octets(&mut self, from: &str, octets: &[u8], truncated: bool) -> Vec<Left> {
        self.give_by(Flow::to(endpoint(from), SocketId(0)), octets, truncated)
    }

    pub(crate) fn give_by(&mut self, flow: Flow, octets: &[u8], truncated: bool) -> Vec<Left> {
        let arrival = Arrival { flow, at: self.now, octets, truncated };
        self.engine.on_burst(&[arrival], &mut self.out);
        self.leave()
    }

    /// Turns the clock on in small steps, and collects what leaves with the time of it.
    pub(crate) fn wait_ms(&mut self, ms: u32) -> Vec<(u64, Left)> {
        let start = self.now;
        let end = start.plus_ms(ms);
        let mut all = Vec::new();
        while self.now < end {
            self.now = self.now.plus_ms(2);
            while self.engine.on_tick(self.now, &mut self.out) == TIMERS_PER_TURN_MAX {}
            let at = self.now.since(start) / 1_000_000;
            all.extend(self.leave().into_iter().map(|left| (at, left)));
        }
        all
    }

    pub(crate) fn leave(&mut self) -> Vec<Left> {
        let mut all = Vec::new();
        while let Some(slot) = self.out.pop(JournalSeq::NOW) {
            let departure = self.out.departure(&slot);
            let octets = self.out.octets(&slot).to_vec();
            self.out.release(slot);
            all.push(Left {
                to: departure.flow.remote.to_socket_addr(),
                text: String::from_utf8_lossy(&octets).into_owned(),
                octets,
                flow: departure.flow,
                owner: departure.owner,
            });
        }
        for left in &all {
            if let Some(owner) = left.owner {
                self.engine.on_sent(owner, self.sent, self.now);
            }
        }
        all
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.tally.counters.read(counter)
    }

    pub(crate) fn account(&mut self) -> Account {
        let account = self.engine.pop_account().expect("an account");
        assert!(self.engine.pop_account().is_none(), "one account a message");
        account
    }
}

pub(crate) fn message(number: u32) -> String {
    message_with(number, "", "Hello")
}

pub(crate) fn message_with(number: u32, fields: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "MESSAGE sip:+1555000{number:04}@im.example:5070 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKsbc{number};rport\r\n\
         Max-Forwards: 20\r\n\
         From: <sip:sc@sbc.example>;tag=s{number}\r\n\
         To: <sip:+1555000{number:04}@im.example>\r\n\
         Call-ID: call-{number}@sbc.example\r\n\
         CSeq: 1 MESSAGE\r\n\
         {fields}\
         Content-Type: text/plain\r\n\
         Content-Length: {len}\r\n\r\n{body}"
    )
}

/// What a UAS answers to `request`.
pub(crate) fn answer(request: &str, status: &str) -> String {
    answer_with(request, status, "")
}

pub(crate) fn answer_with(request: &str, status: &str, fields: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.split("\r\n").take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        match name.as_str() {
            "via" | "from" | "call-id" | "cseq" => text.push_str(line),
            "to" => {
                text.push_str(line);
                text.push_str(";tag=uas");
            }
            _ => continue,
        }
        text.push_str("\r\n");
    }
    text.push_str(fields);
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

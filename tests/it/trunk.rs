//! A service over connections, on real sockets: trunks, what their ends lead to, and how many fit.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use roger::config::Config;
use roger::delivery::{Account, Report, Verdict};
use roger::metrics::Counter;
use roger::oam::{Service, StartError};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Both sides with an address of their own, by which they are known.
pub(crate) const SMS: &str = "127.0.0.2";
pub(crate) const IM: &str = "127.0.0.3";

pub(crate) fn listener(ip: &str) -> TcpListener {
    TcpListener::bind((ip, 0)).unwrap()
}

/// A service between an SMS side and the servers of an IM side. `more` is about capacities; what stands in
/// front of a bar is about workers.
pub(crate) fn service(
    sms: SocketAddr,
    servers: &[SocketAddr],
    workers: usize,
    more: &str,
) -> Service {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    let (workers_more, more) = more.split_once('|').unwrap_or(("", more));
    let text = format!(
        "[workers]\n{workers_more}count = {workers}\ncpus = \"any\"\npolling = \"wait\"\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\n\
         [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"{sms}\"\ntransport = \"tcp\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\ntransport = \"tcp\"\n\
         address = [{}]\n\
         [route]\noutbound_proxies = \"im\"\n\
         [timers]\nt1 = \"50ms\"\nt2 = \"400ms\"\nsync_deadline = \"2s\"\n\
         [capacity]\nrate = 1000\nopen = 1024\nopen_large = 16\n{more}",
        servers.join(", ")
    );
    let config = Config::parse(&text, "test").unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    Service::start(&config, true).unwrap()
}

/// One end of a connection that talks SIP.
pub(crate) struct Line {
    pub(crate) stream: TcpStream,
    pub(crate) rest: Vec<u8>,
}

impl Line {
    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rest: Vec::new() }
    }

    /// Connects from an address.
    pub(crate) fn from(ip: &str, to: SocketAddr) -> Self {
        let kind = socket2::Type::STREAM;
        let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
        socket.bind(&SocketAddr::new(ip.parse().unwrap(), 0).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::of(socket.into())
    }

    pub(crate) fn accept(listener: &TcpListener) -> Self {
        Self::of(listener.accept().unwrap().0)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next message; `None` when the connection has ended.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut octets = [0; 4_096];
        loop {
            if let Some(len) = whole(&self.rest) {
                let message = self.rest.drain(..len).collect();
                return Some(String::from_utf8(message).unwrap());
            }
            match self.stream.read(&mut octets) {
                Ok(0) => return None,
                Ok(len) => self.rest.extend_from_slice(&octets[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn message(&mut self) -> String {
        self.next().expect("a message")
    }
}

/// The length of the first message, read naively.
fn whole(octets: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(octets);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head].lines().find_map(|line| line.strip_prefix("Content-Length:"))?;
    let len = head + length.trim().parse::<usize>().unwrap();
    (octets.len() >= len).then_some(len)
}

pub(crate) fn message(number: usize, sent_by: SocketAddr, body: &str) -> String {
    format!(
        "MESSAGE sip:u{number}@example.net SIP/2.0\r\n\
         Via: SIP/2.0/TCP {sent_by};branch=z9hG4bKs{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.net>;tag={number}\r\n\
         To: <sip:u{number}@example.net>\r\nCall-ID: {number}\r\nCSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A final response to a request as it arrived.
pub(crate) fn answer(request: &str, status: &str) -> String {
    let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let fields: Vec<&str> =
        request.lines().filter(|line| kept.iter().any(|name| line.starts_with(name))).collect();
    format!("SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", fields.join("\r\n"))
}

pub(crate) fn account(service: &Service) -> Account {
    let accounts = service.accounts().unwrap();
    let started = std::time::Instant::now();
    loop {
        if let Some(account) = accounts.pop() {
            return account;
        }
        assert!(started.elapsed() < PATIENCE, "no account came");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

pub(crate) fn until(what: &str, happened: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn messages_pass_over_trunks_and_workers_allocate_nothing() {
    for workers in [1, 3] {
        let (sms, im) = (listener(SMS), listener(IM));
        let own = sms.local_addr().unwrap();
        let service = service(own, &[im.local_addr().unwrap()], workers, "");
        let to = service.addresses()[0];
        let mut trunks: Vec<Line> = (0..2).map(|_| Line::from(SMS, to)).collect();
        let answering = std::thread::spawn(move || {
            let mut ends = Vec::new();
            for _ in 0..workers {
                let mut line = Line::accept(&im);
                ends.push(std::thread::spawn(move || {
                    let mut seen = 0;
                    while let Some(request) = line.next() {
                        assert!(request.contains("\r\nVia: SIP/2.0/TCP 127.0.0.1:"), "{request}");
                        line.send(&answer(&request, "200 OK"));
                        seen += 1;
                    }
                    seen
                }));
            }
            ends.into_iter().map(|end| end.join().unwrap()).sum::<usize>()
        });
        const EACH: usize = 300;
        for (at, trunk) in trunks.iter_mut().enumerate() {
            let all: String =
                (0..EACH).map(|number| message(at * EACH + number, own, "hello")).collect();
            // Cut where no message ends.
            for piece in all.as_bytes().chunks(1_111) {
                trunk.stream.write_all(piece).unwrap();
            }
        }
        for trunk in &mut trunks {
            for _ in 0..EACH {
                let response = trunk.message();
                assert!(response.starts_with("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.2:"));
            }
        }
        let total = service.total();
        for _ in 0..2 * EACH {
            assert_eq!(account(&service).verdict, Verdict::Delivered);
        }
        assert_eq!(total.read(Counter::Retransmissions), 0);
        assert_eq!(total.read(Counter::Allocations), 0, "{workers} workers");
        assert_eq!(total.read(Counter::ConnectionsOpened), workers as u64);
        service.stop();
        assert_eq!(answering.join().unwrap(), 2 * EACH, "every message once");
    }
}

#[test]
fn a_report_finds_its_way_when_its_connection_has_ended() {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let service = service(own, &[im.local_addr().unwrap()], 1, "");
    let mut trunk = Line::from(SMS, service.addresses()[0]);
    trunk.send(&message(1, own, "hello"));
    let mut server = Line::accept(&im);
    let request = server.message();
    drop(trunk);
    let total = service.total();
    until("the end is noticed", || total.read(Counter::ConnectionsEnded) == 1);
    server.send(&answer(&request, "200 OK"));
    // RFC 3261 section 18.2.2: to the address it came from, at the port of sent-by.
    let response = Line::accept(&sms).message();
    assert!(response.starts_with("SIP/2.0 200 OK\r\n"), "{response}");
    assert_eq!(account(&service).verdict, Verdict::Delivered);
    service.stop();
}

#[test]
fn an_answer_on_another_connection_is_an_answer() {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let service = service(own, &[im.local_addr().unwrap()], 1, "");
    let to = service.addresses()[0];
    let mut trunk = Line::from(SMS, to);
    trunk.send(&message(1, own, "hello"));
    let mut server = Line::accept(&im);
    let request = server.message();
    drop(server);
    Line::from(IM, to).send(&answer(&request, "200 OK"));
    assert!(trunk.message().starts_with("SIP/2.0 200 OK\r\n"));
    assert_eq!(account(&service).verdict, Verdict::Delivered);
    service.stop();
}

#[test]
fn a_connection_that_ends_after_the_request_proves_nothing() {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let second = listener(IM);
    let servers = [im.local_addr().unwrap(), second.local_addr().unwrap()];
    let service = service(own, &servers, 1, "");
    let mut trunk = Line::from(SMS, service.addresses()[0]);
    trunk.send(&message(1, own, "hello"));
    let mut server = Line::accept(&im);
    server.message();
    drop(server);
    let told = account(&service);
    assert_eq!((told.verdict, told.report), (Verdict::Unknown, Report::Silence));
    // Nobody else was asked: the first one may have it.
    second.set_nonblocking(true).unwrap();
    assert_eq!(second.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    service.stop();
}

#[test]
fn a_server_that_refuses_connections_is_passed_over() {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let nobody = listener(IM).local_addr().unwrap();
    let service = service(own, &[nobody, im.local_addr().unwrap()], 1, "");
    let mut trunk = Line::from(SMS, service.addresses()[0]);
    trunk.send(&message(1, own, "hello"));
    let mut server = Line::accept(&im);
    let request = server.message();
    server.send(&answer(&request, "200 OK"));
    assert!(trunk.message().starts_with("SIP/2.0 200 OK\r\n"));
    assert_eq!(account(&service).verdict, Verdict::Delivered);
    service.stop();
}

#[test]
fn where_nobody_can_be_reached_it_is_certain_that_nothing_left() {
    let sms = listener(SMS);
    let own = sms.local_addr().unwrap();
    let nobody = listener(IM).local_addr().unwrap();
    let service = service(own, &[nobody], 1, "");
    let mut trunk = Line::from(SMS, service.addresses()[0]);
    trunk.send(&message(1, own, "hello"));
    assert!(trunk.message().starts_with("SIP/2.0 500 "));
    assert_eq!(account(&service).verdict, Verdict::Temporary);
    service.stop();
}

#[test]
fn what_cannot_be_framed_ends_the_connection_and_nothing_after_it_is_taken() {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let service = service(own, &[im.local_addr().unwrap()], 1, "");
    let mut trunk = Line::from(SMS, service.addresses()[0]);
    let whole = message(1, own, "hello");
    let twice = whole.replace("Content-Length: 5", "Content-Length: 5\r\nContent-Length: 4");
    trunk.send(&(twice + &message(2, own, "never")));
    assert_eq!(trunk.next(), None);
    let total = service.total();
    assert_eq!(total.read(Counter::ClosedUnframed), 1);
    assert_eq!(total.read(Counter::MessagesAccepted), 0);
    service.stop();
}

#[test]
fn strangers_are_not_let_in_and_peers_only_so_often() {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let limits = "connections = 10\nconnections_per_source = 3\n";
    let service = service(own, &[im.local_addr().unwrap()], 1, limits);
    let to = service.addresses()[0];
    assert_eq!(Line::from("127.0.0.99", to).next(), None);
    let mut lines: Vec<Line> = (0..3).map(|_| Line::from(SMS, to)).collect();
    assert_eq!(Line::from(SMS, to).next(), None);
    let total = service.total();
    assert_eq!(total.read(Counter::ConnectionsRefused), 2);
    assert_eq!(total.read(Counter::ConnectionsOpen), 3);
    // Those that are there are served, and who leaves makes room.
    lines[0].send("\r\n\r\n");
    let mut pong = [0; 2];
    lines[0].stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    drop(lines.pop());
    until("one has left", || total.read(Counter::ConnectionsOpen) == 2);
    let mut line = Line::from(SMS, to);
    line.send(&message(1, own, "hello").replace("MESSAGE", "OPTIONS"));
    assert!(line.message().starts_with("SIP/2.0 200 OK\r\n"));
    service.stop();
}

#[test]
fn more_connections_than_files_are_refused_at_the_start() {
    let (sms, im) = (listener(SMS), listener(IM));
    let text = format!(
        "[workers]\ncount = 64\ncpus = \"any\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
         [[peer]]\nname = \"s\"\nside = \"sms\"\naddress = \"{}\"\n\
         [[peer]]\nname = \"i\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{}\"\n\
         [capacity]\nrate = 1000\nopen = 1024\nconnections = 60000\n",
        sms.local_addr().unwrap(),
        im.local_addr().unwrap()
    );
    let config = Config::parse(&text, "test").unwrap();
    let error = Service::start(&config, false).unwrap_err();
    assert!(matches!(error, StartError::FewFiles { wanted: 3_840_000.., .. }), "{error:?}");
    assert!(error.to_string().contains("raise RLIMIT_NOFILE"));
}

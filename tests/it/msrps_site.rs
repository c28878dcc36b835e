//! A service with MSRP over TLS between a service centre and a phone, all on real sockets. The phone is
//! written by hand: its SIP and MSRP are text, its hash values are made here.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use roger::config::Config;
use roger::delivery::Account;
use roger::metrics::Counter;
use roger::oam::Service;
use sha2::Digest;

use crate::bench::{answer, answer_with, field};
use crate::pki::{Authority, Certified};
use crate::short::Short;
use crate::status_socket::Directory;
use crate::tls_site::Channel;

/// Nothing on loopback takes that long.
const PATIENCE: Duration = Duration::from_secs(8);

/// The drivers of this machine.
pub(crate) fn drivers() -> Vec<&'static str> {
    let tally = Arc::new(roger::metrics::Tally::new(0));
    match roger::io::Driver::open(Vec::new(), roger::io::Choice::Uring, tally) {
        Ok(_) => Vec::from(["io_uring", "mmsg"]),
        Err(_) => Vec::from(["mmsg"]),
    }
}

pub(crate) struct Site {
    pub(crate) service: Service,
    pub(crate) authority: Authority,
    directory: Directory,
    accounts: Arc<ArrayQueue<Account>>,
    sms: UdpSocket,
    im: UdpSocket,
}

/// A dialog with the phone, offered to it.
pub(crate) struct Offered {
    invite: String,
    /// The path and the fingerprint in the offer.
    pub(crate) path: String,
    pub(crate) fingerprint: String,
    tag: String,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}

impl Site {
    /// With two workers that move octets by this driver.
    pub(crate) fn new(name: &str, driver: &str) -> Self {
        Self::with_workers(name, driver, 2)
    }

    pub(crate) fn with_workers(name: &str, driver: &str, workers: usize) -> Self {
        let directory = Directory::new(&format!("{name}-{driver}"));
        let authority = Authority::new("test");
        authority.certify(&["roger.example"]).write(&directory.0, "roger");
        authority.write(&directory.0.join("ca.pem"));
        let (sms, im) = (socket(), socket());
        let path = |name: &str| directory.0.join(name).display().to_string();
        let text = format!(
            "[workers]\ncpus = \"any\"\ncount = {workers}\npolling = \"wait\"\ndriver = \"{driver}\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntransports = \"msrps\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntransports = \"msrp\"\n\
             [[peer]]\nname = \"sbc\"\nside = \"sms\"\ntrusted = true\naddress = \"{}\"\n\
             [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{}\"\n\
             msrp = \"endpoint\"\nmsrp_transport = \"tls\"\n\
             [route]\noutbound_proxies = \"im\"\n[gateway]\npager_max = 500\n\
             [tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n\
             [capacity]\nrate = 100\nopen = 64\nopen_large = 4\nconnections = 40\n\
             [large]\nsessions = 32\nconnections = 16\n",
            sms.local_addr().unwrap(),
            im.local_addr().unwrap(),
            path("roger.pem"),
            path("roger.key"),
            path("ca.pem"),
        );
        let service = Service::start(&Config::parse(&text, "test").unwrap(), true).unwrap();
        let accounts = service.accounts().unwrap();
        Self { service, authority, directory, accounts, sms, im }
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.service.total().read(counter)
    }

    /// The program has another certificate from here on.
    pub(crate) fn renew(&self) {
        self.authority.certify(&["roger.example"]).write(&self.directory.0, "roger");
        self.service.renew_certificates().unwrap().unwrap();
    }

    /// Where the first worker listens for MSRP, with TLS and without.
    pub(crate) fn msrp(&self) -> [SocketAddr; 2] {
        [self.service.msrp_addresses()[0][0], self.service.msrp_addresses()[0][1]]
    }

    /// Submits a message that is too long for a MESSAGE; the session that is offered for it.
    pub(crate) fn submit(&self, number: u32) -> Offered {
        let recipient = format!("sip:+1555000{number:04}@im.example;user=phone");
        let short = Short { recipient, ..Short::new(number, &"\u{20AC}".repeat(65)) };
        self.sms.send_to(&short.request(), self.service.addresses()[0]).unwrap();
        self.offered()
    }

    /// The next session that is offered to the phone.
    pub(crate) fn offered(&self) -> Offered {
        let invite = self.wait("INVITE");
        let line = |begin: &str| {
            let rest = invite.split(begin).nth(1).unwrap_or_else(|| panic!("{begin} in {invite}"));
            rest.split("\r\n").next().unwrap().to_owned()
        };
        assert!(invite.contains(" TCP/TLS/MSRP *\r\n"), "{invite}");
        let (path, fingerprint) = (line("a=path:"), line("a=fingerprint:"));
        let tag = format!("p{}", field(&invite, "call-id").len());
        Offered { invite, path, fingerprint, tag }
    }

    /// The phone takes a session: `lines` are those of its SDP behind `a=path`.
    pub(crate) fn take(&self, offered: &Offered, at: SocketAddr, lines: &str) {
        self.take_by(offered, (at, &phone(at)), lines);
    }

    /// The same where this path leads to it, which begins here.
    pub(crate) fn take_by(&self, offered: &Offered, (at, path): (SocketAddr, &str), lines: &str) {
        let port = at.port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=message {port} TCP/TLS/MSRP *\r\na=path:{path}\r\na=accept-types:text/plain\r\n\
             a=recvonly\r\n{lines}"
        );
        let contact = self.im.local_addr().unwrap();
        let fields = format!("Contact: <sip:phone@{contact}>\r\nContent-Type: application/sdp\r\n");
        let text = answer_with(&offered.invite, "200 OK", &fields);
        let text = text.replace(";tag=uas", &format!(";tag={}", offered.tag));
        let length = format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len());
        self.im_sends(&text.replace("Content-Length: 0\r\n\r\n", &length));
        self.wait("ACK");
    }

    fn im_sends(&self, text: &str) {
        self.im.send_to(text.as_bytes(), self.service.addresses()[0]).unwrap();
    }

    /// What comes next for the phone or for the centre. Whatever a request of the program is not waited for
    /// is answered 200.
    fn next(&self, of: &str) -> Option<String> {
        for (socket, is_phone) in [(&self.im, true), (&self.sms, false)] {
            let mut octets = [0; 9_000];
            let Ok((len, from)) = socket.recv_from(&mut octets) else { continue };
            let text = String::from_utf8_lossy(&octets[..len]).into_owned();
            if is_phone && text.starts_with(of) {
                return Some(text);
            }
            if !text.starts_with("SIP/2.0") && !text.starts_with("ACK ") {
                let ok = answer(&text, "200 OK").replace(";tag=p1;tag=uas", ";tag=p1");
                socket.send_to(ok.as_bytes(), from).unwrap();
            }
        }
        None
    }

    /// The next request with this method to the phone.
    #[track_caller]
    pub(crate) fn wait(&self, method: &str) -> String {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(text) = self.next(&format!("{method} ")) {
                return text;
            }
        }
        panic!("no {method}");
    }

    /// The account of the next message that is over. Every other session that is offered meanwhile is refused.
    #[track_caller]
    pub(crate) fn account(&self) -> Account {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(account) = self.accounts.pop() {
                return account;
            }
            if let Some(invite) = self.next("INVITE ") {
                self.im_sends(&answer(&invite, "486 Busy Here"));
            }
        }
        panic!("no account");
    }

    /// Waits until so many were counted.
    #[track_caller]
    pub(crate) fn wait_for(&self, counter: Counter, count: u64) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if self.count(counter) == count {
                return;
            }
            self.next("nothing");
        }
        panic!("{} is {} and not {count}", counter.name(), self.count(counter));
    }

    /// The phone connects to the program, as `own`.
    pub(crate) fn connect(&self, to: SocketAddr, own: Option<&Certified>) -> Channel {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Channel::client(stream, self.authority.client(own))
    }

    /// The program connects to the phone, which is `own`.
    #[track_caller]
    pub(crate) fn accept(&self, listener: &TcpListener, own: &Certified) -> Channel {
        let since = Instant::now();
        listener.set_nonblocking(true).unwrap();
        while since.elapsed() < PATIENCE {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                return Channel::accepted(stream, self.authority.server(own));
            }
            self.next("nothing");
        }
        panic!("nobody connects");
    }
}

/// The MSRP URI of the phone.
pub(crate) fn phone(at: SocketAddr) -> String {
    format!("msrps://{at}/ph0ne;tcp")
}

/// The fingerprint of a certificate as SDP has it.
pub(crate) fn fingerprint(own: &Certified) -> String {
    format!("SHA-256 {}", hexadecimal(&sha2::Sha256::digest(&own.chain()[0])))
}

pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    let each: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    each.join(":")
}

/// The place that an MSRP URI names.
pub(crate) fn place(uri: &str) -> SocketAddr {
    let rest = uri.strip_prefix("msrps://").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

impl Channel {
    /// The next request or response of MSRP.
    pub(crate) fn chunk(&mut self) -> String {
        let mut text = Vec::new();
        let end = |text: &[u8]| {
            let id = text.split(|octet| *octet == b' ').nth(1).map(<[u8]>::to_vec);
            let begin = [b"\r\n-------", id.unwrap_or_default().as_slice()].concat();
            text.ends_with(b"$\r\n") && text[..text.len() - 3].ends_with(&begin)
        };
        while !end(&text) {
            let mut octet = [0];
            let read = self.octets.read(&mut octet).unwrap();
            assert_eq!(read, 1, "closed behind {}", String::from_utf8_lossy(&text));
            text.push(octet[0]);
        }
        String::from_utf8(text).unwrap()
    }

    /// The empty SEND by which the phone says which session this connection has.
    pub(crate) fn says_who(&mut self, offered: &Offered, phone: &str) {
        self.send(&first(offered, phone));
    }

    /// Takes the message with 200.
    pub(crate) fn take_message(&mut self) -> String {
        let send = self.chunk();
        assert!(send.contains(" SEND\r\n"), "{send}");
        let value = |name: &str| {
            let rest = send.split(&format!("\r\n{name}: ")).nth(1).unwrap();
            rest.split("\r\n").next().unwrap().to_owned()
        };
        let id = send.split(' ').nth(1).unwrap();
        self.send(&format!(
            "MSRP {id} 200 OK\r\nTo-Path: {}\r\nFrom-Path: {}\r\n-------{id}$\r\n",
            value("From-Path"),
            value("To-Path"),
        ));
        send
    }
}

/// An empty SEND of the phone.
pub(crate) fn first(offered: &Offered, phone: &str) -> String {
    format!(
        "MSRP f1rst SEND\r\nTo-Path: {}\r\nFrom-Path: {phone}\r\nMessage-ID: f1rst\r\n\
         Byte-Range: 1-0/0\r\n-------f1rst$\r\n",
        offered.path
    )
}

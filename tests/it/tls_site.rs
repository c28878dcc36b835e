//! A service that speaks TLS, and who speaks it with it, all with certificates of their own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use roger::config::Config;
use roger::metrics::Counter;
use roger::oam::Service;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection, StreamOwned,
};
use socket2::{Domain, Socket, Type};

use crate::pki::{Authority, Certified};
use crate::status_socket::Directory;

/// Nothing on loopback takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where each of them is: all on loopback, each at an address of his own.
pub(crate) const SMS: &str = "127.0.0.2";
pub(crate) const IM: &str = "127.0.0.3";
pub(crate) const OTHER: &str = "127.0.0.4";

pub(crate) struct Site {
    pub(crate) directory: Directory,
    pub(crate) authority: Authority,
    /// The certificate of the service.
    pub(crate) own: Certified,
    pub(crate) im: TcpListener,
    /// The second server of the IM side.
    pub(crate) other: TcpListener,
    pub(crate) service: Service,
}

/// A peer as the configuration has it.
pub(crate) fn peer(name: &str, side: &str, address: &str, more: &str) -> String {
    let role = if side == "im" { "role = \"endpoint\"\n" } else { "" };
    format!(
        "[[peer]]\nname = \"{name}\"\nside = \"{side}\"\n{role}address = \"{address}\"\n\
         transport = \"tls\"\ntls_name = \"{name}.example\"\n{more}"
    )
}

/// A configuration with certificates in `directory`, and `more` at its end.
pub(crate) fn config(directory: &Directory, peers: &str, tls: &str, more: &str) -> String {
    let path = |name: &str| directory.0.join(name).display().to_string();
    format!(
        "[workers]\ncpus = \"any\"\ncount = 2\npolling = \"wait\"\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\ntransports = [\"tls\"]\n\
         advertise = \"roger.example:5061\"\n{peers}\
         [tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n{tls}\
         [capacity]\nrate = 100\nopen = 64\nopen_large = 4\nconnections = 200\n{more}",
        path("roger.pem"),
        path("roger.key"),
        path("ca.pem"),
    )
}

impl Site {
    /// With one peer on the SMS side and two servers on the IM side.
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, "", true)
    }

    /// With `more` peers. If it is `mutual`, who connects has to show a certificate.
    pub(crate) fn with(name: &str, more: &str, mutual: bool) -> Self {
        let directory = Directory::new(name);
        let authority = Authority::new("test");
        let own = authority.certify(&["roger.example"]);
        own.write(&directory.0, "roger");
        authority.write(&directory.0.join("ca.pem"));
        let listener = |ip: &str| TcpListener::bind((ip, 0)).unwrap();
        let (im, other) = (listener(IM), listener(OTHER));
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let peers = [
            peer("sms", "sms", &format!("{SMS}:5061"), ""),
            peer("im", "im", &address(&im), ""),
            peer("other", "im", &address(&other), ""),
            more.to_owned(),
        ];
        let client_ca = format!("client_ca = \"{}\"\n", directory.0.join("ca.pem").display());
        let tls = if mutual { client_ca.as_str() } else { "" };
        let route = "[route]\noutbound_proxies = [\"im\", \"other\"]\n";
        let text = config(&directory, &peers.concat(), tls, route);
        let service = Service::start(&Config::parse(&text, "test").unwrap(), false).unwrap();
        Self { directory, authority, own, im, other, service }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.service.addresses()[0]
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.service.total().read(counter)
    }

    /// Waits until so many were counted.
    #[track_caller]
    pub(crate) fn wait_for(&self, counter: Counter, count: u64) {
        for _ in 0..2_000 {
            if self.count(counter) == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} is {} and not {count}", counter.name(), self.count(counter));
    }

    /// Connects from this address, with a certificate that has this name.
    pub(crate) fn connect(&self, from: &str, name: &str) -> Channel {
        let own = self.authority.certify(&[name]);
        self.connect_with(from, self.authority.client(Some(&own)))
    }

    pub(crate) fn connect_with(&self, from: &str, config: Arc<ClientConfig>) -> Channel {
        let stream = tcp((ip(from), 0).into(), self.address());
        Channel::client(stream, config)
    }

    /// What the service opens to a server that has a certificate with this name.
    pub(crate) fn accept(&self, listener: &TcpListener, name: &str) -> Channel {
        let own = self.authority.certify(&[name]);
        Channel::server(listener, self.authority.server(&own))
    }

    /// The channel on which the SMS side sends, and one message that it sends.
    pub(crate) fn sms(&self) -> Channel {
        self.connect(SMS, "sms.example")
    }
}

/// Connects from a certain address.
pub(crate) fn tcp(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Plain octets both ways.
pub(crate) trait Octets: Read + Write {}
impl<T: Read + Write> Octets for T {}

/// One end of an encrypted connection.
pub(crate) struct Channel {
    pub(crate) octets: Box<dyn Octets>,
    /// Of whoever is at the other end.
    pub(crate) shown: Option<Vec<u8>>,
    /// Whether everything was proved anew.
    pub(crate) is_full: bool,
}

impl Channel {
    /// Shakes hands as a client; what goes wrong shows when octets are exchanged.
    pub(crate) fn client(mut stream: TcpStream, config: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("roger.example").unwrap();
        let mut session = ClientConnection::new(config, name).unwrap();
        while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
        let shown = session.peer_certificates().map(|chain| chain[0].to_vec());
        let is_full = session.handshake_kind() == Some(HandshakeKind::Full);
        Self { octets: Box::new(StreamOwned::new(session, stream)), shown, is_full }
    }

    /// Waits for a connection and shakes hands.
    pub(crate) fn server(listener: &TcpListener, config: Arc<ServerConfig>) -> Self {
        Self::accepted(listener.accept().unwrap().0, config)
    }

    /// Shakes hands with somebody who has connected.
    pub(crate) fn accepted(mut stream: TcpStream, config: Arc<ServerConfig>) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut session = ServerConnection::new(config).unwrap();
        while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
        let shown = session.peer_certificates().map(|chain| chain[0].to_vec());
        let is_full = session.handshake_kind() == Some(HandshakeKind::Full);
        Self { octets: Box::new(StreamOwned::new(session, stream)), shown, is_full }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.octets.write_all(text.as_bytes()).unwrap();
        self.octets.flush().unwrap();
    }

    /// The next message, which has no body.
    pub(crate) fn get(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            let mut octet = [0];
            self.octets.read_exact(&mut octet).unwrap();
            text.push(char::from(octet[0]));
        }
        text
    }

    /// Whether the other end closes the connection, whatever it says about it, without a message.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut octet = [0];
        loop {
            match self.octets.read(&mut octet) {
                Ok(0) => return true,
                Ok(_) => return false,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, request: &str, status: &str) {
        let wanted = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let is_wanted = |line: &&str| wanted.iter().any(|name| line.starts_with(name));
        let lines: Vec<&str> = request.split("\r\n").filter(is_wanted).collect();
        let text = lines
            .join("\r\n")
            .replace("To: <sip:bob@example.net>", "To: <sip:bob@example.net>;tag=9");
        self.send(&format!("SIP/2.0 {status}\r\n{text}\r\nContent-Length: 0\r\n\r\n"));
    }
}

/// A MESSAGE of the SMS side.
pub(crate) fn message(number: u32) -> String {
    format!(
        "MESSAGE sip:bob@example.net SIP/2.0\r\n\
         Via: SIP/2.0/TLS {SMS}:5061;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.net>;tag=1\r\nTo: <sip:bob@example.net>\r\n\
         Call-ID: {number}\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    )
}

/// An IP address as a number of it is written.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

//! A system under test that makes a session of each MESSAGE, and is wrong about what came of it. It reads and
//! writes SIP, SDP and MSRP as text.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::bench::{answer, field};

/// How many kinds of messages there are: most are carried as they should be.
pub(super) const KINDS: u32 = 10;

/// What is done to message `number`, by the remainder of its division by [`KINDS`].
const ALTERS: u32 = 1;
const CUTS: u32 = 2;
const STOPS: u32 = 3;
const BELIEVES: u32 = 4;
const SENDS_TWICE: u32 = 5;
const REPEATS: u32 = 6;
const DENIES: u32 = 7;

/// Nothing on loopback takes that long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway that has not started.
pub(super) struct Gateway {
    sms: UdpSocket,
    im: UdpSocket,
}

impl Gateway {
    pub(super) fn bind() -> Self {
        let [sms, im] = [0, 1].map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        });
        Self { sms, im }
    }

    /// Where messages go.
    pub(super) fn address(&self) -> SocketAddr {
        self.sms.local_addr().unwrap()
    }

    /// Begins to carry messages to `answering`, until nothing comes any more.
    pub(super) fn start(self, answering: SocketAddr) {
        thread::spawn(move || {
            let mut octets = [0; 4_096];
            let mut known = BTreeSet::new();
            while let Ok((len, source)) = self.sms.recv_from(&mut octets) {
                let request = core::str::from_utf8(&octets[..len]).unwrap();
                if known.insert(field(request, "Call-ID").to_owned()) {
                    let status = self.carry(request, answering);
                    self.sms.send_to(answer(request, status).as_bytes(), source).unwrap();
                }
            }
        });
    }

    /// Carries a message; what its sender is told.
    fn carry(&self, request: &str, answering: SocketAddr) -> &'static str {
        let number = u32::from_str_radix(&field(request, "Call-ID")[9..17], 16).unwrap();
        let kind = number % KINDS;
        let text = request.split_once("\r\n\r\n").unwrap().1.as_bytes();
        let mut session = Session::open(&self.im, answering, number);
        let mut octets = text.to_vec();
        match kind {
            ALTERS => octets[100] ^= 1,
            CUTS => octets.truncate(60),
            _ => {}
        }
        let len = octets.len();
        if kind == STOPS {
            session.send("whole", &octets[..60], &format!("1-60/{len}"), '+');
        }
        let said = match kind {
            STOPS => 200,
            _ => session.send("whole", &octets, &format!("1-{len}/{len}"), '$'),
        };
        match kind {
            SENDS_TWICE => drop(session.send("other", &octets, &format!("1-{len}/{len}"), '$')),
            REPEATS => drop(session.send("whole", &octets, &format!("1-{len}/{len}"), '$')),
            _ => {}
        }
        session.close();
        match (kind, said) {
            (DENIES, _) => "480 Temporarily Unavailable",
            (BELIEVES, _) | (_, 200) => "200 OK",
            _ => "413 Message Too Large",
        }
    }
}

/// One session.
struct Session<'a> {
    im: &'a UdpSocket,
    answering: SocketAddr,
    number: u32,
    to: String,
    path: String,
    stream: TcpStream,
    sends: u32,
}

impl<'a> Session<'a> {
    fn open(im: &'a UdpSocket, answering: SocketAddr, number: u32) -> Self {
        let own = im.local_addr().unwrap();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=message 9 TCP/MSRP *\r\na=accept-types:text/plain\r\n\
             a=path:{}\r\na=setup:active\r\na=sendonly\r\n",
            Self::own_path(number)
        );
        let fields = format!("Contact: <sip:gw@{own}>\r\nContent-Type: application/sdp\r\n");
        request(im, answering, (number, "INVITE", "1 INVITE"), "<sip:u@im>", &fields, &sdp);
        let response = final_response(im, "1 INVITE");
        assert!(response.starts_with("SIP/2.0 200 "), "{response}");
        let to = field(&response, "To").to_owned();
        request(im, answering, (number, "ACK", "1 ACK"), &to, "", "");
        let path = response.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap();
        let first = path.split(' ').next().unwrap();
        let place = first.strip_prefix("msrp://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(place).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { im, answering, number, to, path: path.to_owned(), stream, sends: 0 }
    }

    fn own_path(number: u32) -> String {
        format!("msrp://127.0.0.1:9/gateway{number};tcp")
    }

    /// Sends a chunk; the status of its response.
    fn send(&mut self, message_id: &str, octets: &[u8], range: &str, flag: char) -> u16 {
        self.sends += 1;
        let id = format!("gate{:04}{}", self.number, self.sends);
        let head = format!(
            "MSRP {id} SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {message_id}{}\r\n\
             Success-Report: yes\r\nByte-Range: {range}\r\nContent-Type: text/plain\r\n\r\n",
            self.path,
            Self::own_path(self.number),
            self.number
        );
        let end = format!("\r\n-------{id}{flag}\r\n");
        self.stream.write_all(&[head.as_bytes(), octets, end.as_bytes()].concat()).unwrap();
        let begin = format!("MSRP {id} ");
        let mut heard = Vec::new();
        loop {
            let mut room = [0; 4_096];
            let len = self.stream.read(&mut room).unwrap();
            assert!(len > 0, "it hung up");
            heard.extend_from_slice(&room[..len]);
            let text = core::str::from_utf8(&heard).unwrap();
            if let Some(status) = text.split(&begin).nth(1).and_then(|rest| rest.get(..3)) {
                return status.parse().unwrap();
            }
        }
    }

    fn close(self) {
        request(self.im, self.answering, (self.number, "BYE", "2 BYE"), &self.to, "", "");
        final_response(self.im, "2 BYE");
    }
}

/// Sends a request of the dialog that this message has.
fn request(
    im: &UdpSocket,
    answering: SocketAddr,
    (number, method, cseq): (u32, &str, &str),
    to: &str,
    fields: &str,
    body: &str,
) {
    let own = im.local_addr().unwrap();
    let text = format!(
        "{method} sip:u@{answering} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {own};branch=z9hG4bK{number}{method};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:gw@im>;tag=gw{number}\r\nTo: {to}\r\n\
         Call-ID: {number}@gateway\r\nCSeq: {cseq}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    im.send_to(text.as_bytes(), answering).unwrap();
}

fn final_response(im: &UdpSocket, cseq: &str) -> String {
    let mut octets = [0; 4_096];
    loop {
        let (len, _) = im.recv_from(&mut octets).unwrap();
        let text = core::str::from_utf8(&octets[..len]).unwrap();
        if field(text, "CSeq") == cseq && !text.starts_with("SIP/2.0 1") {
            return text.to_owned();
        }
    }
}

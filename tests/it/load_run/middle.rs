//! A system under test that does one wrong thing to each message.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

/// How many wrong things there are, and one right thing.
pub(super) const KINDS: u32 = 8;

/// What is done to message `number`, by the remainder of its division by [`KINDS`].
const LOSES_REQUEST: u32 = 1;
const LOSES_ANSWER: u32 = 2;
const DUPLICATES: u32 = 3;
const LIES: u32 = 4;
const CHANGES: u32 = 5;
const CONTRADICTS: u32 = 6;

/// A proxy that has not started.
pub(super) struct Middle {
    socket: UdpSocket,
}

impl Middle {
    pub(super) fn bind() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Begins to pass messages on to `answering`, until nothing comes any more.
    pub(super) fn start(self, answering: SocketAddr) {
        thread::spawn(move || {
            let mut octets = [0; 4_096];
            let mut sending = None;
            let mut first = true;
            while let Ok((len, source)) = self.socket.recv_from(&mut octets) {
                let text = String::from_utf8_lossy(&octets[..len]).into_owned();
                if text.starts_with("MESSAGE ") {
                    sending = Some(source);
                    if std::mem::take(&mut first) {
                        self.disturb(source, answering);
                    }
                    self.on_request(&text, source, answering);
                } else if let Some(sending) = sending {
                    self.on_response(&text, sending);
                }
            }
        });
    }

    fn send(&self, text: &str, to: SocketAddr) {
        self.socket.send_to(text.as_bytes(), to).unwrap();
    }

    /// What belongs to no message of the run.
    fn disturb(&self, sending: SocketAddr, answering: SocketAddr) {
        let own = self.address();
        self.send("\r\n\r\n", answering);
        self.send("no SIP at all", answering);
        self.send("no SIP at all", sending);
        let fields = "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\
                      Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
        let via = format!("Via: SIP/2.0/UDP {own};branch=z9hG4bKstray\r\n");
        self.send(&format!("MESSAGE sip:c@d SIP/2.0\r\n{via}{fields}"), answering);
        self.send(&format!("SIP/2.0 200 OK\r\n{via}{fields}"), sending);
    }

    fn on_request(&self, text: &str, source: SocketAddr, answering: SocketAddr) {
        let kind = number_of(text) % KINDS;
        match kind {
            LOSES_REQUEST => return,
            LIES => return self.send(&answered(text, "200 OK"), source),
            _ => {}
        }
        let own = self.address();
        let (first, rest) = text.split_once("\r\n").unwrap();
        for copy in 0..if kind == DUPLICATES { 2 } else { 1 } {
            let number = number_of(text);
            let via = format!("Via: SIP/2.0/UDP {own};branch=z9hG4bKmiddle{number}-{copy};rport");
            self.send(&format!("{first}\r\n{via}\r\n{rest}"), answering);
        }
    }

    fn on_response(&self, text: &str, sending: SocketAddr) {
        // What was disturbed is none of the sender's business.
        if text.contains("branch=z9hG4bKstray") {
            return;
        }
        let (first, rest) = text.split_once("\r\n").unwrap();
        let (own, rest) = rest.split_once("\r\n").unwrap();
        assert!(own.contains("z9hG4bKmiddle"), "{text}");
        let kind = number_of(text) % KINDS;
        match kind {
            LOSES_ANSWER => {}
            CHANGES => self.send(&format!("SIP/2.0 480 Gone\r\n{rest}"), sending),
            _ => self.send(&format!("{first}\r\n{rest}"), sending),
        }
        if kind == CONTRADICTS {
            self.send(&format!("SIP/2.0 486 Busy\r\n{rest}"), sending);
        }
    }
}

/// The number of the message, out of its Call-ID.
fn number_of(text: &str) -> u32 {
    let call_id = text.split("\r\nCall-ID: ").nth(1).unwrap();
    u32::from_str_radix(&call_id[9..17], 16).unwrap()
}

/// `text` answered by nobody who has it.
fn answered(text: &str, status: &str) -> String {
    let mut response = format!("SIP/2.0 {status}\r\n");
    for line in text.split("\r\n").take_while(|line| !line.is_empty()) {
        if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            response.push_str(line);
            response.push_str("\r\n");
        }
    }
    response + "Content-Length: 0\r\n\r\n"
}

//! Who is at the other end of a connection: what he says in turn, and what he makes of what he gets.

use std::collections::VecDeque;

use super::super::*;
use super::PEERS;
use crate::wire::msrp::{Event, Head, Method, Reader, head};

/// What a peer has got.
pub(super) enum Received {
    Octets {
        message_id: String,
        start: u64,
        octets: Vec<u8>,
    },
    End {
        transaction_id: String,
        message_id: String,
        octets: usize,
        flag: Flag,
        is_answered: FailureReport,
    },
    Response {
        transaction_id: String,
        code: u16,
    },
    Report {
        session: usize,
        text: String,
    },
}

#[derive(Debug, Default)]
struct Coming {
    transaction_id: String,
    message_id: String,
    start: u64,
    octets: usize,
    is_answered: FailureReport,
    is_send: bool,
}

#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Whole requests and responses that he will say.
    words: VecDeque<Vec<u8>>,
    /// What he says now, and what of it is on its way.
    saying: Vec<u8>,
    pub(super) unread: Vec<u8>,
    pub(super) unhanded: Vec<u8>,
    pub(super) inbox: Vec<u8>,
    reader: Reader,
    coming: Coming,
    /// Octets that were taken from him, and that were given to him.
    pub(super) said: usize,
    pub(super) heard: usize,
    pub(super) is_stopped: bool,
    pub(super) is_writable: bool,
    pub(super) is_lost: bool,
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

impl Peer {
    /// He will say this, with so many of the last things he will say behind it.
    pub(super) fn say(&mut self, octets: Vec<u8>, behind: usize) {
        if self.is_lost {
            return;
        }
        // Chunks of one message stay in their order: only answers overtake.
        let is_send = octets.windows(5).take(60).any(|window| window == b" SEND");
        let behind = if is_send { 0 } else { behind.min(self.words.len()) };
        self.words.insert(self.words.len() - behind, octets);
    }

    pub(super) fn silence(&mut self) {
        self.words.clear();
        self.saying.clear();
    }

    /// So many more octets of what he says are on their way.
    pub(super) fn speak(&mut self, most: usize) {
        if self.is_lost {
            return;
        }
        while self.saying.len() < most
            && let Some(next) = self.words.pop_front()
        {
            self.saying.extend(next);
        }
        let len = most.min(self.saying.len());
        self.unread.extend(self.saying.drain(..len));
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.words.is_empty()
            && self.saying.is_empty()
            && self.unread.is_empty()
            && self.unhanded.is_empty()
            && self.inbox.is_empty()
    }

    pub(super) fn receive(&mut self) -> Vec<Received> {
        let mut received = Vec::new();
        loop {
            let len = match self.reader.read(&self.inbox) {
                Event::Head { len } => {
                    let octets = self.inbox[..len].to_vec();
                    received.extend(self.head(&octets));
                    len
                }
                Event::Body { len } => {
                    let octets = self.inbox[..len].to_vec();
                    let (message_id, start) = (self.coming.message_id.clone(), self.coming.start);
                    self.coming.start += len as u64;
                    self.coming.octets += len;
                    received.push(Received::Octets { message_id, start, octets });
                    len
                }
                Event::End { flag, len } => {
                    let it = core::mem::take(&mut self.coming);
                    if it.is_send {
                        received.push(Received::End {
                            transaction_id: it.transaction_id,
                            message_id: it.message_id,
                            octets: it.octets,
                            flag,
                            is_answered: it.is_answered,
                        });
                    }
                    len
                }
                Event::Partial { .. } => return received,
                Event::Malformed(wrong) => panic!("{wrong:?}"),
            };
            self.inbox.drain(..len);
        }
    }

    fn head(&mut self, octets: &[u8]) -> Option<Received> {
        let request = match head(octets).unwrap() {
            Head::Response(response) => {
                let transaction_id = text(response.transaction_id.of(octets));
                return Some(Received::Response { transaction_id, code: response.code });
            }
            Head::Request(request) => request,
        };
        assert_eq!(request.fault, None);
        let to_path = text(request.to_path().octets());
        let session = PEERS.iter().position(|peer| *peer == to_path).unwrap();
        let message_id = text(request.fields.message_id.of(octets));
        if request.method == Method::Report {
            let octets = text(octets);
            let fields = &octets[octets.find("Message-ID").unwrap()..];
            return Some(Received::Report { session, text: fields.to_owned() });
        }
        assert_eq!(request.method, Method::Send);
        self.coming = Coming {
            transaction_id: text(request.transaction_id.of(octets)),
            message_id,
            start: request.fields.byte_range.unwrap().start - 1,
            octets: 0,
            is_answered: request.fields.failure_report,
            is_send: true,
        };
        None
    }
}

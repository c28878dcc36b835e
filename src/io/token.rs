//! What a completion is about: the operation's kind and index, carried as its `user_data`.

use crate::packet::SocketId;

/// The name of an operation in the kernel's hands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// The departure in this slot.
    Send(u16),
    /// The multishot receive of this socket.
    Receive(SocketId),
    /// The read of the waker.
    Wake,
    /// A request to cancel others.
    Cancel,
    /// The accept of this number.
    Accept(u16),
    /// The connecting of the connection at this place.
    Connect(u16),
    /// The multishot receive of the connection at this place.
    Read(u16),
    /// The write of the connection at this place.
    Write(u16),
}

const SEND: u8 = 1;
const RECEIVE: u8 = 2;
const WAKE: u8 = 3;
const CANCEL: u8 = 4;
const ACCEPT: u8 = 5;
const CONNECT: u8 = 6;
const READ: u8 = 7;
const WRITE: u8 = 8;

impl Token {
    /// As `user_data`: the kind in the low octet, the index above it.
    pub(super) const fn encode(self) -> u64 {
        let (kind, index) = match self {
            Self::Send(slot) => (SEND, slot),
            Self::Receive(socket) => (RECEIVE, socket.0 as u16),
            Self::Wake => (WAKE, 0),
            Self::Cancel => (CANCEL, 0),
            Self::Accept(number) => (ACCEPT, number),
            Self::Connect(place) => (CONNECT, place),
            Self::Read(place) => (READ, place),
            Self::Write(place) => (WRITE, place),
        };
        kind as u64 | (index as u64) << 8
    }

    /// `None` for what no operation of ours carries.
    pub(super) fn decode(user_data: u64) -> Option<Self> {
        let [kind, low, high, 0, 0, 0, 0, 0] = user_data.to_le_bytes() else {
            return None;
        };
        match (kind, u16::from_le_bytes([low, high])) {
            (SEND, slot) => Some(Self::Send(slot)),
            (RECEIVE, socket) => u8::try_from(socket).ok().map(SocketId).map(Self::Receive),
            (WAKE, 0) => Some(Self::Wake),
            (CANCEL, 0) => Some(Self::Cancel),
            (ACCEPT, number) => Some(Self::Accept(number)),
            (CONNECT, place) => Some(Self::Connect(place)),
            (READ, place) => Some(Self::Read(place)),
            (WRITE, place) => Some(Self::Write(place)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_nothing_else_does() {
        let tokens = [
            Token::Send(0),
            Token::Send(u16::MAX),
            Token::Receive(SocketId(0)),
            Token::Receive(SocketId(u8::MAX)),
            Token::Wake,
            Token::Cancel,
            Token::Accept(7),
            Token::Connect(0),
            Token::Read(u16::MAX),
            Token::Write(1),
        ];
        for token in tokens {
            assert_eq!(Token::decode(token.encode()), Some(token));
            assert_eq!(Token::decode(token.encode() | 1 << 24), None);
        }
        for unknown in [0, 9, 0xFF, 0x1_0003, 0x1_0002, u64::MAX] {
            assert_eq!(Token::decode(unknown), None, "{unknown:#x}");
        }
    }
}

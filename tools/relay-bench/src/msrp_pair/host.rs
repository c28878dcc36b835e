//! Names of sessions and transactions, and the octets of messages.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use roger::limits::MSRP_IDENT_SIZE_MAX;
use roger::session::msrp::{Host, SendingId, Transaction};

/// Digits of a number in a name.
const DIGITS: usize = 8;

/// What an endpoint asks for.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Every message is this.
    body: Box<[u8]>,
    reports: u32,
}

impl Desk {
    pub(crate) fn new(size: usize) -> Self {
        Self { body: core::iter::repeat_n(b'x', size).collect(), reports: 0 }
    }
}

/// Where a sender says that it is; nobody connects to it.
pub(crate) const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7_000);

/// The URI of a session at one end.
pub(crate) fn uri(at: SocketAddr, session: u32) -> String {
    format!("msrp://{at}/s{session:08x};tcp")
}

/// The way to a session, through a relay if there is one.
pub(crate) fn path(relay: Option<SocketAddr>, at: SocketAddr, session: u32) -> String {
    let relay = relay.map(|relay| format!("msrp://{relay}/static;tcp ")).unwrap_or_default();
    relay + &uri(at, session)
}

/// So many hexadecimal digits, each as a letter.
fn put(number: u32, to: &mut [u8]) {
    for (place, digit) in to.iter_mut().enumerate() {
        *digit = b'a' + (number >> (4 * (DIGITS - 1 - place)) & 15).to_le_bytes()[0];
    }
}

fn taken(text: &[u8], first: u8) -> Option<u32> {
    text.iter().try_fold(0, |number, digit| {
        let digit = u32::from(digit.checked_sub(first)?);
        (digit < 16).then_some(number << 4 | digit)
    })
}

impl Host for Desk {
    fn session(&self, session_id: &[u8]) -> Option<u32> {
        let text = core::str::from_utf8(session_id.strip_prefix(b"s")?).ok()?;
        u32::from_str_radix(text, 16).ok()
    }

    fn mint(&mut self, transaction: Transaction, to: &mut [u8; MSRP_IDENT_SIZE_MAX]) -> usize {
        let numbers = match transaction {
            Transaction::Chunk { sending, number, .. } => {
                [sending.index, sending.generation, number]
            }
            Transaction::Carried { .. } => unreachable!("nothing is carried here"),
            Transaction::Report => {
                self.reports = self.reports.wrapping_add(1);
                [u32::MAX, 0, self.reports]
            }
        };
        for (number, to) in numbers.into_iter().zip(to.chunks_exact_mut(DIGITS)) {
            put(number, to);
        }
        numbers.len() * DIGITS
    }

    fn transaction(&self, transaction_id: &[u8]) -> Option<Transaction> {
        let number = |at: usize| taken(transaction_id.get(at * DIGITS..(at + 1) * DIGITS)?, b'a');
        let sending = SendingId::new(number(0)?, number(1)?);
        Some(Transaction::Chunk { sending, number: number(2)?, attempt: 0 })
    }

    fn body(&self, _: u64, start: u64, most: usize) -> &[u8] {
        let rest = usize::try_from(start).ok().and_then(|start| self.body.get(start..));
        let rest = rest.unwrap_or_default();
        &rest[..most.min(rest.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let mut desk = Desk::new(10);
        let sending = SendingId::new(70_000, 3);
        let chunk = Transaction::Chunk { sending, number: 14, attempt: 0 };
        let mut to = [0; MSRP_IDENT_SIZE_MAX];
        let len = desk.mint(chunk, &mut to);
        assert_eq!(desk.transaction(&to[..len]), Some(chunk));
        assert_eq!(desk.transaction(b"somebody-else"), None);
        let id = path(Some(SENDER), SENDER, 10_001);
        let id = id.rsplit('/').next().unwrap().strip_suffix(";tcp").unwrap();
        assert_eq!(desk.session(id.as_bytes()), Some(10_001));
        assert_eq!((desk.body(0, 8, 5), desk.body(0, 11, 5)), (&b"xx"[..], &b""[..]));
    }
}

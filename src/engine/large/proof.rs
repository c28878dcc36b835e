//! Sessions over TLS: which certificate the other end of each must have (RFC 4975 section 14.4, RFC 8122).
//!
//! The SDP says it by fingerprints, and the connection says which one was shown. Both are compared before a
//! session has its connection, whoever has opened that, and so before an octet of a message leaves; where
//! several sessions share a connection, for each of them. A session that is to have TLS has no connection
//! without it. The first hop of a path over relays has no fingerprint (RFC 6135 section 4.3): a root of ours
//! must vouch for its name (RFC 4976 section 9.2).

use crate::packet::Certificate;
use crate::session::msrp::SessionId;
use crate::session::negotiation::{Agreement, Certificates};
use crate::wire::sdp::{Fingerprint, Hash};

/// What a session asks of its connection.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// The certificate that its SDP will name.
    Unknown,
    /// One with such a fingerprint.
    Printed(Certificates),
    /// One with the name of who is connected to.
    Named,
}

/// A session over TLS.
#[derive(Clone, Copy, Debug)]
struct Entry {
    session: SessionId,
    demand: Demand,
    /// Our own certificate, as we said it: it may be another one by now.
    own: [u8; 32],
}

/// All of them, and what the other ends of connections have shown. Without TLS there is nothing.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// By the place of the session.
    entries: Box<[Option<Entry>]>,
    /// By the place of the connection.
    shown: Box<[Option<Certificate>]>,
}

impl Proofs {
    /// For so many sessions on so many connections. Allocates and touches it.
    pub(super) fn new(sessions: u32, connections: u16) -> Self {
        Self {
            entries: core::iter::repeat_n(None, sessions as usize).collect(),
            shown: core::iter::repeat_n(None, usize::from(connections)).collect(),
        }
    }

    /// Octets of everything.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.entries) + size_of_val(&*self.shown)
    }

    /// A session is to have TLS; our certificate is this one.
    pub(super) fn begin(&mut self, session: SessionId, own: [u8; 32]) {
        if let Some(place) = self.entries.get_mut(session.index as usize) {
            *place = Some(Entry { session, demand: Demand::Unknown, own });
        }
    }

    fn entry(&self, session: SessionId) -> Option<&Entry> {
        // A place may have had another session before, which is of no meaning for this one.
        let place = self.entries.get(session.index as usize)?;
        place.as_ref().filter(|entry| entry.session == session)
    }

    /// Whether a session is to have TLS.
    pub(super) fn is_tls(&self, session: SessionId) -> bool {
        self.entry(session).is_some()
    }

    /// What our description of a session says of our certificate.
    pub(super) fn own(&self, session: SessionId) -> Option<Fingerprint> {
        Fingerprint::new(Hash::Sha256, &self.entry(session)?.own)
    }

    /// Takes what was agreed upon for a session. `false` if it is to have TLS and the other end does not say
    /// which certificate it has: then it might be anybody's.
    pub(super) fn agree(&mut self, session: SessionId, agreed: &Agreement) -> bool {
        let place = self.entries.get_mut(session.index as usize).and_then(Option::as_mut);
        let Some(entry) = place.filter(|entry| entry.session == session) else {
            return !agreed.tls;
        };
        entry.demand = match agreed.certificates {
            Some(certificates) => Demand::Printed(certificates),
            None if agreed.path_count > 1 => Demand::Named,
            None => Demand::Unknown,
        };
        agreed.tls && !matches!(entry.demand, Demand::Unknown)
    }

    /// What the other end of a connection has shown; none without TLS.
    pub(super) fn show(&mut self, connection: u16, certificate: Option<Certificate>) {
        if let Some(place) = self.shown.get_mut(usize::from(connection)) {
            *place = certificate;
        }
    }

    /// Whether a session may belong to a connection.
    pub(super) fn admits(&self, session: SessionId, connection: u16) -> bool {
        let shown = self.shown.get(usize::from(connection)).and_then(Option::as_ref);
        match (self.entry(session).map(|entry| entry.demand), shown) {
            (None, None) => true,
            (Some(Demand::Printed(certificates)), Some(shown)) => {
                let value: &[u8] = match certificates.hash() {
                    Hash::Sha256 => &shown.sha256,
                    Hash::Sha384 => &shown.sha384,
                    Hash::Sha512 => &shown.sha512,
                    // No certificate is known by these.
                    Hash::Sha1 | Hash::Sha224 | Hash::Md5 | Hash::Md2 => return false,
                };
                certificates.knows(value)
            }
            (Some(Demand::Named), Some(shown)) => shown.is_named,
            (None | Some(Demand::Unknown), Some(_)) | (Some(_), None) => false,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_macros, reason = "tests may allocate")]
mod tests {
    use super::*;
    use crate::session::negotiation::{Content, Ours, judge};
    use crate::wire::sdp;

    fn session(index: u32, generation: u32) -> SessionId {
        SessionId::new(index, generation)
    }

    fn shown(octet: u8, is_named: bool) -> Option<Certificate> {
        let (sha256, sha384, sha512) = ([octet; 32], [octet; 48], [octet; 64]);
        Some(Certificate { sha256, sha384, sha512, is_named })
    }

    /// What an answer agrees upon with these lines at its end, over TLS or not, from behind a relay or not.
    fn agreed(is_tls: bool, relay: bool, lines: &str) -> Agreement {
        let (protocol, scheme) =
            if is_tls { ("TCP/TLS/MSRP", "msrps") } else { ("TCP/MSRP", "msrp") };
        let relay = if relay { format!("{scheme}://192.0.2.9:2855;tcp ") } else { String::new() };
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
             m=message 2855 {protocol} *\r\na=accept-types:*\r\n\
             a=path:{relay}{scheme}://192.0.2.9:2855/x;tcp\r\n{lines}"
        );
        let ours = Ours {
            path: b"msrp://192.0.2.1:2855/ours;tcp",
            contents: &[Content { container: b"", media_type: b"text/plain" }],
            listens: true,
            cema: false,
            sends: true,
            receives: true,
        };
        judge(&sdp::parse(text.as_bytes()).unwrap(), &ours, is_tls, 0).unwrap()
    }

    fn print(hash: Hash, octet: u8) -> String {
        let value: Vec<String> = (0..hash.size()).map(|_| format!("{octet:02X}")).collect();
        format!("a=fingerprint:{} {}\r\n", hash.name(), value.join(":"))
    }

    #[test]
    fn a_session_has_the_connection_whose_certificate_its_sdp_names() {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let mut proofs = Proofs::new(4, 4);
            let one = session(2, 7);
            proofs.begin(one, [5; 32]);
            proofs.show(0, shown(1, false));
            proofs.show(1, shown(2, true));
            assert!(!proofs.admits(one, 0), "nobody has said yet who it is to be");
            assert!(proofs.agree(one, &agreed(true, false, &print(hash, 1))));
            // Whatever its name, and with TLS.
            assert_eq!([0, 1, 2].map(|link| proofs.admits(one, link)), [true, false, false]);
            proofs.show(0, None);
            assert!(!proofs.admits(one, 0), "another connection has its place");
            assert_eq!(proofs.own(one).unwrap().value(), [5; 32]);
        }
    }

    #[test]
    fn a_relay_has_a_name_and_a_session_without_tls_has_no_certificate() {
        let mut proofs = Proofs::new(4, 4);
        let (relayed, plain) = (session(0, 1), session(1, 1));
        proofs.begin(relayed, [5; 32]);
        proofs.show(0, shown(1, false));
        proofs.show(1, shown(2, true));
        assert!(proofs.agree(relayed, &agreed(true, true, &print(Hash::Sha256, 1))));
        assert_eq!([0, 1, 2].map(|link| proofs.admits(relayed, link)), [false, true, false]);
        assert!(proofs.agree(plain, &agreed(false, false, "")));
        assert_eq!([0, 1, 2].map(|link| proofs.admits(plain, link)), [false, false, true]);
        assert!(!proofs.is_tls(plain) && proofs.own(plain).is_none());
        // What had its place before says nothing about it.
        let next = session(0, 2);
        assert!(!proofs.is_tls(next) && proofs.admits(next, 2) && !proofs.admits(next, 1));
    }

    #[test]
    fn who_does_not_say_who_he_is_gets_no_session() {
        let mut proofs = Proofs::new(1, 1);
        let one = session(0, 1);
        proofs.begin(one, [5; 32]);
        proofs.show(0, shown(1, true));
        assert!(!proofs.agree(one, &agreed(true, false, "")));
        assert!(!proofs.admits(one, 0));
        assert!(!proofs.agree(one, &agreed(false, false, "")), "not what was offered");
        let without = &mut Proofs::default();
        assert!(!without.agree(one, &agreed(true, false, &print(Hash::Sha256, 1))));
        assert!(without.admits(one, 0));
    }
}

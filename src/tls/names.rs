//! Who is who: the names in certificates (RFC 5922), and which peer a connection may be of.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use webpki::EndEntityCert;

use crate::packet::Endpoint;
use crate::wire::sip::uri::{self, Scheme};

/// Whether a certificate is one of a SIP domain (RFC 5922 section 7.1): a subjectAltName that is this
/// DNS name, or the URI `sip:` with this host and no user; or this IP address.
///
/// A wildcard stands for nobody (section 7.2), and the common name is not looked at: what has no
/// subjectAltName has been out of use for long.
pub fn bears(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
    let ServerName::DnsName(host) = name else {
        return certificate.verify_is_valid_for_subject_name(name).is_ok();
    };
    let host = host.as_ref();
    let is_host = |name: &str| name.eq_ignore_ascii_case(host);
    let is_uri = |text: &str| {
        uri::parse(text.as_bytes()).is_ok_and(|uri| {
            uri.scheme == Scheme::Sip
                && uri.user.is_empty()
                && core::str::from_utf8(uri.host).is_ok_and(is_host)
        })
    };
    certificate.valid_dns_names().any(is_host) || certificate.valid_uri_names().any(is_uri)
}

/// Judges the certificates of servers: a chain to one of the roots, and the name by [`bears`].
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) const fn new(
        roots: Arc<RootCertStore>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { roots, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        if bears(end_entity, server_name) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// One address of a peer and its name there.
#[derive(Clone, Debug)]
pub struct Place {
    /// The peer, by its number.
    pub peer: usize,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The name that its certificate has to bear.
    pub name: ServerName<'static>,
    /// Whether it is asked for that name when it connects to us, too.
    pub is_asked: bool,
}

/// All places of all peers.
#[derive(Clone, Debug)]
pub struct Directory {
    places: Arc<[Place]>,
    /// Whether those who are in no place may connect.
    strangers: bool,
}

impl Directory {
    /// Of these.
    pub fn new(places: impl IntoIterator<Item = Place>, strangers: bool) -> Self {
        Self { places: places.into_iter().collect(), strangers }
    }

    /// The number of a source, all strangers having the same; `None` if it may not connect.
    pub(super) fn source(&self, ip: [u8; 16]) -> Option<usize> {
        let known = self.places.iter().position(|place| place.endpoint.ip == ip);
        known.or_else(|| self.strangers.then_some(self.places.len()))
    }

    /// How many sources there are.
    pub(super) fn sources(&self) -> usize {
        self.places.len() + 1
    }

    /// Under which name somebody is called who is connected to. `None` if that is nobody's address, or
    /// of several who are not called the same: without a name nothing could be proved.
    ///
    /// A response goes back to a port that need not be the peer's own (RFC 3261 section 18.2.2), so
    /// that the address alone may have to say whose it is.
    pub(super) fn called(&self, remote: Endpoint) -> Option<&ServerName<'static>> {
        let mut exact = self.places.iter().filter(|place| place.endpoint == remote);
        if let Some(place) = exact.next() {
            return Some(&place.name);
        }
        let mut near = self.places.iter().filter(|place| place.endpoint.ip == remote.ip);
        let first = near.next()?;
        near.all(|place| place.name == first.name).then_some(&first.name)
    }

    /// Whether somebody who has connected from `remote` with this certificate may be taken for whom
    /// the engine will take him.
    ///
    /// That is the peer with this very address and port, else the peer with this address. Where
    /// several peers share it he is nobody's to the engine, and has to be one of them all the same.
    pub(super) fn admits(&self, remote: Endpoint, certificate: &CertificateDer<'_>) -> bool {
        let exact = self.places.iter().find(|place| place.endpoint == remote);
        let may_be = |place: &&Place| match exact {
            Some(exact) => place.peer == exact.peer,
            None => true,
        };
        let near = self.places.iter().filter(|place| place.endpoint.ip == remote.ip);
        let mut candidates = near.filter(may_be).peekable();
        if candidates.peek().is_none() {
            return self.strangers;
        }
        candidates.any(|place| !place.is_asked || bears(certificate, &place.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;
    use rcgen::generate_simple_self_signed;

    fn place(peer: usize, address: &str, name: &str, is_asked: bool) -> Place {
        let endpoint = at(address);
        Place { peer, endpoint, name: ServerName::try_from(name.to_owned()).unwrap(), is_asked }
    }

    fn at(address: &str) -> Endpoint {
        address.parse::<SocketAddr>().unwrap().into()
    }

    fn certificate(name: &str) -> CertificateDer<'static> {
        generate_simple_self_signed([name.to_owned()]).unwrap().cert.der().clone()
    }

    /// Two peers at one address, one at two, and one that is not asked who it is.
    fn directory(strangers: bool) -> Directory {
        let places = [
            place(0, "192.0.2.1:5061", "a.example", true),
            place(1, "192.0.2.1:5071", "b.example", true),
            place(2, "192.0.2.2:5061", "c.example", true),
            place(2, "192.0.2.2:5071", "c.example", true),
            place(3, "192.0.2.3:5060", "d.example", false),
        ];
        Directory::new(places, strangers)
    }

    #[test]
    fn a_name_is_that_of_the_place_or_of_all_at_its_address() {
        let directory = directory(true);
        for (address, name) in [
            ("192.0.2.1:5061", Some("a.example")),
            ("192.0.2.1:5071", Some("b.example")),
            ("192.0.2.1:5081", None),
            ("192.0.2.2:40000", Some("c.example")),
            ("192.0.2.3:40000", Some("d.example")),
            ("192.0.2.4:5061", None),
        ] {
            let called = directory.called(at(address)).map(ServerName::to_str);
            assert_eq!(called.as_deref(), name, "{address}");
        }
    }

    #[test]
    fn who_connects_is_whom_the_engine_takes_him_for() {
        for (address, name, is_admitted) in [
            ("192.0.2.1:5061", "a.example", true),
            ("192.0.2.1:5061", "A.Example", true),
            ("192.0.2.1:5061", "b.example", false),
            // The engine takes him for nobody, and he is one of them.
            ("192.0.2.1:40000", "b.example", true),
            ("192.0.2.1:40000", "c.example", false),
            ("192.0.2.2:40000", "c.example", true),
            ("192.0.2.2:40000", "c.example.org", false),
            ("192.0.2.2:40000", "*.example", false),
            ("192.0.2.2:40000", "192.0.2.2", false),
            ("192.0.2.3:40000", "x.example", true),
            ("192.0.2.4:40000", "x.example", true),
        ] {
            let shown = certificate(name);
            let admits = |strangers| directory(strangers).admits(at(address), &shown);
            assert_eq!(admits(true), is_admitted, "{name} at {address}");
            assert_eq!(admits(false), is_admitted && !address.contains(".4:"), "{address}");
        }
        let unlisted = directory(false);
        assert_eq!(unlisted.source(at("192.0.2.4:1").ip), None);
        assert_ne!(unlisted.source(at("192.0.2.1:1").ip), unlisted.source(at("192.0.2.2:1").ip));
    }

    #[test]
    fn a_wildcard_stands_for_nobody() {
        let name = ServerName::try_from("im.example.net").unwrap();
        let wildcard = certificate("*.example.net");
        let parsed = EndEntityCert::try_from(&wildcard).unwrap();
        assert!(parsed.verify_is_valid_for_subject_name(&name).is_ok(), "it would on the Web");
        assert!(!bears(&wildcard, &name));
        assert!(bears(&certificate("IM.example.net"), &name));
    }

    #[test]
    fn an_address_is_a_name_where_the_certificate_says_so() {
        let name = ServerName::try_from("192.0.2.9").unwrap();
        assert!(bears(&certificate("192.0.2.9"), &name));
        assert!(!bears(&certificate("192.0.2.8"), &name));
        assert!(!bears(&certificate("nine.example"), &name));
    }
}

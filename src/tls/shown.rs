//! Certificates that are known by a fingerprint, not by who has signed them (RFC 4975 section 14.4, RFC 8122).
//!
//! Which fingerprint is right stands in the SDP of a session, and which session a connection belongs to is
//! known when its first request has come, or, of one that we open, to the engine alone. So a handshake takes
//! every certificate whose key the other end has, and the engine is told which one that was: it lets no
//! session have a connection with another one.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage};

use crate::packet::Certificate;
use crate::tls::names::bears;

/// What is known of the first of some certificates, in the words of the engine.
pub(super) fn certificate(shown: &CertificateDer<'_>, is_named: bool) -> Certificate {
    Certificate {
        sha256: Sha256::digest(shown).into(),
        sha384: Sha384::digest(shown).into(),
        sha512: Sha512::digest(shown).into(),
        is_named,
    }
}

/// Whether one of these roots vouches for the first of these certificates in this use, and it bears this name.
pub(super) fn is_named(
    shown: &[CertificateDer<'_>],
    roots: &RootCertStore,
    usage: KeyUsage,
    name: &ServerName<'_>,
) -> bool {
    let Some((end_entity, between)) = shown.split_first() else { return false };
    let Ok(parsed) = EndEntityCert::try_from(end_entity) else { return false };
    let (algorithms, now) = (webpki::ALL_VERIFICATION_ALGS, UnixTime::now());
    let chain = parsed.verify_for_usage(algorithms, &roots.roots, between, now, usage, None, None);
    chain.is_ok() && bears(end_entity, name)
}

/// Takes every certificate that can be read, and demands its key.
#[derive(Debug)]
pub(super) struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Anybody {
    pub(super) fn new(provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { algorithms: provider.signature_verification_algorithms })
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        ParsedCertificate::try_from(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Anybody {
    /// Nobody in particular: each client has an authority of its own, or none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    #[test]
    fn a_name_counts_where_a_root_vouches_for_it() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let name = |text: &str| ServerName::try_from(text.to_owned()).unwrap();
        let own = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["relay.example".to_owned()]).unwrap();
        let signed = params.signed_by(&own, &issuer).unwrap().der().clone();
        let by_itself = params.self_signed(&own).unwrap().der().clone();
        let is = |shown: &CertificateDer<'static>, text: &str| {
            is_named(core::slice::from_ref(shown), &roots, KeyUsage::server_auth(), &name(text))
        };
        assert!(is(&signed, "relay.example"));
        assert!(!is(&signed, "other.example"));
        assert!(!is(&by_itself, "relay.example"), "nobody vouches for it");
        assert!(!is_named(&[], &roots, KeyUsage::server_auth(), &name("relay.example")));
    }

    /// The values are those of `openssl dgst` over the same octets.
    #[test]
    fn a_certificate_is_hashed_in_its_der_form() {
        let shown = certificate(&CertificateDer::from_slice(b"abc"), true);
        let begin = |octets: &[u8]| octets.iter().take(4).copied().collect::<Vec<u8>>();
        assert_eq!(begin(&shown.sha256), [0xBA, 0x78, 0x16, 0xBF]);
        assert_eq!(begin(&shown.sha384), [0xCB, 0x00, 0x75, 0x3F]);
        assert_eq!(begin(&shown.sha512), [0xDD, 0xAF, 0x35, 0xA1]);
        assert!(shown.is_named);
    }
}

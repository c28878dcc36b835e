//! Certificates, keys and roots: read from files, judged, and made into what handshakes need.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::tls::names::Verifier;

/// Where certificates are, all in PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// Our own certificate, and what leads from it to a root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The roots of those that we connect to.
    pub ca: Option<PathBuf>,
    /// The roots of those that connect to us; without it nobody is asked for a certificate.
    pub client_ca: Option<PathBuf>,
}

/// What handshakes are made with.
#[derive(Clone, Debug)]
pub struct Material {
    pub(super) server: Arc<ServerConfig>,
    /// `None` where there are no roots to judge a server by.
    pub(super) client: Option<Arc<ClientConfig>>,
    /// Whether those that connect have to show a certificate.
    pub(super) is_mutual: bool,
}

impl Material {
    /// Reads all files.
    ///
    /// # Errors
    ///
    /// Says which of them is wrong, and how.
    pub fn read(files: &Files) -> Result<Self, String> {
        let of = |path: &Path| {
            let path = path.display().to_string();
            move |problem| format!("{path}: {problem}")
        };
        let chain = certificates(&files.certificate).map_err(of(&files.certificate))?;
        let key = private_key(&files.key).map_err(of(&files.key))?;
        matching(&chain, &key).map_err(of(&files.key))?;
        let read_roots =
            |path: &Option<PathBuf>| path.as_ref().map(|path| roots(path).map_err(of(path)));
        let ca = read_roots(&files.ca).transpose()?;
        let client_ca = read_roots(&files.client_ca).transpose()?;
        let is_mutual = client_ca.is_some();
        let client = ca.map(|roots| client(roots, chain.clone(), key.clone_key())).transpose();
        let client = client.map_err(|error| error.to_string())?.map(Arc::new);
        let server = server(client_ca, chain, key)?;
        Ok(Self { server: Arc::new(server), client, is_mutual })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Nothing of one session is used in another, so that a new certificate holds for every handshake
/// after it, and every handshake proves anew who is there. Connections live for hours.
fn server(
    client_ca: Option<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, String> {
    let text = |error: rustls::Error| error.to_string();
    let versions = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(text)?;
    let builder = match client_ca {
        None => versions.with_no_client_auth(),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            versions.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(text)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Shows our certificate to those who ask for one.
fn client(
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = provider();
    let verifier = Verifier::new(roots, provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The certificates in a file.
///
/// # Errors
///
/// Says why there is none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let octets = std::fs::read(path).map_err(|error| plain(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there is no certificate in it (PEM, BEGIN CERTIFICATE)".to_owned());
    }
    for one in &found {
        webpki::EndEntityCert::try_from(one).map_err(|error| error.to_string())?;
    }
    Ok(found)
}

/// The first private key in a file.
///
/// # Errors
///
/// Says why there is none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    use rustls::pki_types::pem::Error;
    let octets = std::fs::read(path).map_err(|error| plain(&error))?;
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| {
        if matches!(error, Error::NoItemsFound) {
            "there is no private key in it (PEM, BEGIN PRIVATE KEY, not encrypted)".to_owned()
        } else {
            error.to_string()
        }
    })
}

/// The certificates of a file as roots.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for one in certificates(path)? {
        roots.add(one).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// Whether a key is that of the first of some certificates.
///
/// # Errors
///
/// Says why not.
pub fn matching(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), String> {
    let key = ring::sign::any_supported_type(key)
        .map_err(|_| "this is not a key that can be used (RSA, ECDSA or Ed25519)".to_owned())?;
    let pair = CertifiedKey::new(chain.to_vec(), key);
    pair.keys_match().map_err(|_| "this is the key of another certificate".to_owned())
}

/// Whether a certificate may be used at some moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// It may.
    Valid,
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Expired,
}

/// Whether a certificate may be used some time from now.
pub fn validity(certificate: &CertificateDer<'_>, ahead: Duration) -> Validity {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return Validity::Valid };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + ahead);
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let usage = webpki::KeyUsage::server_auth();
    // Nobody has signed it where there are no roots; but its own time is judged before that.
    match parsed.verify_for_usage(algorithms, &[], &[], at, usage, None, None) {
        Err(webpki::Error::CertExpired { .. }) => Validity::Expired,
        Err(webpki::Error::CertNotValidYet { .. }) => Validity::NotYet,
        Ok(_) | Err(_) => Validity::Valid,
    }
}

/// A host as certificates name it.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok()
}

/// An error of the system without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

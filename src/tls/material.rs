//! Certificates, keys and roots: read from files, judged, and made into what handshakes need.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use webpki::KeyUsage;

use crate::packet::Certificate;
use crate::tls::names::Verifier;
use crate::tls::shown::{Anybody, certificate, is_named};

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
    /// The same for MSRP, where certificates are known by fingerprints.
    pub(super) msrp_server: Arc<ServerConfig>,
    pub(super) msrp_client: Arc<ClientConfig>,
    /// The roots of those that we connect to, and of those that connect to us.
    roots: [Option<Arc<RootCertStore>>; 2],
    /// Our own certificate by SHA-256.
    fingerprint: [u8; 32],
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
        let ca = read_roots(&files.ca).transpose()?.map(Arc::new);
        let client_ca = read_roots(&files.client_ca).transpose()?.map(Arc::new);
        let anybody = Anybody::new(&provider());
        let own = || (chain.clone(), key.clone_key());
        let by_name = |roots: &Arc<RootCertStore>| {
            let algorithms = provider().signature_verification_algorithms;
            let verifier = Verifier::new(Arc::clone(roots), algorithms);
            client(Arc::new(verifier), own()).map(Arc::new)
        };
        let text = |error: rustls::Error| error.to_string();
        Ok(Self {
            server: Arc::new(server(by_roots(client_ca.as_ref())?, own()).map_err(text)?),
            client: ca.as_ref().map(by_name).transpose().map_err(text)?,
            is_mutual: client_ca.is_some(),
            msrp_server: Arc::new(server(Some(Arc::clone(&anybody) as _), own()).map_err(text)?),
            msrp_client: client(anybody, own()).map(Arc::new).map_err(text)?,
            roots: [ca, client_ca],
            fingerprint: chain.first().map_or([0; 32], |own| certificate(own, true).sha256),
        })
    }

    /// Our own certificate by SHA-256, as SDP says it.
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// What somebody has shown, whom we have connected to or not, and who is called this if he is who he
    /// should be.
    pub(super) fn judge(
        &self,
        shown: &[CertificateDer<'_>],
        have_connected: bool,
        name: &ServerName<'_>,
    ) -> Option<Certificate> {
        let [ca, client_ca] = &self.roots;
        let (roots, usage) = match have_connected {
            true => (ca, KeyUsage::server_auth()),
            false => (client_ca, KeyUsage::client_auth()),
        };
        let is_named = roots.as_ref().is_some_and(|roots| is_named(shown, roots, usage, name));
        Some(certificate(shown.first()?, is_named))
    }
}

/// Who judges those that connect by roots; nobody where there are none.
fn by_roots(
    roots: Option<&Arc<RootCertStore>>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let Some(roots) = roots else { return Ok(None) };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
    builder.build().map(Some).map_err(|error| error.to_string())
}

/// Our certificate, what leads from it to a root, and its key.
type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Nothing of one session is used in another, so that a new certificate holds for every handshake
/// after it, and every handshake proves anew who is there. Connections live for hours.
fn server(
    clients: Option<Arc<dyn ClientCertVerifier>>,
    (chain, key): Own,
) -> Result<ServerConfig, rustls::Error> {
    let versions =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => versions.with_no_client_auth(),
        Some(verifier) => versions.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Shows our certificate to those who ask for one.
fn client(
    servers: Arc<dyn ServerCertVerifier>,
    (chain, key): Own,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(servers)
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
    let usage = KeyUsage::server_auth();
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

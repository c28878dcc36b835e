//! Certificates made for a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Somebody who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate may be used.
#[derive(Clone, Copy)]
pub(crate) enum Time {
    Now,
    Past,
    Future,
    /// Now, and not for long.
    Soon,
}

fn params(names: &[&str]) -> CertificateParams {
    let (uris, others): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| name.starts_with("sip"));
    let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(others).unwrap();
    let uris = uris.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap()));
    params.subject_alt_names.extend(uris);
    params
}

/// Ten days from now.
fn soon() -> time::OffsetDateTime {
    time::OffsetDateTime::from(std::time::SystemTime::now()) + time::Duration::days(10)
}

/// A certificate that nobody has signed but who has it.
pub(crate) fn self_signed(names: &[&str]) -> Certified {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names).self_signed(&key).unwrap().pem();
    Certified { certificate, key: key.serialize_pem() }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with these names that is valid now.
    pub(crate) fn certify(&self, names: &[&str]) -> Certified {
        self.certify_for(names, Time::Now)
    }

    pub(crate) fn certify_for(&self, names: &[&str], time: Time) -> Certified {
        let mut params = params(names);
        (params.not_before, params.not_after) = match time {
            Time::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1)),
            Time::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Time::Soon => (date_time_ymd(2020, 1, 1), soon()),
            Time::Future => (date_time_ymd(2099, 1, 1), date_time_ymd(2100, 1, 1)),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certified { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, &self.pem).unwrap();
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// How somebody connects who believes this authority and is who `own` says.
    pub(crate) fn client(&self, own: Option<&Certified>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        Arc::new(match own {
            Some(own) => builder.with_client_auth_cert(own.chain(), own.key()).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }

    /// How somebody is connected to who is whom `own` says, and wants a certificate of this authority.
    pub(crate) fn server(&self, own: &Certified) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let roots = Arc::new(self.roots());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap());
        Arc::new(builder.with_single_cert(own.chain(), own.key()).unwrap())
    }
}

impl Certified {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        Vec::from([CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()])
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// Writes both under this name.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> [PathBuf; 2] {
        use std::os::unix::fs::PermissionsExt;
        let [certificate, key] = ["pem", "key"].map(|end| directory.join(format!("{name}.{end}")));
        fs::write(&certificate, &self.certificate).unwrap();
        fs::write(&key, &self.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        [certificate, key]
    }
}

//! TLS: that every file it needs is there, and is what it should be.

use core::time::Duration;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::reader::{Reader, Setting};
use crate::config::sections::{Draft, DraftTls};
use crate::config::sockets::transports;
use crate::config::terms::FilePath;
use crate::packet::Transport;
use crate::tls::{self, Files, Validity};

/// How long before its end a certificate is warned about: a month of nightly checks.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);

/// What there is for handshakes; `None` where TLS is not spoken, or not rightly.
pub(super) fn judge(reader: &mut Reader, draft: &Draft) -> Option<Files> {
    needed(reader, draft);
    let DraftTls { certificate, key, ca, client_ca, .. } = &draft.tls;
    for setting in [ca, client_ca].into_iter().flatten() {
        if let Err(problem) = tls::roots(path(setting)) {
            wrong(reader, setting, "no certificate authority", problem);
        }
    }
    let (Some(certificate), Some(key)) = (certificate, key) else {
        lonely(reader, &draft.tls);
        return None;
    };
    own(reader, certificate, key);
    Some(Files {
        certificate: path(certificate).to_owned(),
        key: path(key).to_owned(),
        ca: ca.as_ref().map(path).map(Path::to_owned),
        client_ca: client_ca.as_ref().map(path).map(Path::to_owned),
    })
}

fn path(setting: &Setting<FilePath>) -> &Path {
    &setting.value.0
}

/// What listeners and peers ask for.
fn needed(reader: &mut Reader, draft: &Draft) {
    let tls = &draft.tls;
    // What is listed beside another transport, and what no listener has, is told elsewhere.
    let listens = |listener| transports(listener) == [Transport::Tls];
    let with_tls = draft.listeners.iter().filter(|one| listens(one));
    let with_tls = with_tls.chain(draft.msrp.iter().filter(|one| one.names_msrps()));
    if let Some(listener) = with_tls.min_by_key(|one| one.number)
        && tls.sound
        && (tls.certificate.is_none() && tls.key.is_none())
    {
        reader.report(
            Diagnosis::error(
                "who listens for TLS needs a certificate",
                listener.transports.origin.clone(),
                "nobody could shake hands",
            )
            .suggest(
                "add a section [tls] with certificate = \"/etc/roger/tls.pem\" and\n\
                 key = \"/etc/roger/tls.key\"",
            ),
        );
    }
    let peer = draft.peers.iter().find(|peer| peer.transport.value == Transport::Tls);
    if let Some(peer) = peer
        && draft.listeners.iter().any(listens)
        && tls.sound
        && tls.ca.is_none()
    {
        reader.report(
            Diagnosis::error(
                "the certificate of this peer cannot be judged",
                peer.transport.origin.clone(),
                "no certificate authority",
            )
            .because(
                "which authorities speak for peers is never guessed: those of the system speak\n\
                 for the whole Web",
            )
            .suggest("add ca = \"/etc/roger/ca.pem\" to the section [tls]"),
        );
    }
    for peer in &draft.peers {
        let Some(name) = &peer.tls_name else { continue };
        if peer.transport.value != Transport::Tls && tls.client_ca.is_none() && tls.sound {
            reader.report(
                Diagnosis::warning(
                    "nobody is asked for this name",
                    name.origin.clone(),
                    "no effect",
                )
                .because(
                    "we open no TLS connections to this peer, and those that connect to us are\n\
                     asked for a certificate only where `client_ca` says whose",
                ),
            );
        }
    }
}

/// A certificate without its key, or one without the other.
fn lonely(reader: &mut Reader, tls: &DraftTls) {
    let (missing, file, there) = match (&tls.certificate, &tls.key) {
        (Some(there), None) => ("key", "tls.key", there),
        (None, Some(there)) => ("certificate", "tls.pem", there),
        (Some(_), Some(_)) | (None, None) => return,
    };
    if !tls.sound {
        return;
    }
    reader.report(
        Diagnosis::error(
            format!("`{missing}` is missing in [tls]"),
            there.origin.clone(),
            "one is nothing without the other",
        )
        .beside(&tls.at, "this section")
        .suggest(format!("{missing} = \"/etc/roger/{file}\"")),
    );
}

/// Our own certificate and its key.
fn own(reader: &mut Reader, certificate: &Setting<FilePath>, key: &Setting<FilePath>) {
    let chain = tls::certificates(path(certificate))
        .map_err(|problem| wrong(reader, certificate, "no certificate", problem));
    let private = tls::private_key(path(key))
        .map_err(|problem| wrong(reader, key, "no private key", problem));
    if private.is_ok() {
        exposed(reader, key);
    }
    let Ok(chain) = chain else { return };
    if let Ok(private) = private
        && let Err(problem) = tls::matching(&chain, &private)
    {
        reader.report(
            Diagnosis::error(
                "key and certificate do not belong together",
                key.origin.clone(),
                problem,
            )
            .beside(&certificate.origin, "the first certificate in this file"),
        );
    }
    let at = certificate.origin.clone();
    for one in &chain {
        match (tls::validity(one, Duration::ZERO), tls::validity(one, RENEWAL)) {
            (Validity::Expired, _) => return expired(reader, at, "its time is over"),
            (Validity::NotYet, _) => return expired(reader, at, "its time has not come"),
            (Validity::Valid, Validity::Expired) => {
                let message = "this certificate ends within thirty days";
                let diagnosis = Diagnosis::warning(message, at, "renew it").because(
                    "a running process takes a new one on SIGHUP, and loses no connection",
                );
                return reader.report(diagnosis);
            }
            (Validity::Valid, Validity::Valid | Validity::NotYet) => {}
        }
    }
}

/// It may be right another day, and whoever renews it may do so after the start.
fn expired(reader: &mut Reader, at: Origin, label: &str) {
    let message = "nobody accepts this certificate now";
    reader.report(Diagnosis::error(message, at, label).of_surroundings());
}

/// A key that others may read.
fn exposed(reader: &mut Reader, key: &Setting<FilePath>) {
    let Ok(metadata) = std::fs::metadata(path(key)) else { return };
    let mode = metadata.permissions().mode();
    if mode & 0o007 != 0 {
        reader.report(
            Diagnosis::warning(
                "everybody on this machine may read this key",
                key.origin.clone(),
                format!("mode {:04o}", mode & 0o7777),
            )
            .suggest(format!("chmod o= {}", path(key).display())),
        );
    }
}

fn wrong(reader: &mut Reader, setting: &Setting<FilePath>, what: &str, problem: String) {
    let message = format!("{what} in {}", path(setting).display());
    reader.report(Diagnosis::error(message, setting.origin.clone(), problem));
}

//! From a [`Config`] to the thread that speaks TLS.

use std::io;
use std::sync::Arc;

use core_affinity::get_core_ids;
use crossbeam::channel::{Receiver, bounded};
use rustls::pki_types::ServerName;

use crate::config::{Config, Strangers};
use crate::metrics::Tally;
use crate::oam::sockets::Carriers;
use crate::packet::Transport;
use crate::tls::names::{Directory, Place};
use crate::tls::{Files, Limits, Material, Plan, Tls, Workers, server_name};
use crate::worker::Crew;

/// TLS, where it is spoken.
#[derive(Debug)]
pub(super) struct Encryption {
    tls: Tls,
    files: Option<Files>,
    troubles: Receiver<String>,
}

/// Lines about troubles that may wait to be told.
const TROUBLES_WAITING_MAX: usize = 64;

struct Hands(Crew);

impl Workers for Hands {
    fn wake(&self, worker: usize) {
        if let Some(control) = self.0.get(worker) {
            control.wake();
        }
    }

    fn is_able(&self, worker: usize) -> bool {
        self.0.get(worker).is_some_and(|control| !control.is_silenced())
    }
}

impl Encryption {
    /// Begins to speak it.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub(super) fn start(
        config: &Config,
        (material, carriers): (Material, Carriers),
        crew: Crew,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let workers = u32::try_from(config.workers.count()).unwrap_or(u32::MAX);
        let of_all = |each: u16| u32::from(each).saturating_mul(workers);
        let (told, troubles) = bounded(TROUBLES_WAITING_MAX);
        let Carriers { entrances, carriers, waker, fingerprint } = carriers;
        // Before any worker offers a session.
        fingerprint.store(material.fingerprint());
        let tls = Tls::start(Plan {
            entrances,
            carriers,
            waker,
            workers: Box::new(Hands(crew)),
            directory: directory(config),
            material,
            fingerprint,
            limits: Limits {
                accepted_max: of_all(config.capacity.connections),
                per_source_max: of_all(config.capacity.connections_per_source),
                msrp_max: config.large.as_ref().map_or(0, |large| of_all(large.connections)),
            },
            cpu: free_cpu(&config.workers.cpus),
            tally,
            told,
        })?;
        Ok(Self { tls, files: config.tls.clone(), troubles })
    }

    /// Reads certificates and keys again: all of them, or none.
    pub(super) fn renew(&self) -> Result<(), String> {
        if let Some(files) = &self.files {
            self.tls.renew(Material::read(files)?);
        }
        Ok(())
    }

    /// What went wrong since this was asked last.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        self.troubles.try_iter()
    }

    pub(super) fn is_running(&self) -> bool {
        self.tls.is_running()
    }

    pub(super) fn end(self) {
        self.tls.end();
    }
}

/// The names of all peers at all their addresses.
///
/// A peer that is spoken to by TLS has a name, if only the one under which it is configured, and has
/// to bear it whoever opens the connection. Of any other peer that is asked only if a name is written.
fn directory(config: &Config) -> Directory {
    let mut places = Vec::new();
    for (number, peer) in config.peers.iter().enumerate() {
        for place in &peer.places {
            let written = peer.tls_name.as_deref().unwrap_or(&place.written.host);
            for address in &place.addresses {
                let by_address = || ServerName::from(address.ip());
                places.push(Place {
                    peer: number,
                    endpoint: (*address).into(),
                    name: server_name(written).unwrap_or_else(by_address),
                    is_asked: peer.tls_name.is_some() || peer.transport == Transport::Tls,
                });
            }
        }
    }
    Directory::new(places, config.strangers == Strangers::Forbid)
}

/// A CPU that no worker is pinned to: handshakes then take nothing from any of them. None where the
/// kernel places the workers, for it will place this thread beside them.
fn free_cpu(workers: &[Option<usize>]) -> Option<usize> {
    let pinned: Vec<usize> = workers.iter().copied().collect::<Option<_>>()?;
    let cpus = get_core_ids()?.into_iter().map(|cpu| cpu.id);
    cpus.filter(|cpu| !pinned.contains(cpu)).max()
}

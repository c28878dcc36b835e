//! What a configuration is held against: this machine, and the names that a resolver knows.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::ffi::OsStr;
use std::net::{ToSocketAddrs, UdpSocket};
use std::path::PathBuf;

/// What a machine offers.
#[derive(Clone)]
pub struct Machine {
    /// The CPUs that this process may use.
    pub cpus: Vec<usize>,
    /// Octets of memory; 0 when that is not known.
    pub memory: u64,
    /// Whether an address is the machine's own.
    pub owns: fn(IpAddr) -> bool,
    /// Where whoever started this process lets it keep its state.
    pub state_directory: Option<PathBuf>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let cpus = core_affinity::get_core_ids().unwrap_or_default();
        let mut cpus: Vec<usize> = cpus.into_iter().map(|cpu| cpu.id).collect();
        cpus.sort_unstable();
        // Only an address of this machine can be bound; port 0 disturbs nobody.
        let owns = |ip| UdpSocket::bind((ip, 0)).is_ok();
        let state_directory = std::env::var_os(STATE_DIRECTORY);
        let state_directory = state_directory.and_then(|listed| first_path(&listed));
        Self { cpus, memory: memory(), owns, state_directory }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("cpus", &self.cpus)
            .field("memory", &self.memory)
            .field("state_directory", &self.state_directory)
            .finish_non_exhaustive()
    }
}

/// The variable in which systemd names the directories of `StateDirectory=` (systemd.exec(5)).
pub(super) const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The first of several paths with colons between them.
fn first_path(listed: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(listed).find(|path| !path.as_os_str().is_empty())
}

/// `MemTotal` in octets.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1_024)
}

/// Who knows the addresses behind names.
pub trait Names {
    /// Every address of a host.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String>;
}

/// The resolver of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

impl Names for SystemNames {
    fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match (host, port).to_socket_addrs() {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_state_directories_counts() {
        let first = |listed: &str| first_path(OsStr::new(listed));
        assert_eq!(first("/var/lib/roger:/var/lib/other"), Some("/var/lib/roger".into()));
        assert_eq!(first("/var/lib/roger"), Some("/var/lib/roger".into()));
        assert_eq!(first(""), None);
    }
}

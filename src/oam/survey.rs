//! What a configuration asks of this machine at the start: files that may be open, and ports.

use core::net::SocketAddr;
use std::io;

use crate::config::{Config, Requests};
use crate::io::{SocketSpec, bind, listen, raise_files};
use crate::oam::service::{StartError, files_wanted};
use crate::packet::Transport;

/// One thing that is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What it is.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What is wrong with it, and what would help; `None` where nothing is.
    pub problem: Option<String>,
}

/// Looks whether there is what `config` asks for. Each port is bound for a moment, so that a process that
/// has it is found, this one too if it runs already.
pub fn survey(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::from([files(config)]);
    for listener in &config.listeners {
        for transport in &listener.transports {
            let (what, result) = match transport {
                Transport::Udp => ("sip udp", datagrams(listener.address)),
                Transport::Tcp => ("sip tcp", connections(listener.address)),
                Transport::Tls => ("sip tls", connections(listener.address)),
            };
            findings.push(port(what, listener.address.to_string(), [(listener.address, result)]));
        }
    }
    let workers = u8::try_from(config.workers.count()).unwrap_or(u8::MAX);
    for listener in config.large.iter().flat_map(|large| &large.listeners) {
        let places = (0..workers).map(|worker| listener.address_of(worker));
        let last = listener.address_of(workers.saturating_sub(1));
        let found = match listener.address == last {
            true => last.to_string(),
            false => format!("{} to {}", listener.address, last.port()),
        };
        let what = if listener.is_tls { "msrps" } else { "msrp" };
        findings.push(port(what, found, places.map(|place| (place, connections(place)))));
    }
    findings.extend(requests(config));
    findings
}

fn files(config: &Config) -> Finding {
    let wanted = files_wanted(config);
    let (found, problem) = match raise_files(wanted) {
        Ok(allowed) => {
            let few = StartError::FewFiles { wanted, allowed };
            let found = format!("{wanted} may be needed, {allowed} may be open");
            (found, (allowed < wanted).then(|| few.to_string()))
        }
        Err(error) => {
            (format!("{wanted} may be needed"), Some(StartError::Files(error).to_string()))
        }
    };
    Finding { what: "open files", found, problem }
}

/// Places of one kind, each with what came of binding it.
fn port(
    what: &'static str,
    found: String,
    results: impl IntoIterator<Item = (SocketAddr, io::Result<()>)>,
) -> Finding {
    let wrong = results
        .into_iter()
        .filter_map(|(at, result)| Some(StartError::Bind(at, result.err()?).to_string()));
    let wrong: Vec<String> = wrong.collect();
    let problem = (!wrong.is_empty()).then(|| wrong.join("; "));
    Finding { what, found, problem }
}

/// Own requests have a port for each worker, of each address family that is listened on for datagrams.
fn requests(config: &Config) -> Option<Finding> {
    let Requests::Ports(range) = config.requests else { return None };
    let datagrams = config.listeners.iter().filter(|one| one.transports.contains(&Transport::Udp));
    let mut first_of_family: Vec<SocketAddr> = Vec::new();
    for address in datagrams.map(|one| one.address) {
        if !first_of_family.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            first_of_family.push(address);
        }
    }
    let workers = config.workers.count();
    let mut problems = Vec::new();
    for address in first_of_family {
        let ports = (range.first..=range.last).map(|port| SocketAddr::new(address.ip(), port));
        let free = ports.filter(|place| self::datagrams(*place).is_ok()).take(workers).count();
        if free < workers {
            let ip = address.ip();
            problems.push(format!("{free} of these ports of {ip} are free, for {workers} workers"));
        }
    }
    Some(Finding {
        what: "own requests",
        found: format!("udp {} to {}", range.first, range.last),
        problem: (!problems.is_empty()).then(|| problems.join("; ")),
    })
}

fn datagrams(address: SocketAddr) -> io::Result<()> {
    const BUFFER_SIZE: usize = 4_096;
    let (receive_buffer, send_buffer) = (BUFFER_SIZE, BUFFER_SIZE);
    bind(&SocketSpec { address, reuse_port: false, receive_buffer, send_buffer }).map(drop)
}

fn connections(address: SocketAddr) -> io::Result<()> {
    listen(address, false).map(drop)
}

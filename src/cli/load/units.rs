//! Rates, durations and sets of cores as they are written on the command line.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::packet::Transport;
use crate::wire::sip::uri;

/// Messages per second times 1000: `200`, `0.5`, `200k`, `1.5M`.
pub(super) fn rate_mhz(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e6),
        Some(b'M') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1e3),
    };
    let rate = number.parse::<f64>().ok().map(|rate| (rate * factor).round());
    match rate {
        Some(rate) if (1.0..=1e10).contains(&rate) => Ok(whole(rate)),
        _ => Err("must look like 200, 0.5, 200k or 1.5M, up to 10M a second".to_owned()),
    }
}

/// Nanoseconds: `500ms`, `30s`, `2m`, `1h`.
pub(super) fn duration_ns(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 6] =
        [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
    let read = |(unit, factor): &(&str, f64)| {
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        let ns = (number * factor).round();
        (0.0..=1e16).contains(&ns).then(|| whole(ns))
    };
    let ns = UNITS.iter().find_map(read);
    ns.ok_or_else(|| "must look like 500ms, 30s, 2m or 1h".to_owned())
}

#[expect(clippy::cast_possible_truncation, reason = "whole and below 2^63")]
#[expect(clippy::cast_sign_loss, reason = "not below 0")]
const fn whole(number: f64) -> u64 {
    number as u64
}

/// Where messages go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// Straight to the answering end.
    Myself {
        /// How.
        transport: Transport,
    },
    /// To a SIP system.
    System {
        /// Host and port as they are written.
        host: String,
        /// Where that is.
        address: SocketAddr,
        /// How it is reached.
        transport: Transport,
    },
}

/// `sip:host:port;transport=tcp`, or `self`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    const FORM: &str =
        "must look like sip:192.0.2.1:5060 or sip:sbc.example;transport=tcp, or be 'self'";
    let (base, parameters) = text.split_once(';').unwrap_or((text, ""));
    let full = if text.starts_with("sip:") { text.to_owned() } else { ["sip:", text].concat() };
    let uri = uri::parse(full.as_bytes()).map_err(|_| FORM.to_owned())?;
    let transport = match uri.param(b"transport").map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"udp") => Transport::Udp,
        Some(b"tcp") => Transport::Tcp,
        Some(_) => return Err("transport can be udp or tcp".to_owned()),
    };
    let known = parameters.is_empty() || parameters.to_ascii_lowercase().starts_with("transport=");
    if !known || parameters.contains(';') {
        return Err("of a URI's parameters only transport means something here".to_owned());
    }
    if base == "self" {
        return Ok(Target::Myself { transport });
    }
    let host = core::str::from_utf8(uri.host).map_err(|_| FORM.to_owned())?;
    let port = uri.port.unwrap_or(5060);
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (plain, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let address = found.next().ok_or_else(|| "this name has no address".to_owned())?;
    if port == 0 || plain.is_empty() {
        return Err(FORM.to_owned());
    }
    let host = match uri.port {
        Some(port) => [host, ":", &port.to_string()].concat(),
        None => host.to_owned(),
    };
    Ok(Target::System { host, address, transport })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let read = ["200", "0.5", "200k", "1.5M"].map(|text| rate_mhz(text).unwrap());
        assert_eq!(read, [200_000, 500, 200_000_000, 1_500_000_000]);
        for text in ["", "0", "-1", "k", "11M", "fast", "1g", "inf", "nan"] {
            assert!(rate_mhz(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        let read = ["500ms", "30s", "2m", "1.5h", "0s"].map(|text| duration_ns(text).unwrap());
        assert_eq!(read, [500_000_000, 30_000_000_000, 120_000_000_000, 5_400_000_000_000, 0]);
        for text in ["", "30", "s", "-1s", "1d", "nans", "1e30s"] {
            assert!(duration_ns(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_read() {
        let system = |host: &str, address: &str| Target::System {
            host: host.to_owned(),
            address: address.parse().unwrap(),
            transport: Transport::Udp,
        };
        for (text, expected) in [
            ("sip:127.0.0.1:5062", system("127.0.0.1:5062", "127.0.0.1:5062")),
            ("127.0.0.1", system("127.0.0.1", "127.0.0.1:5060")),
            ("sip:[::1]:5062", system("[::1]:5062", "[::1]:5062")),
            ("sip:127.0.0.1;transport=UDP", system("127.0.0.1", "127.0.0.1:5060")),
            ("self", Target::Myself { transport: Transport::Udp }),
            ("self;transport=tcp", Target::Myself { transport: Transport::Tcp }),
        ] {
            assert_eq!(target(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "sip:",
            "sip:127.0.0.1:0",
            "sip:127.0.0.1;lr",
            "sip:127.0.0.1;transport=sctp",
            "sip:a b",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}

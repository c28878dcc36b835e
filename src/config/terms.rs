//! Values that are on terms with a peer: its Route, what we show it.

use core::net::Ipv6Addr;
use std::path::PathBuf;

use crate::config::HostPort;
use crate::config::value::{Complaint, Raw, Value, is_host, quoted};
use crate::tls;
use crate::wire::sip::uri::{self, Scheme};

/// A SIP URI that becomes a Route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RouteUri(String);

impl RouteUri {
    /// The Route header field value, loose as RFC 3261 section 19.1.1 wants it.
    pub(super) fn header_field_value(&self) -> String {
        let loose = uri::parse(self.0.as_bytes()).is_ok_and(|uri| uri.param(b"lr").is_some());
        format!("<{}{}>", self.0, if loose { "" } else { ";lr" })
    }
}

impl Value for RouteUri {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a SIP URI such as \"sip:scscf.example.net:6060\"";
        let text = raw.text(EXPECTED)?;
        let wrong = |what: &str| {
            Complaint::new(
                format!("`{}` {what}", text.escape_default()),
                format!("must be {EXPECTED}"),
            )
        };
        if text.starts_with('<') || text.contains(',') {
            let bare = text.trim_matches(['<', '>', ' ']);
            let complaint = wrong("is not one URI by itself");
            return Err(match uri::parse(bare.as_bytes()) {
                Ok(_) if !bare.contains(',') => {
                    complaint.suggest(format!("leave out the brackets: \"{bare}\""))
                }
                Ok(_) | Err(_) => complaint,
            });
        }
        match uri::parse(text.as_bytes()) {
            Ok(uri) if uri.scheme == Scheme::Sips => {
                Err(wrong("asks for TLS on every hop, which nobody here can promise"))
            }
            Ok(uri) if uri.scheme == Scheme::Sip && !uri.headers.is_empty() => {
                Err(wrong("has header fields in it")
                    .because("they have no meaning in a Route (RFC 3261 section 19.1.1)"))
            }
            Ok(uri) if uri.scheme == Scheme::Sip => Ok(Self(text.to_owned())),
            // A host with its port looks like a scheme.
            Ok(_) | Err(_) if is_host(text) || HostPort::parse(text).is_some() => {
                Err(wrong("is not a SIP URI").suggest(format!("write \"sip:{text}\"")))
            }
            Ok(_) => Err(wrong("is not a SIP URI")),
            Err(malformed) => Err(wrong(&format!(
                "is not a SIP URI: expected {} at octet {}",
                malformed.expected,
                malformed.at + 1
            ))),
        }
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// The host part of URIs that we write: a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Domain(pub(super) String);

impl Domain {
    /// The host of an address as a URI has it.
    pub(super) fn of_host(host: &str) -> Self {
        Self(if host.contains(':') { format!("[{host}]") } else { host.to_owned() })
    }
}

impl Value for Domain {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a host such as \"sms.example.net\"";
        let text = raw.text(EXPECTED)?;
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self::of_host(&address.to_string()));
        }
        if is_host(text) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        let complaint = Complaint::new(
            format!("`{}` is not a host", text.escape_default()),
            format!("must be {EXPECTED}"),
        )
        .because("it is the host part of the URIs that stand for users of the SMS side");
        Err(match HostPort::parse(text) {
            Some(HostPort { host, .. }) => {
                complaint.suggest(format!("leave out the port: \"{}\"", Self::of_host(&host).0))
            }
            None => complaint,
        })
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// The number of an SC, as RP-DATA and the Request-URI name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Smsc(pub(super) String);

impl Value for Smsc {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "an international number such as \"+491710760000\"";
        let text = raw.text(EXPECTED)?;
        let digits = text.strip_prefix('+').unwrap_or_default();
        // ITU-T E.164 has no longer ones.
        if (1..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        let complaint = Complaint::new(
            format!("`{}` is not the number of an SC", text.escape_default()),
            format!("must be {EXPECTED}"),
        )
        .because("it is RP-Destination-Address of what is submitted (TS 24.011 section 8.2.5.2)");
        let is_bare = !text.is_empty() && text.len() <= 15;
        Err(if is_bare && text.bytes().all(|digit| digit.is_ascii_digit()) {
            complaint.suggest(format!("with its country code: \"+{text}\""))
        } else {
            complaint
        })
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// A user name for challenges (RFC 3261 section 22).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Username(pub(super) String);

/// The longest user name and password.
pub(super) const CREDENTIAL_SIZE_MAX: usize = 128;

impl Value for Username {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let text = raw.text("a user name")?;
        // It stands in a quoted string, where these would have to be escaped.
        let quotable = |c: char| !c.is_control() && c != '"' && c != '\\';
        if text.is_empty() || text.len() > CREDENTIAL_SIZE_MAX || !text.chars().all(quotable) {
            return Err(Complaint::new(
                format!("`{}` cannot be a user name", text.escape_default()),
                format!("1 to {CREDENTIAL_SIZE_MAX} octets without quotes, \\ and controls"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// The name that a certificate bears: a host, or an IP address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TlsName(pub(super) String);

impl Value for TlsName {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        const EXPECTED: &str = "a host such as \"sbc.example.net\"";
        let text = raw.text(EXPECTED)?;
        let complaint = || {
            Complaint::new(
                format!("`{}` is not a name in a certificate", text.escape_default()),
                format!("must be {EXPECTED}"),
            )
        };
        if text.starts_with("*.") {
            return Err(complaint().because("a wildcard stands for nobody (RFC 5922 section 7.2)"));
        }
        if text.parse::<Ipv6Addr>().is_ok() || is_host(text) && tls::server_name(text).is_some() {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(match HostPort::parse(text) {
            Some(HostPort { host, .. }) => {
                complaint().suggest(format!("leave out the port: \"{host}\""))
            }
            None => complaint(),
        })
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// A file that is read at the start, or a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FilePath(pub(super) PathBuf);

impl Value for FilePath {
    fn from_raw(raw: &Raw<'_>) -> Result<Self, Complaint> {
        let text = raw.text("a path")?;
        if text.is_empty() || text.contains('\0') {
            return Err(Complaint::new("this cannot be a path".into(), "must not be empty"));
        }
        Ok(Self(PathBuf::from(text)))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_one_sip_uri_and_becomes_loose() {
        let route = |text: &str| RouteUri::from_raw(&Raw::Text(text));
        for (written, value) in [
            ("sip:scscf.example.net:6060", "<sip:scscf.example.net:6060;lr>"),
            ("sip:scscf.example.net;lr", "<sip:scscf.example.net;lr>"),
            ("sip:term@[2001:db8::1];orig", "<sip:term@[2001:db8::1];orig;lr>"),
        ] {
            assert_eq!(route(written).unwrap().header_field_value(), value);
        }
        for wrong in [
            "",
            "sips:a",
            "tel:+1",
            "sip:",
            "sip:a?b=c",
            "<sip:a;lr>",
            "sip:a,sip:b",
            "a.example",
            "sip:a\r\nVia: x",
            "sip:a b",
        ] {
            assert!(route(wrong).is_err(), "{wrong}");
        }
        let suggestion = |text| route(text).err().unwrap().suggestion.unwrap();
        assert_eq!(suggestion("<sip:a;lr>"), "leave out the brackets: \"sip:a;lr\"");
        assert_eq!(suggestion("scscf:6060"), "write \"sip:scscf:6060\"");
    }

    #[test]
    fn a_domain_is_a_host_without_port() {
        let domain = |text: &str| Domain::from_raw(&Raw::Text(text));
        for (written, expected) in [
            ("SMS.example.net", "sms.example.net"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(domain(written).unwrap().0, expected);
        }
        for wrong in ["", "sip:a", "a b", "a:5060", "a@b", "[a]", "a..b"] {
            assert!(domain(wrong).is_err(), "{wrong}");
        }
        let suggestion = domain("a:5060").err().unwrap().suggestion.unwrap();
        assert_eq!(suggestion, "leave out the port: \"a\"");
    }
}

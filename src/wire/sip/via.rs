//! One Via value: who sent it, and where responses go (RFC 3261 section 20.42, RFC 3581).

use super::parameter::{self, Next};
use super::{Class, Cursor, Malformed, Span, uri};

/// The transport of a Via value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// SCTP (RFC 4168).
    Sctp,
    /// Anything else that is a token (RFC 4475 section 3.1.1.10).
    Other,
}

impl Transport {
    /// A Via header field of ours up to the host. `None` for what nothing of ours leaves by.
    pub(super) const fn via(self) -> Option<&'static [u8]> {
        match self {
            Self::Udp => Some(b"Via: SIP/2.0/UDP "),
            Self::Tcp => Some(b"Via: SIP/2.0/TCP "),
            Self::Tls => Some(b"Via: SIP/2.0/TLS "),
            Self::Sctp | Self::Other => None,
        }
    }

    /// The transport of this name, which has no case (RFC 3261 section 7.3.1).
    pub const fn of(name: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(b"UDP") {
            Self::Udp
        } else if name.eq_ignore_ascii_case(b"TCP") {
            Self::Tcp
        } else if name.eq_ignore_ascii_case(b"TLS") {
            Self::Tls
        } else if name.eq_ignore_ascii_case(b"SCTP") {
            Self::Sctp
        } else {
            Self::Other
        }
    }
}

/// A Via value, as positions in the message it was read from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Via {
    /// The host of `sent-by`: a name, an IPv4 address or an IPv6 reference with its brackets.
    pub host: Span,
    /// The host and port of `sent-by` as they are written.
    pub sent_by: Span,
    /// The value of `branch` with its cookie; empty when absent.
    pub branch: Span,
    /// From the protocol name to the last parameter.
    pub(super) value: Span,
    /// `received` from its semicolon on; empty when absent.
    pub(super) received: Span,
    /// `rport` from its semicolon on; empty when absent.
    pub(super) rport_written: Span,
    /// The port of `sent-by`.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Transport,
    /// Whether `rport` is there, with a value or without (RFC 3581 section 3).
    pub rport: bool,
}

/// The magic cookie of RFC 3261 section 8.1.1.7.
pub const COOKIE: &[u8] = b"z9hG4bK";

impl Via {
    /// Whether the branch identifies the transaction (RFC 3261 section 17.2.3): the cookie, and
    /// something behind it (RFC 4475 section 3.2.1).
    pub fn has_cookie(&self, octets: &[u8]) -> bool {
        self.branch.of(octets).strip_prefix(COOKIE).is_some_and(|id| !id.is_empty())
    }

    /// The transport as it is written, in the octets that the value was read from.
    pub fn transport_name<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        let protocol = octets.get(usize::from(self.value.at)..usize::from(self.sent_by.at));
        let slash = |octet: &u8| *octet == b'/';
        protocol.unwrap_or_default().rsplit(slash).next().unwrap_or_default().trim_ascii()
    }

    /// The port that responses go to: where the request came from if it asked for that (RFC 3581
    /// section 4), else that of `sent-by` or 5060 (RFC 3261 section 18.2.2).
    pub fn reply_port(&self, source_port: u16) -> u16 {
        if self.rport { source_port } else { self.port.unwrap_or(5060) }
    }
}

/// How much of a Via value could be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// All of it.
    Whole,
    /// All of it, but it is no SIP/2.0.
    OtherProtocol,
    /// The host and port only: enough to answer.
    SentBy,
}

/// Reads one value and stops at the comma behind it or at the end.
///
/// # Errors
///
/// Nothing up to `sent-by` could be read.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<(Via, Reading), Malformed> {
    let at = cursor.at();
    let malformed = Malformed { expected: "a Via value", at };
    let mut via = Via::default();
    let sip = sent_protocol(cursor, &mut via).ok_or(malformed)?;
    sent_by(cursor, &mut via).ok_or(malformed)?;
    via.value = Span::between(at, usize::from(via.sent_by.end()));
    match parameters(cursor, &mut via) {
        None => {
            via.branch = Span::default();
            via.received = Span::default();
            via.rport_written = Span::default();
            via.rport = false;
            Ok((via, Reading::SentBy))
        }
        Some(end) => {
            via.value = Span::between(at, end);
            Ok((via, if sip { Reading::Whole } else { Reading::OtherProtocol }))
        }
    }
}

/// `protocol-name SLASH protocol-version SLASH transport LWS`. Whether it is SIP/2.0.
fn sent_protocol(cursor: &mut Cursor<'_>, via: &mut Via) -> Option<bool> {
    let usual = match cursor.rest().first_chunk() {
        Some(b"SIP/2.0/UDP ") => Some(Transport::Udp),
        Some(b"SIP/2.0/TCP ") => Some(Transport::Tcp),
        Some(b"SIP/2.0/TLS ") => Some(Transport::Tls),
        _ => None,
    };
    if let Some(transport) = usual {
        via.transport = transport;
        cursor.pass(12);
        cursor.skip_lws();
        return Some(true);
    }
    let name = token(cursor)?;
    slash(cursor)?;
    let version = token(cursor)?;
    slash(cursor)?;
    via.transport = Transport::of(token(cursor)?);
    let end = cursor.at();
    cursor.skip_lws();
    let sip = name.eq_ignore_ascii_case(b"SIP") && version == b"2.0";
    (cursor.at() > end).then_some(sip)
}

fn token<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    Some(cursor.take_few(Class::TOKEN)).filter(|token| !token.is_empty())
}

fn slash(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.skip_lws();
    let slash = cursor.eat(b'/');
    cursor.skip_lws();
    slash.then_some(())
}

/// `host [ COLON port ]`, with white space around the colon.
fn sent_by(cursor: &mut Cursor<'_>, via: &mut Via) -> Option<()> {
    let at = cursor.at();
    uri::eat_host(cursor)?;
    let mut end = cursor.at();
    via.host = Span::between(at, end);
    cursor.skip_lws();
    if cursor.eat(b':') {
        cursor.skip_lws();
        via.port = Some(u16::try_from(cursor.number()?).ok().filter(|port| *port > 0)?);
        end = cursor.at();
    }
    via.sent_by = Span::between(at, end);
    Some(())
}

/// The parameters up to a comma or the end. Where the last one ends; none if one is malformed or
/// one that matters here is there twice (section 7.3.1), so that two elements might choose
/// differently.
fn parameters(cursor: &mut Cursor<'_>, via: &mut Via) -> Option<usize> {
    let mut end = usize::from(via.sent_by.end());
    let mut maddr = false;
    loop {
        let parameter = match parameter::next(cursor) {
            Next::Parameter(parameter) => parameter,
            Next::Comma | Next::End => return Some(end),
            Next::Malformed => return None,
        };
        let written = Span::between(parameter.at, cursor.at());
        let value = parameter.value;
        if parameter.is(b"branch\0\0") {
            if !via.branch.is_empty() || value.is_empty() || value.starts_with(b"\"") {
                return None;
            }
            via.branch = Span::between(parameter.value_at, cursor.at());
        } else if parameter.is(b"rport\0\0\0") {
            if via.rport || !(value.is_empty() || value.iter().all(u8::is_ascii_digit)) {
                return None;
            }
            via.rport = true;
            via.rport_written = written;
        } else if parameter.is(b"received") {
            // RFC 5118 section 4.5: an IPv6 address with or without brackets. It is believed of
            // nobody and replaced in what we forward, so that its octets are all that matters.
            let of_address =
                |o: &u8| o.is_ascii_hexdigit() || matches!(o, b'.' | b':' | b'[' | b']');
            if !via.received.is_empty() || value.is_empty() || !value.iter().all(of_address) {
                return None;
            }
            via.received = written;
        } else if parameter.is(b"maddr\0\0\0") {
            if maddr || value.is_empty() {
                return None;
            }
            maddr = true;
        }
        end = cursor.at();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Via, Reading, &str)> {
        let mut cursor = Cursor::new(text.as_bytes(), 0, text.len());
        let (via, reading) = value(&mut cursor).ok()?;
        Some((via, reading, &text[cursor.at()..]))
    }

    fn text_of(span: Span, text: &str) -> &str {
        core::str::from_utf8(span.of(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_via_is_read_whole() {
        let text = "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK77;rport , next";
        let (via, reading, rest) = read(text).unwrap();
        assert_eq!(reading, Reading::Whole);
        assert_eq!(rest, ", next");
        assert_eq!(text_of(via.host, text), "192.0.2.1");
        assert_eq!(text_of(via.sent_by, text), "192.0.2.1:5070");
        assert_eq!(text_of(via.branch, text), "z9hG4bK77");
        assert_eq!(text_of(via.rport_written, text), ";rport");
        assert_eq!(text_of(via.value, text), text.strip_suffix(" , next").unwrap());
        assert_eq!((via.port, via.transport, via.rport), (Some(5070), Transport::Udp, true));
        assert!(via.has_cookie(text.as_bytes()));
    }

    #[test]
    fn folding_and_white_space_stand_between_all_parts() {
        let text = "SIP  / 2.0\r\n  / TCP     spindle.example.com \r\n : 5061  ;\r\n  \
                    branch  =   z9hG4bK9ikj8  ; RPORT = 7 ;x";
        let (via, reading, rest) = read(text).unwrap();
        assert_eq!((reading, rest), (Reading::Whole, ""));
        assert_eq!(text_of(via.host, text), "spindle.example.com");
        assert_eq!((via.port, via.transport), (Some(5061), Transport::Tcp));
        assert_eq!(text_of(via.branch, text), "z9hG4bK9ikj8");
        assert_eq!(text_of(via.rport_written, text), "; RPORT = 7");
    }

    #[test]
    fn ipv6_references_are_hosts() {
        for text in [
            "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
            "SIP/2.0/UDP [2001:db8::9:1]:6050;received=2001:db8::9:255;branch=z9hG4bKas3-111",
        ] {
            let (via, reading, _) = read(text).unwrap();
            assert_eq!(reading, Reading::Whole, "{text}");
            assert_eq!(text_of(via.host, text), "[2001:db8::9:1]");
            assert!(!via.received.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_read_whole_may_still_be_answered() {
        for text in [
            "SIP/2.0/UDP 192.0.2.15;;,;,,",
            "SIP/2.0/UDP 192.0.2.15;branch=a;branch=b",
            "SIP/2.0/UDP 192.0.2.15;branch",
            "SIP/2.0/UDP 192.0.2.15;branch=",
            "SIP/2.0/UDP 192.0.2.15;rport;rport",
            "SIP/2.0/UDP 192.0.2.15;rport=x",
            "SIP/2.0/UDP 192.0.2.15;received=nonsense",
            "SIP/2.0/UDP 192.0.2.15;received=1.2.3.4;received=1.2.3.4",
            "SIP/2.0/UDP 192.0.2.15;maddr=a;maddr=b",
            "SIP/2.0/UDP 192.0.2.15 ; = x",
            "SIP/2.0/UDP 192.0.2.15 x",
            "SIP/2.0/UDP 192.0.2.15;a=\"b",
        ] {
            let (via, reading, _) = read(text).unwrap();
            assert_eq!(reading, Reading::SentBy, "{text}");
            assert_eq!(text_of(via.value, text), "SIP/2.0/UDP 192.0.2.15");
            assert!(via.branch.is_empty());
            assert!(!via.rport);
        }
        let (_, reading, _) = read("SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw").unwrap();
        assert_eq!(reading, Reading::OtherProtocol);
    }

    #[test]
    fn without_a_host_nothing_can_be_answered() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 a.example",
            "SIP/2.0/UDPa.example",
            "SIP/2.0/UDP[2001:db8::1]",
            "SIP/2.0/UDP ;branch=z",
            "SIP/2.0/UDP a:b",
            "SIP/2.0/UDP a:",
            "SIP/2.0/UDP a:0",
            "SIP/2.0/UDP a:65536",
            "SIP/2.0/UDP [2001:db8::1",
            "SIP/2.0/UDP []",
            "SIP/2.0/UDP [x]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn responses_go_where_rfc_3581_and_rfc_3261_say() {
        let port_of = |text: &str| read(text).unwrap().0.reply_port(40_000);
        assert_eq!(port_of("SIP/2.0/UDP a"), 5060);
        assert_eq!(port_of("SIP/2.0/UDP a:5070"), 5070);
        assert_eq!(port_of("SIP/2.0/UDP a:5070;rport"), 40_000);
        assert_eq!(port_of("SIP/2.0/UDP a:5070;rport=1"), 40_000);
    }

    #[test]
    fn the_cookie_alone_identifies_nothing() {
        for (text, has) in [
            ("SIP/2.0/UDP a;branch=z9hG4bK", false),
            ("SIP/2.0/UDP a;branch=z9hG4bKa", true),
            ("SIP/2.0/UDP a;branch=390skdjuw", false),
            ("SIP/2.0/UDP a", false),
        ] {
            assert_eq!(read(text).unwrap().0.has_cookie(text.as_bytes()), has, "{text}");
        }
    }
}

//! Header fields that only some messages of ours have, and what both requests and responses end with.

use crate::wire::sip::{Refresher, SessionExpires};
use crate::wire::writer::Writer;

/// What Allow says of who takes messages and no sessions (RFC 3261 section 20.5).
pub const ALLOW_PAGER: &[u8] = b"MESSAGE, OPTIONS";

/// What Allow says of who takes both: the methods of sessions, with those that end and change them.
pub const ALLOW_SESSIONS: &[u8] = b"INVITE, ACK, CANCEL, BYE, UPDATE, MESSAGE, OPTIONS";

/// A header field that only some messages have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Extra<'a> {
    /// None.
    #[default]
    None,
    /// Retry-After, in seconds.
    RetryAfter(u32),
    /// Allow, with these methods: [`ALLOW_PAGER`] or [`ALLOW_SESSIONS`].
    Allow(&'a [u8]),
    /// Allow, Accept and Supported: the answer to OPTIONS (RFC 3261 section 11.2).
    Capabilities {
        /// The methods in Allow.
        allow: &'a [u8],
        /// The option tags in Supported; empty for none.
        supported: &'a [u8],
    },
    /// Unsupported, with these option tags (420).
    Unsupported(&'a [u8]),
    /// Accept, with these media types (415).
    Accept(&'a [u8]),
    /// Supported, with these option tags.
    Supported(&'a [u8]),
    /// Require, with these option tags.
    Require(&'a [u8]),
    /// Contact with one URI of ours, where requests in the dialog come (RFC 3261 section 8.1.1.8).
    Contact {
        /// The URI, written in brackets.
        uri: &'a [u8],
        /// Parameters behind the brackets, each with its semicolon (RFC 3840 section 9).
        parameters: &'a [u8],
    },
    /// Session-Expires (RFC 4028 section 4).
    SessionExpires(SessionExpires),
    /// Min-SE, in seconds (422, and what follows it; RFC 4028 section 5).
    MinSe(u32),
    /// Warning (RFC 3261 section 20.43): why a session description is not acceptable.
    Warning {
        /// The warn-code, from 300 to 399; its text is that of section 20.43.
        code: u16,
        /// The host or pseudonym of who warns.
        agent: &'a [u8],
    },
    /// Any others, as they stand, each with its CRLF.
    Lines(&'a [u8]),
}

/// Where octets go: into a slice, or nowhere but into their number.
pub(super) trait Sink {
    /// Appends octets.
    fn put(&mut self, octets: &[u8]) -> Option<()>;

    /// Appends a number in decimal.
    fn put_number(&mut self, number: u32) -> Option<()>;

    /// Appends a header field with its CRLF; its name brings the colon.
    fn put_field(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.put(name)?;
        self.put(value)?;
        self.put(b"\r\n")
    }

    /// The same with a number for its value.
    fn put_number_field(&mut self, name: &[u8], number: u32) -> Option<()> {
        self.put(name)?;
        self.put_number(number)?;
        self.put(b"\r\n")
    }
}

impl Sink for Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        Writer::put(self, octets)
    }

    fn put_number(&mut self, number: u32) -> Option<()> {
        Writer::put_number(self, number)
    }
}

/// How many octets were put.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.0 = self.0.checked_add(octets.len())?;
        Some(())
    }

    fn put_number(&mut self, number: u32) -> Option<()> {
        let log = number.checked_ilog10().unwrap_or(0);
        self.0 = self.0.checked_add(usize::try_from(log).ok()?)?.checked_add(1)?;
        Some(())
    }
}

impl Extra<'_> {
    /// Writes it; nothing for none.
    pub(super) fn write(&self, to: &mut impl Sink) -> Option<()> {
        match *self {
            Self::None => Some(()),
            Self::RetryAfter(seconds) => to.put_number_field(b"Retry-After: ", seconds),
            Self::Allow(methods) => to.put_field(b"Allow: ", methods),
            Self::Capabilities { allow, supported } => {
                to.put_field(b"Allow: ", allow)?;
                to.put_field(b"Accept: */*\r\nSupported: ", supported)
            }
            Self::Unsupported(options) => to.put_field(b"Unsupported: ", options),
            Self::Accept(types) => to.put_field(b"Accept: ", types),
            Self::Supported(options) => to.put_field(b"Supported: ", options),
            Self::Require(options) => to.put_field(b"Require: ", options),
            Self::Contact { uri, parameters } => {
                to.put(b"Contact: <")?;
                to.put(uri)?;
                to.put_field(b">", parameters)
            }
            Self::SessionExpires(SessionExpires { seconds, refresher }) => {
                to.put(b"Session-Expires: ")?;
                to.put_number(seconds)?;
                to.put(match refresher {
                    None => b"\r\n",
                    Some(Refresher::Uac) => b";refresher=uac\r\n",
                    Some(Refresher::Uas) => b";refresher=uas\r\n",
                })
            }
            Self::MinSe(seconds) => to.put_number_field(b"Min-SE: ", seconds),
            Self::Warning { code, agent } => {
                to.put(b"Warning: ")?;
                to.put_number(u32::from(code))?;
                to.put(b" ")?;
                to.put(agent)?;
                to.put(b" \"")?;
                to.put_field(warn_text(code), b"\"")
            }
            Self::Lines(lines) => to.put(lines),
        }
    }
}

/// The text of a warn-code (RFC 3261 section 20.43); that of 399 for others.
const fn warn_text(code: u16) -> &'static [u8] {
    match code {
        300 => b"Incompatible network protocol",
        301 => b"Incompatible network address formats",
        302 => b"Incompatible transport protocol",
        303 => b"Incompatible bandwidth units",
        304 => b"Media type not available",
        305 => b"Incompatible media format",
        306 => b"Attribute not understood",
        307 => b"Session description parameter not understood",
        330 => b"Multicast not available",
        331 => b"Unicast not available",
        370 => b"Insufficient bandwidth",
        _ => b"Miscellaneous warning",
    }
}

/// Writes the end of a message: what is in its body, how long that is, and the body.
pub(super) fn write_content(content_type: &[u8], body: &[&[u8]], to: &mut impl Sink) -> Option<()> {
    if !content_type.is_empty() {
        to.put_field(b"Content-Type: ", content_type)?;
    }
    let length = body.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
    if length == 0 {
        return to.put(b"Content-Length: 0\r\n\r\n");
    }
    to.put(b"Content-Length: ")?;
    to.put_number(u32::try_from(length).ok()?)?;
    to.put(b"\r\n\r\n")?;
    for piece in body {
        to.put(piece)?;
    }
    Some(())
}

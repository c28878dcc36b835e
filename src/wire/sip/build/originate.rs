//! Requests of our own, as a user agent client writes them: outside of a dialog (RFC 3261 section
//! 8.1.1, RFC 3428 section 4), within one (RFC 3261 section 12.2.1.1, RFC 3311), and the two that go with
//! an INVITE: ACK (sections 13.2.2.4 and 17.1.1.3) and CANCEL (section 9.1).

use super::extra::{Count, Extra, Sink, write_content};
use crate::wire::sip::{Method, Transport};
use crate::wire::writer::Writer;

/// The Max-Forwards of a request that begins with us (RFC 3261 section 8.1.1.6).
pub const MAX_FORWARDS: u8 = 70;

/// From or To without the tag that is given beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Party<'a> {
    /// A URI, written in brackets.
    Uri(&'a [u8]),
    /// A `name-addr`, or a whole value with its tag, as it stands.
    Value(&'a [u8]),
}

impl Default for Party<'_> {
    fn default() -> Self {
        Self::Value(&[])
    }
}

/// The values of Route in one header field; none is written where there are none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Routes<'a> {
    /// Values as they stand, with commas between them.
    pub values: &'a [u8],
    /// A URI to be written behind them in brackets: the remote target where the first of the route set is
    /// a strict router (RFC 3261 section 12.2.1.1). Empty where there is none.
    pub target: &'a [u8],
}

/// What a request of ours says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Originate<'a> {
    /// The method, which also stands in CSeq. [`Method::Other`] has no name and is not written.
    pub method: Method,
    /// The Request-URI.
    pub uri: &'a [u8],
    /// How it leaves, as our Via value says.
    pub transport: Transport,
    /// Host and port of our Via value.
    pub sent_by: &'a [u8],
    /// The branch of our Via value with its cookie.
    pub branch: &'a [u8],
    /// Max-Forwards: [`MAX_FORWARDS`], or less where it carries on what came with less.
    pub max_forwards: u8,
    /// Route.
    pub routes: Routes<'a>,
    /// From.
    pub from: Party<'a>,
    /// The tag of From; empty where there is none, or it is in the value.
    pub from_tag: &'a [u8],
    /// To.
    pub to: Party<'a>,
    /// The tag of To; empty where there is none, as outside of a dialog, or it is in the value.
    pub to_tag: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The number in CSeq.
    pub cseq: u32,
    /// Accept-Contact, Reject-Contact and Request-Disposition, each with its CRLF: an ACK to an error and a
    /// CANCEL have those of their INVITE, so that a stateless proxy sends them where it has sent that
    /// (RFC 3841 section 5).
    pub preferences: &'a [u8],
    /// Further header fields in pieces, each with its CRLF. Never a Contact in MESSAGE (RFC 3428 section
    /// 4).
    pub more: &'a [&'a [u8]],
    /// Further header fields behind those.
    pub extra: &'a [Extra<'a>],
    /// Content-Type; empty where there is no body.
    pub content_type: &'a [u8],
    /// The body in pieces.
    pub body: &'a [&'a [u8]],
}

impl<'a> Originate<'a> {
    /// The ACK to a 300-699 to this INVITE (RFC 3261 section 17.1.1.3), `to` the value of To in that
    /// response, with its tag. It belongs to the transaction of the INVITE: Request-URI, Via, From,
    /// Call-ID, Route, preferences and the number in CSeq are the same.
    pub const fn ack(&self, to: &'a [u8]) -> Self {
        Self { method: Method::Ack, to: Party::Value(to), to_tag: &[], ..self.bare() }
    }

    /// The CANCEL of this INVITE (RFC 3261 section 9.1): Request-URI, Via, From, To, Call-ID, Route,
    /// preferences and the number in CSeq are the same, so that every hop finds the INVITE by them.
    pub const fn cancel(&self) -> Self {
        Self { method: Method::Cancel, ..self.bare() }
    }

    /// Without other header fields, of which CANCEL must not have some (Require), and without a body.
    const fn bare(&self) -> Self {
        let max_forwards = MAX_FORWARDS;
        Self { max_forwards, more: &[], extra: &[], content_type: &[], body: &[], ..*self }
    }

    /// How many octets it has.
    pub fn size(&self) -> usize {
        let mut count = Count::default();
        // What has no transport or no name is not written at all.
        self.write(&mut count).map_or(0, |()| count.0)
    }

    fn write(&self, to: &mut impl Sink) -> Option<()> {
        let method = self.method.name()?;
        for piece in [method, b" ", self.uri, b" SIP/2.0\r\n", self.transport.via()?, self.sent_by]
        {
            to.put(piece)?;
        }
        // RFC 3581: the response comes back the way the request went.
        for piece in [b";branch=", self.branch, b";rport\r\n"] {
            to.put(piece)?;
        }
        to.put_number_field(b"Max-Forwards: ", u32::from(self.max_forwards))?;
        self.routes.write(to)?;
        self.from.write(b"From: ", self.from_tag, to)?;
        self.to.write(b"To: ", self.to_tag, to)?;
        to.put_field(b"Call-ID: ", self.call_id)?;
        to.put(b"CSeq: ")?;
        to.put_number(self.cseq)?;
        to.put_field(b" ", method)?;
        to.put(self.preferences)?;
        for line in self.more {
            to.put(line)?;
        }
        for extra in self.extra {
            extra.write(to)?;
        }
        write_content(self.content_type, self.body, to)
    }
}

impl Routes<'_> {
    fn write(self, to: &mut impl Sink) -> Option<()> {
        let Self { values, target } = self;
        match (values.is_empty(), target.is_empty()) {
            (true, true) => Some(()),
            (false, true) => to.put_field(b"Route: ", values),
            (none, false) => {
                to.put(b"Route: ")?;
                to.put(values)?;
                to.put(if none { b"<" } else { b",<" })?;
                to.put_field(target, b">")
            }
        }
    }
}

impl Party<'_> {
    fn write(self, name: &[u8], tag: &[u8], to: &mut impl Sink) -> Option<()> {
        to.put(name)?;
        match self {
            Self::Uri(uri) => {
                to.put(b"<")?;
                to.put(uri)?;
                to.put(b">")?;
            }
            Self::Value(value) => to.put(value)?,
        }
        if !tag.is_empty() {
            to.put(b";tag=")?;
            to.put(tag)?;
        }
        to.put(b"\r\n")
    }
}

/// Writes the request. Returns how many octets it has, or `None` if they do not fit.
pub fn originate(message: &Originate<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    message.write(&mut writer)?;
    Some(writer.at())
}

//! Offers and answers for MSRP, line by line (RFC 4975 section 8, RFC 6135): what a user agent reads in
//! ours, and what it answers, rightly and wrongly.

use roger::packet::Endpoint;

use crate::chance::Chance;
use crate::text::endpoint;

/// What an offer says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Offer {
    pub(crate) path: Vec<String>,
    pub(crate) setup: String,
    pub(crate) direction: String,
    pub(crate) accept_types: String,
    /// The line with `m=`.
    pub(crate) media: String,
}

impl Offer {
    /// Reads a body that describes exactly one stream of messages.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(body).ok()?;
        let mut offer = Self::default();
        for line in text.lines() {
            let line = line.trim_end_matches('\r');
            match line.split_once('=')? {
                ("m", value) if offer.media.is_empty() => value.clone_into(&mut offer.media),
                ("m", _) => return None,
                ("a", attribute) => {
                    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
                    match name {
                        "path" => offer.path = value.split(' ').map(str::to_owned).collect(),
                        "setup" => value.clone_into(&mut offer.setup),
                        "accept-types" => value.clone_into(&mut offer.accept_types),
                        "sendonly" | "recvonly" | "sendrecv" | "inactive" => {
                            name.clone_into(&mut offer.direction);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        (offer.media.starts_with("message ") && !offer.path.is_empty()).then_some(offer)
    }
}

/// The session-id of an MSRP URI, and the address in it.
pub(crate) fn session_id(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("msrp://")?;
    let (_, rest) = rest.split_once('/')?;
    rest.split(';').next()
}

/// Where an MSRP URI leads.
pub(crate) fn place(uri: &str) -> Option<Endpoint> {
    let rest = uri.strip_prefix("msrp://")?;
    let authority = rest.split(['/', ';']).next()?;
    endpoint(authority.rsplit('@').next()?)
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    NoBody,
    NotSdp,
    Port,
    NoPath,
    Protocol,
    Types,
    Direction,
    Setup,
    Scheme,
    TwoStreams,
    OwnPath,
    MaxSize,
}

impl Flaw {
    const ALL: [Self; 12] = [
        Self::NoBody,
        Self::NotSdp,
        Self::Port,
        Self::NoPath,
        Self::Protocol,
        Self::Types,
        Self::Direction,
        Self::Setup,
        Self::Scheme,
        Self::TwoStreams,
        Self::OwnPath,
        Self::MaxSize,
    ];

    pub(crate) fn draw(chance: &mut Chance) -> Self {
        chance.pick(&Self::ALL)
    }
}

/// What an answer says.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    /// The address that listens.
    pub(crate) at: Endpoint,
    pub(crate) path: &'a str,
    /// `active`, `passive`, or nothing.
    pub(crate) setup: &'a str,
    pub(crate) flaw: Option<Flaw>,
    /// The body that it answers.
    pub(crate) offer: &'a Offer,
}

impl Answer<'_> {
    /// Its octets; `chance` decides what may be said or left out.
    pub(crate) fn octets(&self, chance: &mut Chance) -> String {
        let flaw = self.flaw;
        let is = |which| flaw == Some(which);
        if is(Flaw::NoBody) {
            return String::new();
        }
        if is(Flaw::NotSdp) {
            return chance.pick(&["hello\r\n", "v=0\r\n", "m=message\r\n"]).to_owned();
        }
        let address = self.at.to_socket_addr().ip();
        let family = if self.at.is_v4() { "IP4" } else { "IP6" };
        let port = if is(Flaw::Port) { 0 } else { self.at.port };
        let protocol = if is(Flaw::Protocol) {
            chance.pick(&["RTP/AVP", "TCP/TLS/MSRP", "TCP/BFCP"])
        } else {
            "TCP/MSRP"
        };
        let types = if is(Flaw::Types) { "image/png" } else { accepted(chance) };
        let mut text = format!(
            "v=0\r\no=- {0} {0} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
             m=message {port} {protocol} *\r\na=accept-types:{types}\r\n",
            chance.below(1 << 40)
        );
        if chance.one_in(2) {
            text += "a=accept-wrapped-types:*\r\n";
        }
        let size = if is(Flaw::MaxSize) { Some(3) } else { chance.one_in(4).then_some(100_000) };
        if let Some(size) = size {
            text += &format!("a=max-size:{size}\r\n");
        }
        text += &match flaw {
            Some(Flaw::NoPath) => String::new(),
            Some(Flaw::OwnPath) => format!("a=path:{}\r\n", self.offer.path.join(" ")),
            Some(Flaw::Scheme) => format!("a=path:{}\r\n", self.path.replace("msrp:", "msrps:")),
            _ => format!("a=path:{}\r\n", self.path),
        };
        let setup = if is(Flaw::Setup) { "actpass" } else { self.setup };
        if !setup.is_empty() {
            text += &format!("a=setup:{setup}\r\n");
        }
        text += match flaw {
            Some(Flaw::Direction) => chance.pick(&["a=sendonly\r\n", "a=inactive\r\n"]),
            // Who is offered sendonly and says nothing means recvonly (RFC 3264 section 6.1).
            _ => chance.pick(&["a=recvonly\r\n", "a=recvonly\r\n", ""]),
        };
        if is(Flaw::TwoStreams) {
            text += "m=audio 0 RTP/AVP 0\r\n";
        }
        text
    }
}

/// Types that let through whatever we send.
fn accepted(chance: &mut Chance) -> &'static str {
    chance.pick(&["message/cpim text/plain", "message/cpim text/plain text/html *", "*"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
        m=message 2855 TCP/MSRP *\r\na=accept-types:text/plain\r\n\
        a=path:msrp://10.0.0.1:2855/abc;tcp\r\na=setup:actpass\r\na=sendonly\r\n";

    #[test]
    fn an_offer_is_read() {
        let offer = Offer::read(OFFER.as_bytes()).unwrap();
        assert_eq!(offer.path, ["msrp://10.0.0.1:2855/abc;tcp"]);
        assert_eq!((offer.setup.as_str(), offer.direction.as_str()), ("actpass", "sendonly"));
        assert_eq!(session_id(&offer.path[0]), Some("abc"));
        assert_eq!(place(&offer.path[0]).map(|at| at.port), Some(2855));
        assert_eq!(Offer::read(OFFER.replace("a=path", "a=pith").as_bytes()), None);
    }

    #[test]
    fn each_flaw_makes_another_answer_and_none_makes_one_that_is_read() {
        let offer = Offer::read(OFFER.as_bytes()).unwrap();
        let at = endpoint("10.0.2.1:2855").unwrap();
        let answer = |flaw| {
            let path = "msrp://10.0.2.1:2855/x;tcp";
            let answer = Answer { at, path, setup: "passive", flaw, offer: &offer };
            answer.octets(&mut Chance::new(1))
        };
        let right = answer(None);
        assert!(Offer::read(right.as_bytes()).is_some_and(|read| read.setup == "passive"));
        for flaw in Flaw::ALL {
            assert_ne!(answer(Some(flaw)), right, "{flaw:?}");
        }
    }
}

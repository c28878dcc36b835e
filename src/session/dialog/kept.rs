//! What a dialog remembers of messages, in a buffer of fixed size.

use crate::limits::DIALOG_SIZE;
use crate::wire::Span;
use crate::wire::sip::{MAX_FORWARDS, Method, Originate, Party, Routes, uri};

/// What a dialog is called: octet for octet, tags empty where there is none (RFC 3261 section 12: RFC 2543
/// knew none).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Names<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// Our tag.
    pub local_tag: &'a [u8],
    /// Theirs.
    pub remote_tag: &'a [u8],
}

/// The octets of one dialog: its names, both parties, the route set, the remote target.
///
/// ```text
/// | Call-ID | local tag | remote tag | local URI | remote URI | routes, comma between | target |
///                                                             ^ may be replaced       ^ may be replaced
/// ```
#[derive(Clone, Debug)]
pub struct Kept {
    octets: [u8; DIALOG_SIZE],
    call_id: Span,
    local_tag: Span,
    remote_tag: Span,
    local: Span,
    remote: Span,
    /// All Route values as they are sent.
    routes: Span,
    /// The first of them.
    route: Span,
    target: Span,
}

/// The buffer is full: the dialog cannot be, or stays as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl Kept {
    /// Nothing yet.
    pub const NOTHING: Self = {
        let none = Span { at: 0, len: 0 };
        Self {
            octets: [0; DIALOG_SIZE],
            call_id: none,
            local_tag: none,
            remote_tag: none,
            local: none,
            remote: none,
            routes: none,
            route: none,
            target: none,
        }
    };

    /// Remembers a dialog: its names, the URIs of both parties (From and To, without their tags), the
    /// values of Record-Route *in the order in which they are to be followed* and the URI in the Contact of
    /// the other side. A caller takes the values of the response in reverse, a callee those of the request as
    /// they stand (sections 12.1.1 and 12.1.2).
    ///
    /// # Errors
    ///
    /// If that is more than [`DIALOG_SIZE`] octets.
    pub fn new<'v>(
        names: &Names<'_>,
        (local, remote): (&[u8], &[u8]),
        routes: impl Iterator<Item = &'v [u8]>,
        target: &[u8],
    ) -> Result<Self, Full> {
        let mut kept = Self::NOTHING;
        kept.call_id = kept.put(0, names.call_id)?;
        kept.local_tag = kept.put(kept.call_id.end(), names.local_tag)?;
        kept.remote_tag = kept.put(kept.local_tag.end(), names.remote_tag)?;
        kept.local = kept.put(kept.remote_tag.end(), local)?;
        kept.remote = kept.put(kept.local.end(), remote)?;
        kept.set_routes(routes, target)?;
        Ok(kept)
    }

    /// The 2xx says which way it goes, whatever a provisional response has said (section 13.2.2.4).
    ///
    /// # Errors
    ///
    /// If there is no room: then what was known is lost, and the dialog is of no more use.
    pub fn set_routes<'v>(
        &mut self,
        routes: impl Iterator<Item = &'v [u8]>,
        target: &[u8],
    ) -> Result<(), Full> {
        let at = self.remote.end();
        let mut end = at;
        self.route = Span { at, len: 0 };
        for (place, value) in routes.enumerate() {
            if place > 0 {
                end = self.put(end, b",")?.end();
            }
            let kept = self.put(end, value)?;
            if place == 0 {
                self.route = kept;
            }
            end = kept.end();
        }
        self.routes = Span { at, len: end - at };
        self.target = self.put(end, target)?;
        Ok(())
    }

    /// The other side is somewhere else from here on: the URI in the Contact of a target refresh, an INVITE
    /// or an UPDATE, or of the 2xx to one (section 12.2). The route set stays.
    ///
    /// # Errors
    ///
    /// If there is no room; then it stays as it was.
    pub fn set_target(&mut self, target: &[u8]) -> Result<(), Full> {
        self.target = self.put(self.routes.end(), target)?;
        Ok(())
    }

    /// Whether it is the dialog of these names: all three, octet for octet (section 12).
    pub fn is(&self, names: &Names<'_>) -> bool {
        self.names() == *names
    }

    /// What it is called.
    pub fn names(&self) -> Names<'_> {
        let (call_id, local_tag) = (self.call_id.of(&self.octets), self.local_tag.of(&self.octets));
        Names { call_id, local_tag, remote_tag: self.remote_tag.of(&self.octets) }
    }

    /// Our URI, for From.
    pub fn local(&self) -> &[u8] {
        self.local.of(&self.octets)
    }

    /// Theirs, for To.
    pub fn remote(&self) -> &[u8] {
        self.remote.of(&self.octets)
    }

    /// The URI at which the other side is.
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.octets)
    }

    /// The Request-URI of a request in the dialog (section 12.2.1.1): the remote target, but the first of
    /// the route set where that is a strict router. What must not stand in a Request-URI must not stand in
    /// a Record-Route either (section 19.1.1, table 1), so nothing is taken out.
    pub fn request_uri(&self) -> &[u8] {
        if self.is_loose() { self.target() } else { self.first_route() }
    }

    /// The Route header field of a request in the dialog (section 12.2.1.1); nothing in it where there is
    /// no route set.
    pub fn routes(&self) -> Routes<'_> {
        let all = self.routes.of(&self.octets);
        if self.routes.is_empty() || self.is_loose() {
            return Routes { values: all, target: &[] };
        }
        let behind = all.get(usize::from(self.route.len)..).unwrap_or_default();
        Routes { values: behind.strip_prefix(b",").unwrap_or(behind), target: self.target() }
    }

    /// The URI that a request in the dialog goes to first (section 8.1.2): the first of the route set, else
    /// the remote target.
    pub fn next_hop(&self) -> &[u8] {
        if self.routes.is_empty() { self.target() } else { self.first_route() }
    }

    /// What a request in the dialog says of it (section 12.2.1.1), an ACK to a 2xx too, which has the number
    /// of its INVITE (section 13.2.2.4). How it leaves is still to be said, and what it asks for.
    pub fn request(&self, method: Method, cseq: u32) -> Originate<'_> {
        let names = self.names();
        Originate {
            method,
            uri: self.request_uri(),
            max_forwards: MAX_FORWARDS,
            routes: self.routes(),
            from: Party::Uri(self.local()),
            from_tag: names.local_tag,
            to: Party::Uri(self.remote()),
            to_tag: names.remote_tag,
            call_id: names.call_id,
            cseq,
            ..Originate::default()
        }
    }

    /// Whether the way begins with a loose router, or with the other side itself.
    fn is_loose(&self) -> bool {
        let has_lr = |uri| uri::parse(uri).is_ok_and(|uri| uri.param(b"lr").is_some());
        self.routes.is_empty() || has_lr(self.first_route())
    }

    /// The URI in the first value of the route set.
    fn first_route(&self) -> &[u8] {
        crate::wire::sip::address_uri(&self.octets, self.route).of(&self.octets)
    }

    /// Writes octets at a place, over what was there.
    fn put(&mut self, at: u16, octets: &[u8]) -> Result<Span, Full> {
        let len = u16::try_from(octets.len()).map_err(|_| Full)?;
        let from = usize::from(at);
        let room = self.octets.get_mut(from..from + octets.len()).ok_or(Full)?;
        room.copy_from_slice(octets);
        Ok(Span { at, len })
    }
}

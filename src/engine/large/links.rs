//! The MSRP connections of a worker: where they lead, and who waits for one.
//!
//! A connection has a place here, which is the one that [`crate::session::msrp`] knows it by. Those that
//! we have opened are shared by all sessions that lead to the same place (RFC 4975 section 5.4).

use super::Call;
use crate::id::Handle;
use crate::packet::{ConnectionId, Endpoint, Flow, SocketId};

/// One connection, or the wish for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Its name, once it is there.
    pub(super) id: Option<ConnectionId>,
    remote: Endpoint,
    socket: SocketId,
    is_taken: bool,
    is_ours: bool,
    /// The calls that wait until it is there.
    pub(super) waiting: Option<Handle<Call>>,
    /// Whether it is wished that there be room to write.
    pub(super) is_writing: bool,
    /// Octets of it are to be shown again when there is room for what follows from them.
    pub(super) is_behind: bool,
    /// Octets of it are to be shown again when the peer of a session is known.
    pub(super) is_early: bool,
    /// It is to be closed.
    pub(super) is_closing: bool,
}

const NOBODY: Link = Link {
    id: None,
    remote: Flow::NOWHERE.remote,
    socket: Flow::NOWHERE.socket,
    is_taken: false,
    is_ours: false,
    waiting: None,
    is_writing: false,
    is_behind: false,
    is_early: false,
    is_closing: false,
};

/// Where there is no place.
const NO_PLACE: u16 = u16::MAX;

/// All of them.
#[derive(Debug)]
pub(super) struct Links {
    links: Box<[Link]>,
    free: Vec<u16>,
    /// The place of each connection of the worker.
    places: Box<[u16]>,
    /// Those that we have opened, in the order of where they lead.
    ours: Vec<(Endpoint, u16)>,
}

impl Links {
    /// Room for so many among so many connections of the worker. Allocates and touches it.
    pub(super) fn new(links: u16, connections: u16) -> Self {
        Self {
            links: core::iter::repeat_n(NOBODY, usize::from(links)).collect(),
            free: (0..links).rev().collect(),
            places: core::iter::repeat_n(NO_PLACE, usize::from(connections)).collect(),
            ours: Vec::with_capacity(usize::from(links)),
        }
    }

    /// Octets of everything.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.links) + 2 * self.places.len() + 32 * self.links.len()
    }

    /// One of them.
    pub(super) fn get(&mut self, place: u16) -> &mut Link {
        &mut self.links[usize::from(place)]
    }

    /// All places that are taken.
    pub(super) fn taken(&self) -> impl Iterator<Item = u16> + use<> {
        let count = u16::try_from(self.links.len()).unwrap_or(NO_PLACE);
        0..count
    }

    /// The place of a connection.
    pub(super) fn of(&self, id: ConnectionId) -> Option<u16> {
        let place = *self.places.get(usize::from(id.index))?;
        let link = self.links.get(usize::from(place))?;
        (link.id == Some(id)).then_some(place)
    }

    /// Somebody has connected. `None` if there is no place.
    pub(super) fn accept(&mut self, id: ConnectionId, flow: &Flow) -> Option<u16> {
        let place = self.take(flow.remote, flow.socket)?;
        self.name(place, id);
        Some(place)
    }

    /// The connection that was wished for is there.
    pub(super) fn opened(&mut self, place: u16, id: ConnectionId) {
        self.name(place, id);
    }

    /// The one that we have opened or wished for to there, of those that may be used once they are there.
    pub(super) fn ours(
        &self,
        remote: Endpoint,
        socket: SocketId,
        may_be_used: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let from = self.ours.partition_point(|(at, _)| *at < remote);
        let same = self.ours[from..].iter().take_while(|(at, _)| *at == remote);
        same.map(|(_, place)| *place).find(|place| {
            let link = &self.links[usize::from(*place)];
            let is_usable = link.id.is_none() || may_be_used(*place);
            link.socket == socket && !link.is_closing && is_usable
        })
    }

    /// A place for one that is wished for. `None` if there is none.
    pub(super) fn connect(&mut self, remote: Endpoint, socket: SocketId) -> Option<u16> {
        let place = self.take(remote, socket)?;
        let at = self.ours.partition_point(|(at, _)| *at < remote);
        self.ours.insert(at, (remote, place));
        self.links[usize::from(place)].is_ours = true;
        Some(place)
    }

    /// A connection is no more, or will not be; its place is free. The calls that wait for it.
    pub(super) fn remove(&mut self, place: u16) -> Option<Handle<Call>> {
        let link = core::mem::replace(&mut self.links[usize::from(place)], NOBODY);
        if !link.is_taken {
            return None;
        }
        let from = self.ours.partition_point(|(at, _)| *at < link.remote);
        if link.is_ours
            && let Some(at) = self.ours[from..].iter().position(|(_, of)| *of == place)
        {
            self.ours.remove(from + at);
        }
        if let Some(id) = link.id {
            self.places[usize::from(id.index)] = NO_PLACE;
        }
        self.free.push(place);
        link.waiting
    }

    fn take(&mut self, remote: Endpoint, socket: SocketId) -> Option<u16> {
        let place = self.free.pop()?;
        self.links[usize::from(place)] = Link { remote, socket, is_taken: true, ..NOBODY };
        Some(place)
    }

    fn name(&mut self, place: u16, id: ConnectionId) {
        self.links[usize::from(place)].id = Some(id);
        self.places[usize::from(id.index)] = place;
    }
}

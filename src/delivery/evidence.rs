//! What can be observed about a message on the IM side, and who can prove what.

/// Who a SIP peer is, which says who originates the final response that it sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A transparent proxy: a 200 that it passes on is the user agent's own.
    Proxy,
    /// The IM client itself.
    Endpoint,
    /// A server that answers on behalf of the client: its 200 proves acceptance only.
    ImServer,
    /// A gateway into another network: its 200 proves acceptance only (RFC 5438 section 12.2).
    Gateway,
}

impl Role {
    /// Whether a 200 from this peer was originated by the recipient's user agent (RFC 3428
    /// section 7).
    pub const fn speaks_for_the_recipient(self) -> bool {
        match self {
            Self::Proxy | Self::Endpoint => true,
            Self::ImServer | Self::Gateway => false,
        }
    }
}

/// One observation. `Copy`, owns nothing, borrows nothing: it can be recorded and replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// A final response to the SIP MESSAGE, 200 to 699 (RFC 3428 section 7).
    Final {
        /// Its status code.
        status: u16,
        /// Who it came from.
        role: Role,
    },
    /// No final response within 64*T1 of the first transmission (RFC 3261 timer F).
    TimerF,
    /// No verdict within `sync_deadline` of the arrival, although the request has left.
    Deadline,
    /// The local kernel refused the first transmission to every server: no octet has left.
    NeverSent,
    /// An ICMP error that quotes our own request (RFC 3261 section 18.4).
    Unreachable,
    /// The process was told to end before anything was known.
    Shutdown,
}

//! MSRP connections: what comes on them and leaves on them goes through [`crate::session::msrp`].

use crate::engine::Engine;
use crate::packet::{Departures, StreamEvent};

impl Engine {
    /// Takes what happened to a connection of MSRP.
    pub fn on_stream(&mut self, event: StreamEvent<'_>, out: &mut Departures) {
        let _ = (event, out);
    }
}

//! What both drivers do in a turn about connections whose octets the engine divides itself.

use super::driver::Event;
use super::stream::{Connections, Parked};
use crate::limits::STREAM_OCTETS_PER_TURN;
use crate::packet::{Departures, StreamEvent};
use crate::session::stream::Next;
use crate::time::Instant;

impl Connections {
    /// Tells what has happened to such connections and shows what was read, if `takes`, in which order they
    /// came; offers room to those that are wished to be written, and takes what is wished for. `octets` says
    /// what is in a buffer. Buffers that are used up are put into [`Connections::used`].
    pub(super) fn divide<'a>(
        &mut self,
        octets: impl Fn(&Parked) -> &'a [u8],
        takes: bool,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let on = &mut |event: StreamEvent<'_>, out: &mut Departures| on(Event::Stream(event), out);
        let mut work = self.streams.tell(at, out, on);
        let reads = if takes { self.undivided.len() } else { 0 };
        let mut shown = 0;
        for _ in 0..reads {
            if shown >= STREAM_OCTETS_PER_TURN {
                break;
            }
            let Some(mut parked) = self.undivided.pop_front() else { break };
            let before = parked.at;
            match self.streams.show(parked.index, (octets(&parked), &mut parked.at), at, out, on) {
                Next::UsedUp => {
                    shown += parked.len.saturating_sub(before);
                    work += 1;
                    self.used.push(parked.buffer);
                    if self.streams.is_read(parked.index) {
                        self.to_read.push_back(parked.index);
                    }
                }
                Next::Message(_) | Next::Later => {
                    shown += parked.at.saturating_sub(before);
                    work += usize::from(parked.at != before);
                    self.undivided.push_back(parked);
                }
            }
        }
        work += self.streams.take_wishes(out, at);
        work += self.streams.offer(at, out, on);
        work + self.streams.take_wishes(out, at)
    }
}

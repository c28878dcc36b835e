//! Sessions that pass from one peer of the IM side to another: whether they do, and how much may be under way
//! in them.

use crate::config::capacity::share;
use crate::config::diagnosis::Diagnosis;
use crate::config::reader::{Reader, Section, Setting};
use crate::config::relations::remark;
use crate::config::sections::{Draft, DraftPeer};
use crate::config::value::Count;
use crate::config::{Config, MsrpTransport};
use crate::limits::{
    LARGE_CARRY_BUFFER, LARGE_CARRY_BUFFER_MAX, LARGE_SESSIONS_MAX, MSRP_RING_SIZE_MIN,
};

const BUFFER_MIN: u32 = 4_096;
const _: () = assert!(BUFFER_MIN as usize == MSRP_RING_SIZE_MIN);

/// What passes from one session to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Carry {
    /// Messages at once, in all workers together.
    pub messages: u32,
    /// Octets of each of them that have come and not left, at most.
    pub buffer: u32,
}

/// The keys about it, as they were read.
#[derive(Debug)]
pub(super) struct DraftCarry {
    carry: Setting<bool>,
    messages: Setting<Count<1, LARGE_SESSIONS_MAX>>,
    buffer: Setting<Count<BUFFER_MIN, LARGE_CARRY_BUFFER_MAX>>,
}

/// Reads them, where there are so many sessions.
pub(super) fn read(section: &mut Section<'_, '_>, sessions: u32) -> DraftCarry {
    let carry = section.read("carry", false);
    // Each that passes has two, and has mostly one message under way in them.
    let pairs = Count(sessions.div_ceil(2));
    let messages = section.read("carry_messages", pairs);
    if carry.value && messages.is_default() {
        section.remark("half of the sessions");
    }
    let buffer = section.read("carry_buffer", Count(LARGE_CARRY_BUFFER));
    let draft = DraftCarry { carry, messages, buffer };
    let written = !draft.messages.is_default() || !draft.buffer.is_default();
    if written && !draft.carry.value {
        section.remark("takes effect with `carry`");
    }
    draft
}

/// Judges them. `None` where nothing passes.
pub(super) fn judge(reader: &mut Reader, draft: &Draft) -> Option<Carry> {
    let DraftCarry { carry, messages, buffer } = &draft.large.carry;
    if !carry.value {
        return None;
    }
    // A peer that was not understood, which was told, may be the one that is missing.
    let is_unclear = |peer: &DraftPeer| {
        peer.side.is_none()
            || peer.has_wrong_msrp_transport
            || (peer.has_msrp && peer.msrp.is_none())
    };
    let takes_part =
        |peer: &&DraftPeer| peer.msrp.is_some() && peer.msrp_transport() == MsrpTransport::Tcp;
    let count = draft.peers.iter().filter(takes_part).count();
    if count < 2 && !draft.peers.iter().any(is_unclear) {
        let diagnosis = Diagnosis::error(
            "sessions pass between two peers of the IM side",
            carry.origin.clone(),
            match count {
                0 => "none has `msrp` over TCP",
                _ => "only one has `msrp` over TCP",
            },
        )
        .because(
            "an INVITE passes from one of them to another, and so does what is sent in its session;\n\
             sessions over TLS do not pass",
        );
        reader.report(
            diagnosis
                .suggest("add msrp = \"endpoint\", \"relay\", \"b2bua\" or \"im_server\" to both"),
        );
    }
    Some(Carry { messages: messages.value.0, buffer: buffer.value.0 })
}

/// Octets that they take in all workers, about. Says what each of them has room for.
pub(super) fn memory(reader: &mut Reader, draft: &Draft, sessions: u32, workers: usize) -> u64 {
    /// What is kept of a message and its chunks until it is answered, and what is proved of it.
    const MESSAGE_SIZE: u64 = 12 << 10;
    /// What was said in SIP, and which messages may be reported.
    const SESSION_SIZE: u64 = 16 << 10;
    let DraftCarry { carry, messages, buffer } = &draft.large.carry;
    if !carry.value {
        return 0;
    }
    let messages = share(messages.value.0, workers);
    if workers > 1 {
        let room = format!("each worker has room for {messages}");
        remark(reader, "[large]", 0, "carry_messages", &room);
    }
    let each = u64::from(messages) * (MESSAGE_SIZE + u64::from(buffer.value.0))
        + u64::from(sessions) * SESSION_SIZE;
    each * workers as u64
}

impl Config {
    /// Messages that each worker may carry from one session to another at once; 0 where nothing passes.
    pub fn carried_max(&self) -> u32 {
        let carry = self.large.as_ref().and_then(|large| large.carry);
        carry.map_or(0, |carry| share(carry.messages, self.workers.count()))
    }
}

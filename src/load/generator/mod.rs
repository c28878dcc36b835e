//! Load for any SIP system: MESSAGE requests at a rate that never waits, and what came of each.
//!
//! ```text
//!   sender ──MESSAGE──> whatever is tested ──MESSAGE──> answerer
//!     │   <──final response, or RP-ACK / RP-ERROR──        │ <──final response
//!   [record::Sent] of each message            [record::Seen] of each message
//!            └───────────────> audit: lost, duplicated, false, wrong <──────┘
//! ```
//!
//! Either end can be played, or both: then the way through the tested system is measured from end to
//! end, and what the [`sender`] was told is laid beside what the [`answerer`] really did, message by
//! message. Each end is one thread with a driver of its own, on a core of its own where that is
//! asked for; what it needs is allocated and touched before the first message is due.
//!
//! Message `n` is due at `start + n / rate`, whatever happened to those before it, and its latency is
//! told from that instant as well as from the actual send. The difference is the generator's own
//! error, and stands beside the figures in the same units ([`summary`]), with the sentence whether
//! the figures stand.
//!
//! What a MESSAGE is too short for comes to the answering end in a session of MSRP, if it takes any
//! ([`session`]), or in pieces. Then every message is held against what was sent octet for octet.
//!
//! A message is recognised by sixteen digits, the run's and its own, in its branch, its Call-ID and
//! its text ([`message`]). So no table is needed to match a response, and the answering end knows a
//! message again however the tested system has rewritten it, as long as its text is left alone.

pub mod answerer;
pub mod audit;
mod content;
pub mod interval;
pub mod message;
pub mod mix;
pub mod page;
mod pieces;
pub mod plan;
pub mod record;
mod reply;
mod response;
pub mod sender;
pub mod session;
pub mod stage;
pub mod summary;
pub mod thread;
pub mod threshold;
mod timers;
mod window;

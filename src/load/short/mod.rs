//! Short messages with a known outcome: an SC that submits and repeats, users who read, a judge.
//!
//! [`sc`] submits RP-DATA in SIP MESSAGEs on the schedule of its run, answers the reports that come
//! back or loses them, and repeats what was not acknowledged, as SCs do, only sooner. [`user`] plays
//! the user agents to which the texts go, and writes down what each user has seen and how often. What
//! shall happen to a message and what is right then stands in [`case`]; [`judge`] lays both records
//! beside what the tested side says that it decided.
//!
//! RP and TP octets are written and read by hand ([`octets`]); nothing of them is taken from the
//! packet path.

pub mod case;
#[cfg(test)]
mod gateway;
pub mod judge;
pub mod octets;
pub mod plan;
pub mod sc;
pub mod session;
pub mod summary;
pub mod user;

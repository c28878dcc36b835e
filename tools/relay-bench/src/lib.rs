//! What a relay measurement needs, and nothing of the product that is measured.
//!
//! Two programs stand on this: `lean-driver` plays the SMS side and the IM side around whatever
//! relays between them, and `bare-relay` is the least that a relay of MESSAGE can be: receive,
//! scan, remember, send. They share their socket calls ([`batch`]) and their reading of SIP
//! ([`message`]), which is enough for the packets of the driver and for no others. [`usage`] says
//! what the system under test cost.

pub mod batch;
pub mod message;
pub mod usage;

//! What the measurements of a relay and of a gateway need beside the product that is measured.
//!
//! Three programs stand on this: `lean-driver` plays the SMS side and the IM side around whatever
//! stands between them, `bare-relay` is the least that a relay of MESSAGE can be: receive, scan,
//! remember, send, and `bare-gateway` the least that a gateway of short messages can be. They share
//! their socket calls ([`batch`]), their reading of SIP ([`message`]), which is enough for the
//! packets of the driver and for no others, and their transactions ([`table`]). [`usage`] says what
//! the system under test cost. Of the product there are only the views of RP and TPDU and the timing
//! wheel, in `bare-gateway`: what reading them costs is in both programs.

pub mod batch;
pub mod message;
pub mod table;
pub mod usage;

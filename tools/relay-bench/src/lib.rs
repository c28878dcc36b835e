//! What the measurements of a relay and of a gateway need beside the product that is measured.
//!
//! Three programs stand on this: `lean-driver` plays the SMS side and the IM side around whatever
//! stands between them, `bare-relay` is the least that a relay of MESSAGE can be: receive, scan,
//! remember, send, and `bare-gateway` the least that a gateway of short messages can be. They share
//! their socket calls ([`batch`] for datagrams, [`trunk`] for connections), their reading of SIP ([`message`]), which is enough for the
//! packets of the driver and for no others, and their transactions ([`table`]). [`usage`] says what
//! the system under test cost. Of the product there are only the views of RP and TPDU and the timing
//! wheel, in `bare-gateway`: what reading them costs is in both programs.

pub mod batch;
pub mod message;
pub mod table;
pub mod trunk;
pub mod usage;

use batch::Address;

/// How packets are carried.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Transport {
    /// In datagrams.
    #[default]
    Udp,
    /// Over one connection each.
    Tcp,
}

impl Transport {
    /// How a Via names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// Where messages are put that leave.
pub trait Post {
    /// Adds one, written in place by `fill`, which returns its length; nothing is added when that is
    /// zero.
    fn push(&mut self, to: Address, fill: impl FnOnce(&mut [u8]) -> usize);
}

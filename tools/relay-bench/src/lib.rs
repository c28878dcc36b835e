//! What the measurements of a relay and of a gateway need beside the product that is measured.
//!
//! Five programs stand on this. `lean-driver` plays the SMS side and the IM side around whatever
//! stands between them, `bare-relay` is the least that a relay of MESSAGE can be: receive, scan,
//! remember, send, `bare-gateway` the least that a gateway of short messages can be, and `bare-echo` the
//! least that can stand on the driver of the product. These share their socket calls ([`batch`] for
//! datagrams, [`trunk`] for connections), their reading of SIP ([`message`]), which is enough for the
//! packets of the driver and for no others, and their transactions ([`table`]). Of the product there are
//! only the views of RP and TPDU and the timing wheel, in `bare-gateway`, and the io driver, in
//! `bare-echo`: what they cost is in both programs. With [`Reading::Judged`] a bare program reads SIP as
//! the product does, to tell what that costs from what the rest of the product does.
//!
//! `msrp-pair` is both ends of an MSRP connection, made of the driver, the endpoint and the ledger of the
//! product, and the same octets over plain TCP. [`usage`] says what each system under test cost.

pub mod batch;
pub mod message;
pub mod table;
pub mod trunk;
pub mod usage;

use batch::Address;
use roger::wire::sip;

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

/// How much a bare program reads of what comes over a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Reading {
    /// As little as the packets of the driver need.
    #[default]
    Scanned,
    /// That, and once more as the product reads: divided strictly and judged as RFC 3261 does. What is
    /// read is thrown away; so this is the floor of a relay that takes messages from anybody.
    Judged,
}

impl Reading {
    /// Reads the message that octets of a connection begin with.
    pub fn read(self, octets: &[u8]) {
        if self == Self::Judged
            && let sip::stream::Frame::Whole { len } = sip::stream::frame(octets)
        {
            let message = octets.get(..len).map(sip::parse);
            core::hint::black_box(&message);
        }
    }
}

/// Where messages are put that leave.
pub trait Post {
    /// Adds one, written in place by `fill`, which returns its length; nothing is added when that is
    /// zero.
    fn push(&mut self, to: Address, fill: impl FnOnce(&mut [u8]) -> usize);
}

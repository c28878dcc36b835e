//! TLS for SIP (RFC 3261 section 26.2) and for MSRP (RFC 4975 section 14), outside of the packet path.
//!
//! One thread owns every TLS connection. It accepts and connects, shakes hands, proves who is who,
//! and copies octets between the encrypted connection and one end of a pair of local sockets whose
//! other end a driver has ([`crate::io::Carrier`]). So what nobody has proved yet, be it garbage, a
//! flood of handshakes or a peer that stalls in one, costs no worker a turn, and no worker allocates
//! for it.
//!
//! ```text
//!             thread "roger-tls"                      worker
//!  peer ==TLS==> handshake ─> names ─> pump ──pair──> driver ─> engine
//!                  │ 5 s       │ RFC 5922
//!                  └───────────┴──> closed, counted by its class, told once in ten seconds
//! ```
//!
//! # Whose connection it is
//!
//! The engine knows a peer by the address that a message comes from, on connections as well. So a
//! connection is handed over only if its certificate bears the name of whoever the engine would take
//! it for; any other is refused here ([`names::Directory`]). A name that was proved therefore needs no
//! place in an arrival, and two names at one address cannot be confused: what we open goes to one
//! address and port, which is of one peer (the configuration refuses two), and what is accepted is
//! nobody's message but that peer's.
//!
//! That is how it is with SIP. Over MSRP whoever knows a session connects from anywhere, and the SDP says by
//! fingerprints which certificate he has: a handshake demands one, whatever it is, the connection goes to the
//! worker whose port that is, and the engine is told what was shown ([`crate::packet::Certificate`]).
//!
//! # What is used up
//!
//! Handshakes are counted in all and by source, connections too. Each direction of a connection holds
//! one record at most, so that a side that does not read stops the other one from being read.

#![expect(clippy::disallowed_macros, reason = "a thread of its own, outside of the packet path")]

mod counted;
mod material;
pub mod names;
mod plan;
mod pump;
mod shown;
mod thread;
mod trouble;

pub use self::material::{Files, Material, Validity, certificates, matching, private_key, roots};
pub use self::material::{server_name, validity};
pub use self::plan::{Entrance, Limits, Plan, Spoken, Workers};
pub use self::thread::Tls;

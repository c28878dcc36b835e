//! The non-INVITE machines of RFC 3261 section 17, and the identifiers that find them again.

pub mod branch;
pub mod finished;
pub mod non_invite_client;
pub mod non_invite_server;

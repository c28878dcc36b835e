//! The machines of RFC 3261 section 17, the identifiers that find them again, and who may start one now
//! (RFC 3428 section 8).

pub mod branch;
pub mod finished;
pub mod invite_client;
pub mod invite_server;
pub mod non_invite_client;
pub mod non_invite_server;
pub mod pending;
pub mod success;
#[cfg(test)]
mod tests;

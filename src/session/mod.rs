//! What outlives a transaction: the connections that messages come and go on, and dialogs. All sans-IO.
//! What outlives a transaction: the connections that messages come and go on, and what both ends of a
//! session have agreed upon. All sans-IO.

pub mod dialog;
pub mod negotiation;
//! What outlives a transaction: the connections that messages come and go on, and the MSRP sessions on
//! them. All sans-IO.

pub mod msrp;
pub mod stream;

//! What outlives a transaction: the connections that messages come and go on, dialogs, what both ends of
//! a session have agreed upon, and the MSRP sessions that follow from it. All sans-IO.

pub mod dialog;
pub mod msrp;
pub mod negotiation;
pub mod stream;

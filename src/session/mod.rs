//! What outlives a transaction: so far the connections that messages come and go on. All sans-IO.

pub mod stream;

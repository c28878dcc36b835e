//! What means the same on both sides: who somebody is, and what a short message says.

pub mod address;
pub mod content;
pub mod division;

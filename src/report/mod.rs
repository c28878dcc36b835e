//! From a verdict to the octets of its report. No decisions are made here.

pub mod rp;

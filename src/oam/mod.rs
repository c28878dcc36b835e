//! Operation, administration and maintenance: what stands beside the packet path and may wait,
//! lock and format. It starts the worker, writes verdict lines, answers `roger status` and ends
//! the process in good order.

#![expect(clippy::disallowed_macros, reason = "cold code: runs beside the packet path")]

pub mod clock;
pub mod drain;
mod service;
mod setup;
pub mod socket;
pub mod status;
pub mod verdicts;

pub(crate) use self::service::clock as now;
pub use self::service::{Observer, Service, StartError, Stopped};

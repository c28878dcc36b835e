//! Operation, administration and maintenance: what stands beside the packet path and may wait,
//! lock and format. It starts the worker, writes verdict lines, answers `roger status` and ends
//! the process in good order.

#![expect(clippy::disallowed_macros, reason = "cold code: runs beside the packet path")]

pub mod clock;
pub mod drain;
mod encryption;
mod identity;
mod remains;
mod service;
mod setup;
pub mod socket;
mod sockets;
pub mod status;
mod supervisor;
mod survey;
pub mod verdicts;
mod watch;

pub use self::identity::{Identity, IdentityError};
pub(crate) use self::service::clock as now;
pub use self::service::{Observer, Service, StartError, Stopped};
pub use self::supervisor::Loss;
pub use self::survey::{Finding, survey};

//! What is true of a message: evidence comes in, one verdict comes out, once.
//!
//! This module knows no octets and no transactions. It is the part a standards delegate reads.

mod absorb;
mod account;
pub mod coverage;
mod evidence;
pub mod mapping;
mod message;
mod submission;
mod verdict;

pub use self::absorb::{ATTEMPTS_MAX, Course, Mark, Memory, salt};
pub use self::account::{Account, Form, Identifier, MessageId, Report, RpResult, Statuses};
pub use self::coverage::{Carried, Coverage, Ledger, Octets};
pub use self::evidence::{Asked, Evidence, Final, MsrpRole, Role};
pub use self::mapping::{Answer, Mapping, Origin, Preset};
pub use self::message::Message;
pub use self::submission::{PartStatus, Submission, part_status, report_of_submission};
pub use self::verdict::Verdict;

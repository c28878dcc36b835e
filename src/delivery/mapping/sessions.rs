//! What one peer says of its INVITEs and of its MSRP sessions, other than the standards (R7).

use crate::delivery::Verdict;
use crate::delivery::mapping::compiled::Refusal;
use crate::delivery::mapping::{
    Effective, Exception, Leg, Mapping, Origin, Row, row_of_invite, row_of_msrp,
};

/// A status of one leg with what it means, and who says so.
#[derive(Clone, Debug)]
pub(super) struct Said {
    leg: Leg,
    status: u16,
    pub(super) verdict: Verdict,
    origin: Origin,
}

impl Said {
    /// The row as it then is.
    pub(super) fn effective(&self, row: &Row) -> Effective {
        let row = Row { exception: Exception::Never, ..row.with(self.verdict) };
        Effective { row, origin: self.origin.clone() }
    }
}

impl Mapping {
    /// What was said of a status of the INVITE or the session. There are few, if any.
    pub(super) fn said(&self, leg: Leg, status: u16) -> Option<&Said> {
        self.large.iter().find(|said| said.leg == leg && said.status == status)
    }

    /// What a response to a SEND with this status proves, or a REPORT with it.
    pub fn msrp(&self, status: u16) -> Verdict {
        self.said(Leg::Msrp, status)
            .map_or_else(|| row_of_msrp(status).verdict, |said| said.verdict)
    }

    /// Says what a status on one leg of the way means, other than the standards: as [`Mapping::set`] where
    /// that is the MESSAGE. What is said of an INVITE holds for it alone, and before what is said of the
    /// MESSAGE.
    ///
    /// # Errors
    ///
    /// If that could make a report false.
    pub fn set_on(
        &mut self,
        leg: Leg,
        status: u16,
        verdict: Verdict,
        origin: Origin,
    ) -> Result<(), Refusal> {
        match leg {
            Leg::Message => return self.set(status, verdict, origin),
            Leg::Invite => settable_of_invite(status, verdict)?,
            Leg::Msrp => settable_of_msrp(status, verdict)?,
        }
        self.large.retain(|said| said.leg != leg || said.status != status);
        self.large.push(Said { leg, status, verdict, origin });
        Ok(())
    }

    /// A status of a response to a SEND, or of a REPORT, as this peer's is read.
    pub fn effective_msrp(&self, status: u16) -> Effective {
        let row = row_of_msrp(status);
        match self.said(Leg::Msrp, status) {
            Some(said) => said.effective(row),
            None => Effective { row: *row, origin: Origin::Standard },
        }
    }
}

const fn settable_of_invite(status: u16, verdict: Verdict) -> Result<(), Refusal> {
    if row_of_invite(status).is_none() {
        return Err(Refusal::NotFinal);
    }
    if matches!(status, 200..=299) {
        return Err(Refusal::Opens);
    }
    match verdict {
        Verdict::Delivered => Err(Refusal::NotDelivered),
        Verdict::Unknown | Verdict::Accepted => Err(Refusal::Certain),
        Verdict::Permanent | Verdict::Temporary => Ok(()),
    }
}

const fn settable_of_msrp(status: u16, verdict: Verdict) -> Result<(), Refusal> {
    if matches!(status, 200..=299) {
        return Err(Refusal::Covered);
    }
    let row = row_of_msrp(status);
    match verdict {
        Verdict::Delivered => Err(Refusal::NotDelivered),
        Verdict::Accepted => Err(Refusal::NotAccepted),
        // The second attempt would have the last word.
        Verdict::Unknown if row.again && matches!(row.verdict, Verdict::Temporary) => {
            Err(Refusal::SentAgain)
        }
        Verdict::Unknown | Verdict::Permanent | Verdict::Temporary => Ok(()),
    }
}

//! What the messages over a trunk of the demo come to: the generator's own audit, held against the
//! verdicts of the tested side.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::generator;
use crate::load::generator::audit::Audit;
use crate::load::generator::summary::by_status;
use crate::load::summary::{FAULTS_NAMED_MAX, Quantiles, Summary};

/// The messages over connections.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrunkSummary {
    /// Messages.
    pub messages: u64,
    /// How many were answered with each status.
    pub responses: BTreeMap<u16, u64>,
    /// How many verdicts of each letter the tested side told.
    pub verdicts: BTreeMap<char, u64>,
    /// From the intended send to the final response.
    pub intended: Quantiles,
    /// Messages that are lost, duplicated, false or wrong.
    pub faulty: u64,
}

/// What both ends of the trunk and the tested side have told.
#[derive(Debug)]
pub struct TrunkRecords<'a> {
    /// The generator's.
    pub ends: &'a generator::summary::Summary,
    /// How many verdicts of each letter the tested side told.
    pub verdicts: BTreeMap<char, u64>,
}

impl TrunkRecords<'_> {
    /// Adds them to what the others have come to.
    pub fn add_to(self, summary: &mut Summary) {
        let Self { ends, verdicts } = self;
        let nothing = Audit::default();
        let audit = ends.audit.as_ref().unwrap_or(&nothing);
        let responses: BTreeMap<u16, u64> = ends
            .sender
            .as_ref()
            .map_or_else(BTreeMap::new, |side| by_status(&side.counts.responses));
        let told: u64 = verdicts.values().sum();
        let delivered = verdicts.get(&'D').copied().unwrap_or_default();
        let successes: u64 = responses.range(200..300).map(|(_, count)| *count).sum();
        let unjudged = ends.messages.abs_diff(audit.judged);
        // The sender is told what was decided: neither more nor fewer are called delivered than heard
        // so, and each has one verdict.
        let disagreeing = delivered.abs_diff(successes) + told.abs_diff(ends.messages);
        summary.messages += ends.messages;
        summary.verdicts += told;
        summary.reports += responses.values().sum::<u64>();
        summary.lost += audit.lost + unjudged;
        summary.duplicated += audit.duplicated;
        summary.is_false += audit.is_false;
        summary.wrong += audit.wrong + disagreeing;
        summary.contradicted += audit.contradicted;
        summary.strays += ends.strays();
        let room = FAULTS_NAMED_MAX.saturating_sub(summary.faults.len());
        summary.faults.extend(audit.faults.iter().take(room).cloned());
        let generator::summary::Quantiles { count, p50_ns, p99_ns, p999_ns, max_ns, .. } =
            ends.latency.intended;
        summary.trunk = TrunkSummary {
            messages: ends.messages,
            responses,
            verdicts,
            intended: Quantiles { count, p50_ns, p99_ns, p999_ns, max_ns },
            faulty: audit.lost
                + audit.duplicated
                + audit.is_false
                + audit.wrong
                + unjudged
                + disagreeing,
        };
    }
}

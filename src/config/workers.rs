//! The workers: how many there are, where they run, how the load is spread over them, and what
//! follows when one of them is lost.

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::reader::{Reader, Section, Setting};
use crate::config::relations::{either, remark};
use crate::config::value::{Count, Millis, cpu_set};
use crate::config::{Cpus, Driver, Machine, OnLoss, Polling, Steering, Workers};
use crate::limits::WORKERS_MAX;

/// [`WORKERS_MAX`] as a number that can be written.
const COUNT_MAX: u32 = 64;

const _: () = assert!(COUNT_MAX as usize == WORKERS_MAX);

/// The section `[workers]` as it was read.
#[derive(Debug)]
pub(super) struct DraftWorkers {
    cpus: Setting<Cpus>,
    count: Setting<Count<1, COUNT_MAX>>,
    driver: Setting<Driver>,
    polling: Setting<Polling>,
    steering: Setting<Steering>,
    on_loss: Setting<OnLoss>,
    lost_after: Setting<Millis>,
}

impl DraftWorkers {
    /// Where it is said how many there are.
    pub(super) fn count_origin(&self) -> Origin {
        either(&self.count, &self.cpus)
    }

    /// How many there are to be.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.count.value.0).unwrap_or(WORKERS_MAX)
    }
}

/// Reads `[workers]`.
pub(super) fn read(mut section: Section<'_, '_>, machine: &Machine) -> DraftWorkers {
    // Each of the two has its default from the other one.
    let shown = section.reader.effective.len();
    let mut cpus = section.read("cpus", Cpus::Any);
    let shown_cpus = section.reader.effective.split_off(shown);
    let listed = match &cpus.value {
        Cpus::Set(listed) => u32::try_from(listed.len()).unwrap_or(u32::MAX),
        Cpus::Any => 1,
    };
    let count = section.read("count", Count(listed.clamp(1, COUNT_MAX)));
    if count.is_default() && listed > 1 {
        section.remark("one on each CPU");
    }
    let shown_count = section.reader.effective.split_off(shown);
    section.reader.effective.extend(shown_cpus);
    if cpus.is_default() {
        cpus.value = quietest(machine, usize::try_from(count.value.0).unwrap_or(WORKERS_MAX));
        section.default_is(&cpus.value);
    }
    section.reader.effective.extend(shown_count);
    let draft = DraftWorkers {
        cpus,
        count,
        driver: section.read("driver", Driver::Auto),
        polling: section.read("polling", Polling::Adaptive),
        steering: section.read("steering", Steering::Spread),
        on_loss: section.read("on_loss", OnLoss::Exit),
        lost_after: section.read("lost_after", Millis(800)),
    };
    section.finish();
    draft
}

/// The first CPU has the interrupts of most machines, so the last ones are the quietest.
fn quietest(machine: &Machine, count: usize) -> Cpus {
    let last = machine.cpus.len().saturating_sub(count)..;
    match machine.cpus.get(last) {
        Some(cpus) if !cpus.is_empty() => Cpus::Set(cpus.to_vec()),
        Some(_) | None => Cpus::Any,
    }
}

/// What the settings must not say together, or to this machine; and the workers that remain.
pub(super) fn judge(reader: &mut Reader, draft: &DraftWorkers, machine: &Machine) -> Workers {
    let count = draft.count();
    usable(reader, draft, machine);
    let there = match &draft.cpus.value {
        Cpus::Set(listed) => listed.len(),
        Cpus::Any => machine.cpus.len(),
    };
    if let Cpus::Set(listed) = &draft.cpus.value
        && listed.len() > count
    {
        idle_cpus(reader, draft, listed);
    }
    // What a machine has may not be known.
    if there > 0 && there < count {
        shared_cpus(reader, draft, there);
    } else {
        spinning(reader, draft, machine);
    }
    loss(reader, draft);
    if count == 1 {
        let alone = "takes effect with more than one worker";
        remark(reader, "[workers]", 0, "steering", alone);
    }
    let cpu = |worker: usize| match &draft.cpus.value {
        Cpus::Set(listed) => listed.get(worker % listed.len().max(1)).copied(),
        Cpus::Any => None,
    };
    Workers {
        cpus: (0..count).map(cpu).collect(),
        driver: draft.driver.value,
        polling: draft.polling.value,
        steering: draft.steering.value,
        on_loss: draft.on_loss.value,
        lost_after_ms: draft.lost_after.value.0,
    }
}

fn usable(reader: &mut Reader, draft: &DraftWorkers, machine: &Machine) {
    let Cpus::Set(listed) = &draft.cpus.value else { return };
    let absent: Vec<usize> =
        listed.iter().copied().filter(|cpu| !machine.cpus.contains(cpu)).collect();
    if machine.cpus.is_empty() || absent.is_empty() {
        return;
    }
    let plural = if absent.len() == 1 { "" } else { "s" };
    reader.report(
        Diagnosis::error(
            format!("this process cannot run on CPU{plural} {}", cpu_set(&absent)),
            draft.cpus.origin.clone(),
            "not there, or not allowed",
        )
        .suggest(format!("CPUs that it can run on: {}", cpu_set(&machine.cpus))),
    );
}

fn idle_cpus(reader: &mut Reader, draft: &DraftWorkers, listed: &[usize]) {
    let (count, at) = (draft.count(), draft.cpus.origin.clone());
    let there = listed.len();
    if draft.count.is_default() {
        let message =
            format!("{there} CPUs are listed, and there are at most {WORKERS_MAX} workers");
        reader.report(Diagnosis::error(message, at, "too many CPUs"));
        return;
    }
    let enough = cpu_set(listed.get(..count).unwrap_or_default());
    let enough = format!("cpus = \"{enough}\"");
    reader.report(
        Diagnosis::error(
            format!("{there} CPUs are listed for {}", counted(count, "worker")),
            at,
            "more CPUs than workers",
        )
        .beside(&draft.count.origin, "so many workers")
        .because("a worker runs on one CPU, so that the others would stay idle")
        .suggest(match u32::try_from(there) {
            Ok(there) if there <= COUNT_MAX => format!("count = {there}, or {enough}"),
            Ok(_) | Err(_) => enough,
        }),
    );
}

fn shared_cpus(reader: &mut Reader, draft: &DraftWorkers, there: usize) {
    let count = draft.count();
    let message = format!("{count} workers share {}", counted(there, "CPU"));
    let (at, label) = (draft.count.origin.clone(), "more workers than CPUs");
    let diagnosis = if draft.polling.value == Polling::Spin {
        Diagnosis::error(message, at, label)
            .beside(&draft.polling.origin, "never lets go of its CPU")
            .because("a worker that spins leaves nothing to another one, which would seem stuck")
            .suggest(format!("count = {there}, or polling = \"adaptive\""))
    } else {
        Diagnosis::warning(message, at, label)
            .beside(&draft.cpus.origin, "the CPUs")
            .because("workers on one CPU add nothing to its speed, and wait for each other")
            .suggest(format!("count = {there}"))
    };
    reader.report(diagnosis);
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn spinning(reader: &mut Reader, draft: &DraftWorkers, machine: &Machine) {
    if draft.polling.value != Polling::Spin || draft.count() < machine.cpus.len() {
        return;
    }
    let message = match machine.cpus.len() {
        0 => return,
        1 => "the worker spins on the only CPU".to_owned(),
        all => format!("the workers spin on all {all} CPUs"),
    };
    let label = "leaves nothing to anybody else";
    reader.report(
        Diagnosis::warning(message, draft.polling.origin.clone(), label)
            .suggest("polling = \"adaptive\""),
    );
}

fn loss(reader: &mut Reader, draft: &DraftWorkers) {
    /// Workers turn at least every 500 ms: a shorter silence says nothing.
    const LOST_AFTER_MS_MIN: u32 = 500;
    const LOST_AFTER_MS_MAX: u32 = 60_000;
    let after = &draft.lost_after;
    if !(LOST_AFTER_MS_MIN..=LOST_AFTER_MS_MAX).contains(&after.value.0) {
        let message = "lost_after must lie between 500ms and 1min";
        let reason = "an idle worker shows twice a second that it lives, and until one that does \
                      not\nis noticed, nobody serves its messages";
        let diagnosis = Diagnosis::error(message, after.origin.clone(), "out of range");
        reader.report(diagnosis.because(reason));
    }
    if draft.on_loss.value == OnLoss::Stay && draft.count() == 1 {
        reader.report(
            Diagnosis::warning(
                "a process that has lost its only worker stays",
                draft.on_loss.origin.clone(),
                "serves nobody, and is not started again",
            )
            .suggest("on_loss = \"exit\""),
        );
    }
}

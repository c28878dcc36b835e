//! What processes have cost so far, from `/proc`.

use std::fs;
use std::io;
use std::path::Path;

/// What the threads of a process and of its children have used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Nanoseconds on a processor, user and system together.
    pub cpu_ns: u64,
    /// Nanoseconds that a thread had work and no processor: what neighbours took.
    pub waited_ns: u64,
    /// Clock ticks in user space, sampled.
    pub user_ticks: u64,
    /// Clock ticks in the kernel, sampled.
    pub system_ticks: u64,
    /// How often a thread was taken off its processor although it had work.
    pub involuntary: u64,
    /// The thread that has used most so far, which in a program with one worker is that.
    pub busiest: Thread,
}

/// What one thread has used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Thread {
    /// Nanoseconds on a processor.
    pub cpu_ns: u64,
    /// Nanoseconds in which it had work and no processor.
    pub waited_ns: u64,
    /// How often it was taken off its processor although it had work.
    pub involuntary: u64,
}

impl Thread {
    const fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
        }
    }
}

/// Seconds that the hypervisor has had the processors of this machine since it was started, all
/// processors together, as far as it says.
pub fn stolen_seconds() -> io::Result<f64> {
    const STEAL: usize = 8;
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = stat.split_whitespace().nth(STEAL).map_or(0, first_number);
    #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds are few")]
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

impl Usage {
    /// Adds up a process and all its children.
    pub fn of(process: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        sum.add(process)?;
        Ok(sum)
    }

    /// What was used after `earlier`.
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
            busiest: self.busiest.since(earlier.busiest),
        }
    }

    /// Which part of it was user space, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a run are few")]
    pub fn user_share(self) -> f64 {
        self.user_ticks as f64 / (self.user_ticks + self.system_ticks).max(1) as f64
    }

    fn add(&mut self, process: u32) -> io::Result<()> {
        let tasks = Path::new("/proc").join(process.to_string()).join("task");
        for task in fs::read_dir(tasks)? {
            match self.add_task(&task?.path()) {
                // It has ended since its name was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn add_task(&mut self, task: &Path) -> io::Result<()> {
        let schedule = fs::read_to_string(task.join("schedstat"))?;
        let mut times = schedule.split_whitespace().map(first_number);
        let mut thread = Thread {
            cpu_ns: times.next().unwrap_or(0),
            waited_ns: times.next().unwrap_or(0),
            involuntary: 0,
        };
        self.cpu_ns += thread.cpu_ns;
        self.waited_ns += thread.waited_ns;
        let stat = fs::read_to_string(task.join("stat"))?;
        // The name of the program stands in parentheses and may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let mut ticks = fields.split_whitespace().skip(11).map(first_number);
        self.user_ticks += ticks.next().unwrap_or(0);
        self.system_ticks += ticks.next().unwrap_or(0);
        let status = fs::read_to_string(task.join("status"))?;
        thread.involuntary = status
            .lines()
            .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))
            .map_or(0, first_number);
        self.involuntary += thread.involuntary;
        if thread.cpu_ns > self.busiest.cpu_ns {
            self.busiest = thread;
        }
        let children = fs::read_to_string(task.join("children"))?;
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            self.add(child)?;
        }
        Ok(())
    }
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time() {
        let before = Usage::of(std::process::id()).unwrap();
        // The kernel brings its account up to date at least once a tick, so this ends.
        while Usage::of(std::process::id()).unwrap().since(before).cpu_ns == 0 {}
        while Usage::of(std::process::id()).unwrap().since(before).system_ticks == 0 {}
        let used = Usage::of(std::process::id()).unwrap();
        assert!((0.0..1.0).contains(&used.user_share()), "{used:?}");
        assert!(used.busiest.cpu_ns > 0 && used.busiest.cpu_ns <= used.cpu_ns, "{used:?}");
        assert!(stolen_seconds().unwrap() >= 0.0);
        assert!(Usage::of(u32::MAX).is_err());
    }
}

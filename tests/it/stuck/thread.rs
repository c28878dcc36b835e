//! A thread of another process that is made to stand still, as a machine or a bug may do.
#![expect(unsafe_code, reason = "ptrace and waitpid")]

use std::fs;
use std::io::Error;
use std::path::PathBuf;
use std::ptr::null_mut;

/// A thread that stands still until it is released. Its tracer is the thread of the test.
pub(crate) struct Stopped {
    tid: i32,
}

impl Stopped {
    /// Stops the thread of this name, wherever it is.
    pub(crate) fn thread(pid: i32, name: &str) -> Self {
        let stopped = Self { tid: tid(pid, name) };
        stopped.request(libc::PTRACE_SEIZE);
        stopped.request(libc::PTRACE_INTERRUPT);
        assert!(libc::WIFSTOPPED(stopped.wait()));
        stopped
    }

    /// Lets it go on.
    pub(crate) fn release(self) {
        self.request(libc::PTRACE_DETACH);
    }

    /// Takes notice of its end, which comes with that of its process: until then it cannot go.
    pub(crate) fn buried(self) {
        while !has_ended(self.wait()) {}
    }

    fn request(&self, request: libc::c_uint) {
        let result = trace(request, self.tid);
        let error = Error::last_os_error();
        assert_eq!(result, 0, "PTRACE IS NOT PERMITTED HERE, nothing was tested: {error}");
    }

    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is ours to be written.
        let result = unsafe { libc::waitpid(self.tid, &raw mut status, libc::__WALL) };
        assert_eq!(result, self.tid, "{}", Error::last_os_error());
        status
    }
}

impl Drop for Stopped {
    /// Of a test that has failed nothing stays behind.
    fn drop(&mut self) {
        trace(libc::PTRACE_DETACH, self.tid);
    }
}

fn trace(request: libc::c_uint, tid: i32) -> libc::c_long {
    let none = null_mut::<libc::c_void>();
    // SAFETY: the requests of this file read and write no memory of ours.
    unsafe { libc::ptrace(request, tid, none, none) }
}

fn has_ended(status: i32) -> bool {
    libc::WIFEXITED(status) || libc::WIFSIGNALED(status)
}

/// The thread of this name.
fn tid(pid: i32, name: &str) -> i32 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
    let named = |task: &PathBuf| fs::read_to_string(task.join("comm")).unwrap().trim_end() == name;
    let task = tasks.into_iter().find(named).unwrap();
    task.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

//! Errors of system calls, made to order for one thread: by a filter on it, as containers have
//! them.
#![expect(unsafe_code, reason = "prctl, seccomp and its notifications")]

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::mpsc;
use std::thread;

/// Runs `test` on a thread of its own, to which `call` fails with `errno`.
pub(super) fn without<T: Send>(
    call: libc::c_long,
    errno: i32,
    test: impl FnOnce() -> T + Send,
) -> T {
    let answer = libc::SECCOMP_RET_ERRNO | u32::try_from(errno).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            install(&[call], answer, 0);
            test()
        });
        thread.join().unwrap()
    })
}

/// Runs `test` on a thread of its own, whose first calls of `calls` end as `script` says: with an
/// errno, or as the kernel likes (`None`). All later ones go to the kernel.
pub(super) fn scripted<T: Send>(
    calls: &[libc::c_long],
    script: &[Option<i32>],
    test: impl FnOnce() -> T + Send,
) -> T {
    let (listener, listeners) = mpsc::channel();
    let script: VecDeque<_> = script.iter().copied().collect();
    thread::scope(|scope| {
        scope.spawn(move || {
            if let Ok(listener) = listeners.recv() {
                answer(listener, script);
            }
        });
        let thread = scope.spawn(move || {
            let notify = libc::SECCOMP_RET_USER_NOTIF;
            let fd = install(calls, notify, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
            listener.send(fd).unwrap();
            test()
        });
        thread.join().unwrap()
    })
}

/// Puts a filter on this thread: `answer` to each of `calls`, everything else is allowed.
fn install(calls: &[libc::c_long], answer: u32, flags: libc::c_ulong) -> RawFd {
    const NUMBER_AT: u32 = 0; // seccomp_data.nr
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let step =
        |code, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let mut program = vec![step(load, 0, 0, NUMBER_AT)];
    for call in calls {
        program.push(step(equal, 0, 1, u32::try_from(*call).unwrap()));
        program.push(step(give, 0, 0, answer));
    }
    program.push(step(give, 0, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap(),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: prctl with this option takes plain numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0);
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `program` points at as many instructions as it says, for the time of the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    i32::try_from(result).unwrap()
}

/// Answers notifications until the thread that causes them has ended.
fn answer(listener: RawFd, mut script: VecDeque<Option<i32>>) {
    loop {
        let mut polled = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure of ours.
        let ready = unsafe { libc::poll(&raw mut polled, 1, -1) };
        if ready < 0 || polled.revents & libc::POLLIN == 0 {
            break;
        }
        // SAFETY: all zero is valid, and the kernel wants it so.
        let mut call: libc::seccomp_notif = unsafe { core::mem::zeroed() };
        // SAFETY: the kernel fills the structure that it defines.
        let result =
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
        if result < 0 {
            continue;
        }
        let (error, flags) = match script.pop_front().flatten() {
            Some(errno) => (-errno, 0),
            None => (0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap()),
        };
        let mut reply = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
        // SAFETY: the kernel reads the structure that it defines.
        unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut reply) };
    }
    // SAFETY: the listener is ours and is not used again.
    unsafe { libc::close(listener) };
}

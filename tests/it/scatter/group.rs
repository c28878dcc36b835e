//! The sockets that share a port, from outside of the process that has them.
#![expect(unsafe_code, reason = "a socket option that no safe wrapper offers")]

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_K, BPF_LD, BPF_MOD, BPF_RET, BPF_W, sock_filter, sock_fprog,
};
use roger::io::{SocketSpec, bind};

/// Gives every datagram for `address` to a random one of the first `sockets` sockets that are bound
/// there: the program comes through a further socket, and stays when that leaves.
pub(crate) fn scatter(address: SocketAddr, sockets: u8) {
    let spec =
        SocketSpec { address, reuse_port: true, receive_buffer: 1 << 16, send_buffer: 1 << 16 };
    let member = bind(&spec).unwrap();
    let random = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();
    let instruction =
        |code: u32, k: u32| sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf: 0, k };
    let mut program = [
        instruction(BPF_LD | BPF_W | BPF_ABS, random),
        instruction(BPF_ALU | BPF_MOD | BPF_K, sockets.into()),
        instruction(BPF_RET | BPF_A, 0),
    ];
    let program =
        sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
    let size = libc::socklen_t::try_from(size_of::<sock_fprog>()).unwrap();
    // SAFETY: the value is a `sock_fprog` of that size, which points at `len` instructions; both
    // outlive the call, and the kernel copies them.
    let result = unsafe {
        libc::setsockopt(member.as_raw_fd(), level, name, (&raw const program).cast(), size)
    };
    assert_eq!(result, 0, "{}", Error::last_os_error());
    // While it was a member something might have come here and be lost.
    member.set_nonblocking(true).unwrap();
    assert_eq!(member.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

//! Steering: to which worker's socket of a SO_REUSEPORT group a datagram goes.
//!
//! Behind one SBC all datagrams have the same addresses and ports, so the kernel's own choice, a
//! hash of these, gives them all to one worker. A classic BPF program on the group
//! (SO_ATTACH_REUSEPORT_CBPF, socket(7)) spreads them instead. It is no more than that: any worker
//! knows what to do with any datagram, and nothing may rely on where one lands.
//!
//! What the kernel does (net/core/sock_reuseport.c), as the tests show:
//!
//! * The program sees the payload of UDP from octet 0, with its length, and returns an index. A
//!   train (UDP_SEGMENT) is one packet to it, and goes whole to one socket.
//! * The index counts the sockets in the order in which they were bound. Closing one moves the last
//!   one to its place, and a socket that is bound later comes last.
//! * An index beyond the group leaves the choice to the kernel's own hash, so nothing is lost while
//!   a socket is missing.
//! * A load past the end of the datagram ends the program with 0, which is the first socket.
//! * The program belongs to the group and stays until another takes its place or the last socket is
//!   closed, even when the socket that it came through is closed.
//! * IPv4 and IPv6 are two groups, and so are TCP listeners on the same port: these spread by
//!   connection.
//!
//! The price, on loopback, of about 2900 ns that a datagram takes there (`benches/io.rs`): 65 ns for
//! a shared port with or without a program, and 170 ns for this one. Where a network card leaves the
//! payload in pages of its own each load is a call, and all of them are 1.7 us.
//!
//! The mix is not keyed. A stranger who finds out how to meet always the same worker gains what one
//! pair of addresses and ports gives without a program: the share of one worker.
#![expect(unsafe_code, reason = "a socket option that no safe wrapper offers")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use libc::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_IND, BPF_JA, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_LEN,
    BPF_MEM, BPF_MISC, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST, BPF_SUB, BPF_TAX, BPF_TXA, BPF_W, BPF_X,
    BPF_XOR, sock_filter, sock_fprog,
};

use super::len_u32;

/// Where the window of the head begins: the shortest status line and the shortest Via put the
/// first digit of a branch at octet 46, and nothing in front of it tells more than the branch does.
const HEAD: u32 = 44;

/// Where it ends. Requests through an SBC and responses with our branches, with long names, IPv6
/// addresses, folded lines and one Record-Route in front of Via, all have some digits of their
/// branch before this, so each kind spreads to within a tenth. A window to octet 124 misses the
/// branch in half of them, one to 188 behind a Record-Route, and every other word of it misses the
/// digits in which branches that count differ.
const HEAD_END: u32 = 252;

/// Octets that are mixed together once the length allows it.
const PIECE: u32 = 16;

/// Octets of the window of the end, for what differs in the body only. A piece, so that of a
/// datagram that ends within the window of the head every octet counts.
const END: u32 = PIECE;

/// Octets of the shortest datagram that is mixed. No SIP message is shorter.
const SHORTEST: u32 = HEAD + PIECE;

const WORD: u32 = 4;

const _: () = assert!((HEAD_END - HEAD).is_multiple_of(PIECE) && PIECE.is_multiple_of(WORD));
const _: () = assert!(SHORTEST >= END);

/// Spreads the datagrams of the group of `socket` over its first `workers` sockets.
///
/// To be called once per group (address family), after all sockets of the group are bound, in the
/// order of the workers. One worker needs no program, and its group is left as it is.
///
/// # Errors
///
/// `InvalidInput` if there are no workers or if `socket` was not bound with SO_REUSEPORT; else what
/// the kernel answered.
pub fn steer(socket: &UdpSocket, workers: u8) -> io::Result<()> {
    if workers == 1 {
        return Ok(());
    }
    steer_around(socket, workers, &[])
}

/// Spreads the datagrams of the group of `socket` over those of its first `workers` sockets that
/// are not `lost`: what nobody reads gets nothing. Takes the place of what was there before.
///
/// Sockets are named by their index in the group, which is the worker's number as long as none was
/// closed. The socket of a lost worker is better left open: closing it moves the last one.
///
/// # Errors
///
/// `InvalidInput` if nobody is left, if a lost one is not among the workers, or if `socket` was not
/// bound with SO_REUSEPORT; else what the kernel answered.
pub fn steer_around(socket: &UdpSocket, workers: u8, lost: &[u8]) -> io::Result<()> {
    let mut lost = lost.to_vec();
    lost.sort_unstable();
    lost.dedup();
    let listening = usize::from(workers).saturating_sub(lost.len());
    if listening == 0 || lost.last().is_some_and(|last| *last >= workers) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    attach(socket, &mut program(len_u32(listening), &lost))
}

fn attach(socket: &UdpSocket, program: &mut [sock_filter]) -> io::Result<()> {
    const SIZE: libc::socklen_t = len_u32(size_of::<sock_fprog>());
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len, filter: program.as_mut_ptr() };
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
    let value = (&raw const program).cast();
    // SAFETY: `value` points at a `sock_fprog` of SIZE octets, which points at `len` instructions;
    // both outlive the call, and the kernel copies and checks them.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, SIZE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The program: a sum of all words of both windows, each times an odd number of its own, scaled to
/// the sockets that listen. X holds the sum so far.
fn program(listening: u32, lost: &[u8]) -> Vec<sock_filter> {
    let mut program = Program(Vec::with_capacity(512));
    let mut to_scale = None;
    program.add(BPF_LD | BPF_W | BPF_LEN, 0);
    if lost.is_empty() {
        program.jump_if_at_least(SHORTEST, 1);
        program.add(BPF_RET | BPF_K, BEYOND);
    } else {
        // The kernel's own choice might be a lost one, so keep-alives and the like are diced for.
        program.jump_if_at_least(SHORTEST, 2);
        program.add(BPF_LD | BPF_W | BPF_ABS, RANDOM);
        to_scale = Some(program.jump_ahead());
    }
    let to_end = mix(&mut program);
    for jump in to_end {
        program.land(jump);
    }
    // What differs only in the upper bits of the sum reaches the lower ones and comes up again.
    program.add(BPF_MISC | BPF_TXA, 0);
    program.add(BPF_ALU | BPF_RSH | BPF_K, 15);
    program.add(BPF_ALU | BPF_XOR | BPF_X, 0);
    program.add(BPF_ALU | BPF_MUL | BPF_K, odd(0));
    if let Some(jump) = to_scale {
        program.land(jump);
    }
    program.add(BPF_ALU | BPF_RSH | BPF_K, 16);
    program.add(BPF_ALU | BPF_MUL | BPF_K, listening);
    program.add(BPF_ALU | BPF_RSH | BPF_K, 16);
    // A is now the how-manieth of those that listen; each lost one at or before it moves it on.
    for index in lost {
        program.add_with(BPF_JMP | BPF_JGE | BPF_K, u32::from(*index), 0, 1);
        program.add(BPF_ALU | BPF_ADD | BPF_K, 1);
    }
    program.add(BPF_RET | BPF_A, 0);
    program.0
}

/// Mixes both windows, with the length in A; returns the jumps that leave when the datagram ends
/// before the window of the head does.
fn mix(program: &mut Program) -> Vec<usize> {
    program.add(BPF_ALU | BPF_SUB | BPF_K, END);
    program.add(BPF_MISC | BPF_TAX, 0);
    for word in 0..END / WORD {
        program.add(BPF_LD | BPF_W | BPF_IND, word * WORD);
        program.add(BPF_ST, word);
    }
    let mut numbers = (1..).map(odd);
    program.add(BPF_LDX_IMM, 0);
    for (word, number) in (0..END / WORD).zip(&mut numbers) {
        program.add(BPF_LD | BPF_MEM, word);
        program.sum(number);
    }
    let mut leaving = Vec::new();
    for piece in (HEAD..HEAD_END).step_by(PIECE as usize) {
        if piece > HEAD {
            program.add(BPF_LD | BPF_W | BPF_LEN, 0);
            program.jump_if_at_least(piece + PIECE, 1);
            leaving.push(program.jump_ahead());
        }
        for (word, number) in (0..PIECE / WORD).zip(&mut numbers) {
            program.add(BPF_LD | BPF_W | BPF_ABS, piece + word * WORD);
            program.sum(number);
        }
    }
    leaving
}

/// An index that no group has.
const BEYOND: u32 = u32::MAX;

/// The offset that loads a random number (SKF_AD_RANDOM).
const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();

const BPF_LDX_IMM: u32 = libc::BPF_LDX | BPF_W | libc::BPF_IMM;

/// Odd numbers without a pattern, so that no two places of a datagram weigh alike.
const fn odd(position: u32) -> u32 {
    let mut number = position.wrapping_add(1).wrapping_mul(0x9E37_79B9);
    number = (number ^ number >> 16).wrapping_mul(0x85EB_CA6B);
    number = (number ^ number >> 13).wrapping_mul(0xC2B2_AE35);
    (number ^ number >> 16) | 1
}

struct Program(Vec<sock_filter>);

impl Program {
    fn add(&mut self, code: u32, k: u32) {
        self.add_with(code, k, 0, 0);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the codes of filters have 16 bits")]
    fn add_with(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        self.0.push(sock_filter { code: code as u16, jt, jf, k });
    }

    /// Adds A times `number` to the sum.
    fn sum(&mut self, number: u32) {
        self.add(BPF_ALU | BPF_MUL | BPF_K, number);
        self.add(BPF_ALU | BPF_ADD | BPF_X, 0);
        self.add(BPF_MISC | BPF_TAX, 0);
    }

    /// Skips the next `over` instructions if A is at least `limit`.
    fn jump_if_at_least(&mut self, limit: u32, over: u8) {
        self.add_with(BPF_JMP | BPF_JGE | BPF_K, limit, over, 0);
    }

    /// A jump to where [`Self::land`] is called for it.
    fn jump_ahead(&mut self) -> usize {
        self.add(BPF_JMP | BPF_JA, 0);
        self.0.len() - 1
    }

    fn land(&mut self, jump: usize) {
        self.0[jump].k = len_u32(self.0.len() - jump - 1);
    }
}

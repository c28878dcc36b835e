//! Control messages: which of our addresses a datagram came to or leaves from, what the kernel
//! dropped, and what ICMP said.
//!
//! They are sequences of a header (length, level, type) and data, each aligned to eight octets.
//! They are read and written as octets; a length that does not fit ends the reading.

use super::address::mapped;

/// Octets reserved for what comes with a datagram: the destination address, the count of drops, and of
/// what length the datagrams of a train are. With what lies before it, it ends with a cache line.
pub(super) const CONTROL_SIZE: usize = 144;

/// Octets of the longest control message that we send: an `in6_pktinfo` with its header.
pub(super) const SOURCE_SIZE: usize = space(20);

const HEADER: usize = 16;

/// Octets that `len` octets of data take with header and alignment.
const fn space(len: usize) -> usize {
    HEADER + len.next_multiple_of(8)
}

const _: () =
    assert!(CONTROL_SIZE >= SOURCE_SIZE + space(size_of::<u32>()) + space(size_of::<i32>()));

/// Octets of the control messages of a train: its source address, and the length of its datagrams.
pub(super) const TRAIN_SIZE: usize = SOURCE_SIZE + space(size_of::<u16>());

/// What came with a datagram.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Received {
    /// The address that it was sent to (`IP_PKTINFO`, `IPV6_PKTINFO`).
    pub(super) destination: Option<[u8; 16]>,
    /// Datagrams that this socket has lost for want of room, ever (`SO_RXQ_OVFL`).
    pub(super) drops: Option<u32>,
    /// Of what length the datagrams are that came as one; the last may be shorter (`UDP_GRO`).
    pub(super) segment: Option<usize>,
    /// What ICMP or the local kernel said (`IP_RECVERR`, `IPV6_RECVERR`).
    pub(super) error: Option<ExtendedError>,
}

/// A `sock_extended_err`, as far as we care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ExtendedError {
    pub(super) origin: u8,
    pub(super) kind: u8,
    pub(super) code: u8,
}

/// Reads all of it.
pub(super) fn read(mut control: &[u8]) -> Received {
    let mut received = Received::default();
    while let Some((level, kind, data, rest)) = split(control) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                received.destination =
                    data.get(4..).and_then(<[u8]>::first_chunk).map(|v4| mapped(*v4));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                received.destination = data.first_chunk().copied();
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                received.drops = data.first_chunk().map(|drops| u32::from_ne_bytes(*drops));
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let segment = data.first_chunk().map(|segment| i32::from_ne_bytes(*segment));
                received.segment = segment.and_then(|segment| usize::try_from(segment).ok());
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                received.error = data
                    .get(4..)
                    .and_then(<[u8]>::first_chunk::<3>)
                    .map(|&[origin, kind, code]| ExtendedError { origin, kind, code });
            }
            _ => {}
        }
        control = rest;
    }
    received
}

fn split(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let (len, rest) = control.split_first_chunk::<8>()?;
    let (level, rest) = rest.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::from_ne_bytes(*len).checked_sub(HEADER)?;
    let data = rest.get(..len)?;
    let rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    Some((i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind), data, rest))
}

/// One control message in memory that the kernel reads.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Source(pub(super) [u8; SOURCE_SIZE]);

impl Source {
    pub(super) const EMPTY: Self = Self([0; SOURCE_SIZE]);

    /// Makes a datagram leave from `local`; says how many octets that took.
    pub(super) fn write(&mut self, local: [u8; 16]) -> usize {
        self.0.fill(0);
        let (level, kind, len) = match core::net::Ipv6Addr::from_octets(local).to_ipv4_mapped() {
            Some(v4) => {
                // in_pktinfo: interface, the source address, a field that only receiving fills.
                self.0[HEADER + 4..HEADER + 8].copy_from_slice(&v4.octets());
                (libc::IPPROTO_IP, libc::IP_PKTINFO, 12)
            }
            None => {
                // in6_pktinfo: the source address, interface.
                self.0[HEADER..HEADER + 16].copy_from_slice(&local);
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20)
            }
        };
        self.0[..8].copy_from_slice(&(HEADER + len).to_ne_bytes());
        self.0[8..12].copy_from_slice(&level.to_ne_bytes());
        self.0[12..16].copy_from_slice(&kind.to_ne_bytes());
        space(len)
    }
}

/// The control messages of a train, in memory that the kernel reads.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Train(pub(super) [u8; TRAIN_SIZE]);

impl Train {
    pub(super) const EMPTY: Self = Self([0; TRAIN_SIZE]);

    /// Makes one send as many datagrams of `segment` octets as there are in it (`UDP_SEGMENT`), which
    /// leave from `source` where that is told; says how many octets that took.
    pub(super) fn write(&mut self, source: Option<[u8; 16]>, segment: u16) -> usize {
        self.0.fill(0);
        let mut at = 0;
        if let Some(local) = source {
            let mut own = Source::EMPTY;
            at = own.write(local);
            self.0[..at].copy_from_slice(&own.0[..at]);
        }
        let room = &mut self.0[at..];
        room[..8].copy_from_slice(&(HEADER + size_of::<u16>()).to_ne_bytes());
        room[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        room[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
        room[HEADER..HEADER + 2].copy_from_slice(&segment.to_ne_bytes());
        at + space(size_of::<u16>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 16] = mapped([127, 0, 0, 2]);
    const V6: [u8; 16] = [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut octets = (HEADER + data.len()).to_ne_bytes().to_vec();
        octets.extend(level.to_ne_bytes());
        octets.extend(kind.to_ne_bytes());
        octets.extend(data);
        octets.resize(space(data.len()), 0);
        octets
    }

    #[test]
    fn an_ipv6_source_reads_back_as_destination() {
        let mut source = Source([0xFF; SOURCE_SIZE]);
        let len = source.write(V6);
        assert_eq!(len, 40);
        assert_eq!(read(&source.0[..len]).destination, Some(V6));
    }

    #[test]
    fn an_ipv4_source_stands_where_the_kernel_looks_for_it() {
        let mut source = Source([0xFF; SOURCE_SIZE]);
        let len = source.write(V4);
        assert_eq!(len, 32);
        // The kernel takes ipi_spec_dst as the source, which is also what it fills on receipt.
        assert_eq!(read(&source.0[..len]).destination, Some(V4));
    }

    #[test]
    fn several_messages_are_read() {
        let mut control = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &7_u32.to_ne_bytes());
        control.extend(message(libc::SOL_SOCKET, 0x7777, b"unknown"));
        control.extend(message(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &{
            let mut info = V6.to_vec();
            info.extend([0; 4]);
            info
        }));
        let mut error = [0; 16];
        error[4..7].copy_from_slice(&[2, 3, 1]);
        control.extend(message(libc::IPPROTO_IP, libc::IP_RECVERR, &error));
        control.extend(message(libc::SOL_UDP, libc::UDP_GRO, &460_i32.to_ne_bytes()));
        let received = read(&control);
        assert_eq!(received.segment, Some(460));
        assert_eq!(received.drops, Some(7));
        assert_eq!(received.destination, Some(V6));
        assert_eq!(received.error, Some(ExtendedError { origin: 2, kind: 3, code: 1 }));
        for cut in 0..control.len() {
            let _ = read(&control[..cut]);
        }
    }

    #[test]
    fn a_train_says_where_it_leaves_from_and_how_long_its_datagrams_are() {
        for (source, len) in [(None, 24), (Some(V4), 56), (Some(V6), 64)] {
            let mut train = Train([0xFF; TRAIN_SIZE]);
            assert_eq!(train.write(source, 460), len);
            assert_eq!(read(&train.0[..len]).destination, source);
            let (level, kind, data, rest) = split(&train.0[len - 24..len]).unwrap();
            assert_eq!((level, kind), (libc::SOL_UDP, libc::UDP_SEGMENT));
            assert_eq!((data, rest.len()), (460_u16.to_ne_bytes().as_slice(), 0));
        }
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for len in [0, 1, HEADER - 1, HEADER + 5, usize::MAX] {
            let mut control = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &7_u32.to_ne_bytes());
            control.truncate(HEADER + 4);
            control[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(read(&control), Received::default(), "{len}");
        }
    }
}

//! Socket addresses as the kernel writes them, to and from [`Endpoint`].
//!
//! Octets are placed by hand, so no pointer is cast and nothing is trusted: a name that is too
//! short or of another family reads as `None`.

use core::net::Ipv6Addr;

use super::len_u32;
use crate::packet::Endpoint;

/// Octets of a `sockaddr_in6`, the longer of the two.
pub(super) const NAME_SIZE: usize = 28;

const NAME_V4_SIZE: usize = 16;

const FAMILY_V4: u16 = 2;
const FAMILY_V6: u16 = 10;

const _: () = {
    assert!(FAMILY_V4 as i32 == libc::AF_INET);
    assert!(FAMILY_V6 as i32 == libc::AF_INET6);
};

/// A `sockaddr_in` or `sockaddr_in6` in memory that the kernel reads or writes.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4))]
pub(super) struct Name(pub(super) [u8; NAME_SIZE]);

impl Name {
    pub(super) const EMPTY: Self = Self([0; NAME_SIZE]);

    /// Writes `endpoint` and says how many octets that took. An [`Endpoint`] has no scope, so a
    /// link-local address is not reached.
    pub(super) fn write(&mut self, endpoint: Endpoint) -> u32 {
        let port = endpoint.port.to_be_bytes();
        let Some(v4) = Ipv6Addr::from_octets(endpoint.ip).to_ipv4_mapped() else {
            self.0[..2].copy_from_slice(&FAMILY_V6.to_ne_bytes());
            self.0[2..4].copy_from_slice(&port);
            self.0[4..8].fill(0); // flow label
            self.0[8..24].copy_from_slice(&endpoint.ip);
            self.0[24..28].fill(0); // scope
            return len_u32(NAME_SIZE);
        };
        self.0[..2].copy_from_slice(&FAMILY_V4.to_ne_bytes());
        self.0[2..4].copy_from_slice(&port);
        self.0[4..8].copy_from_slice(&v4.octets());
        self.0[8..16].fill(0);
        len_u32(NAME_V4_SIZE)
    }
}

/// What the kernel wrote as the address of the other end.
pub(super) fn read(name: &[u8]) -> Option<Endpoint> {
    let (family, rest) = name.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match u16::from_ne_bytes(*family) {
        FAMILY_V4 => Some(Endpoint { ip: mapped(*rest.first_chunk()?), port }),
        FAMILY_V6 => Some(Endpoint { ip: *rest.get(4..)?.first_chunk()?, port }),
        _ => None,
    }
}

/// The IPv4-mapped form of an IPv4 address in network order.
pub(super) const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    core::net::Ipv4Addr::from_octets(v4).to_ipv6_mapped().octets()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["127.0.0.2:5060", "[2001:db8::17]:65535", "0.0.0.0:0", "[::1]:1"] {
            let endpoint = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            let mut name = Name([0xFF; NAME_SIZE]);
            let len = name.write(endpoint) as usize;
            assert_eq!(len, if endpoint.is_v4() { 16 } else { 28 });
            assert_eq!(read(&name.0[..len]), Some(endpoint), "{text}");
        }
    }

    #[test]
    fn it_is_what_the_standard_library_means() {
        for text in ["192.0.2.77:5062", "[2001:db8::17]:5063"] {
            let address: SocketAddr = text.parse().unwrap();
            let expected = socket2::SockAddr::from(address);
            let mut name = Name([0xFF; NAME_SIZE]);
            let len = name.write(Endpoint::from(address)) as usize;
            assert_eq!(len, expected.len() as usize);
            assert_eq!(
                read(&name.0[..len]).unwrap().to_socket_addr(),
                expected.as_socket().unwrap()
            );
        }
    }

    #[test]
    fn a_name_cut_anywhere_is_no_address() {
        for text in ["127.0.0.2:5060", "[2001:db8::17]:5060"] {
            let mut name = Name::EMPTY;
            let endpoint = Endpoint::from(text.parse::<SocketAddr>().unwrap());
            let len = name.write(endpoint) as usize;
            let needed = if endpoint.is_v4() { 8 } else { 24 };
            for cut in 0..needed {
                assert_eq!(read(&name.0[..cut]), None);
            }
            assert_eq!(read(&name.0[..len]), Some(endpoint));
        }
        assert_eq!(read(&[0; NAME_SIZE]), None);
    }
}

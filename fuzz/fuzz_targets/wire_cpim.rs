//! Reading any body of message/cpim: no panic, and the laws of reading and wrapping hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| roger::wire::cpim::laws::reads(octets));

//! Reading any datagram: no panic, and the laws of reading hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| roger::wire::sip::laws::reads(datagram));

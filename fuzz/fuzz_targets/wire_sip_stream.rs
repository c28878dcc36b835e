//! Framing any stream: no panic, and the laws of framing hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| roger::wire::sip::laws::frames(octets));

//! Forwarding, passing back and answering whatever can be read: what is written reads well.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| roger::wire::sip::laws::builds(datagram));

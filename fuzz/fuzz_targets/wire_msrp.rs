//! Dividing any stream and reading its heads: no panic, the same in any pieces, and the same as a
//! second reader sees; what is written of what was read reads the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| roger::wire::msrp::laws::reads(octets));

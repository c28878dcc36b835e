//! Reading any RP message with its TPDU and text, and the same octets as a TPDU: no panic, and what
//! is written of what was read reads the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    roger::wire::rp::laws::reads(octets);
    roger::wire::tpdu::laws::reads(octets);
});

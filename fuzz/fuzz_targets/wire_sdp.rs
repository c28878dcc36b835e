//! Reading any session description: no panic, and the laws of reading, of answering and of what is
//! agreed upon hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    roger::wire::sdp::laws::reads(octets);
    roger::session::negotiation::laws::agrees(octets);
});

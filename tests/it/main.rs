//! All integration tests, linked once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_macros, reason = "tests are not the packet path")]
#![expect(clippy::disallowed_methods, reason = "tests are not the packet path")]

mod bench;
mod breaker;
mod carry;
mod carry_bounds;
mod carry_breaker;
mod carry_messages;
mod carry_reports;
mod carry_site;
mod config_check;
mod config_large;
mod config_peer;
mod config_tls;
mod config_transports;
mod config_workers;
mod cut_through;
mod decode;
mod demo_short;
mod doctor;
mod explain;
mod gateway;
mod gateway_breaker;
mod handed;
mod identity;
mod invite_breaker;
mod inward;
mod inward_again;
mod inward_allocations;
mod inward_answers;
mod inward_breaker;
mod inward_connect;
mod inward_drain;
mod inward_invite;
mod inward_storm;
mod inward_texts;
mod inward_workers;
mod io_allocations;
mod large;
mod large_breaker;
mod load_run;
mod msrp_allocations;
mod msrps;
mod msrps_site;
mod pki;
mod readme;
mod requirements;
mod restart;
mod run_process;
mod run_state;
mod scatter;
mod service;
mod short;
mod site;
mod snapshot;
mod sockets;
mod status_render;
mod status_socket;
mod stream_allocations;
mod streams;
mod streams_breaker;
mod streams_workers;
mod stuck;
mod tidy;
mod tls;
mod tls_process;
mod tls_site;
mod tls_thread;
mod trunk;
mod workers;
mod workers_breaker;

#[global_allocator]
static ALLOCATOR: roger::store::CountingAllocator<std::alloc::System> =
    roger::store::CountingAllocator(std::alloc::System);

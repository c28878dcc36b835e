//! Delivery-report fast path between the SMS side and the IM side.

pub mod delivery;
pub mod engine;
pub mod id;
pub mod io;
pub mod limits;
pub mod metrics;
pub mod packet;
pub mod store;
pub mod time;
pub mod transaction;
pub mod wire;
pub mod worker;

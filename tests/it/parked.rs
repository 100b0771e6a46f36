//! Streams that have left HTTP: what clients may do with their sockets.

pub mod client;
mod costs;
mod ends;
mod frames;
mod heads;
mod input;
mod many;
mod rush;
pub mod stalled;

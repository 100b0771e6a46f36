//! The commands of the `porchlight` binary.

pub mod token;

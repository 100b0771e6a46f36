//! The configuration: one struct of flags and environment variables per concern.

pub mod identity;

//! Porchlight: the real-time layer of a CRM over plain HTTP.

pub mod cli;
pub mod clock;
pub mod config;
pub mod identity;
pub mod ids;

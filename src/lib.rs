//! Porchlight: the real-time layer of a CRM over plain HTTP.

pub mod bench;
pub mod clock;
pub mod ids;

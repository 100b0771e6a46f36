//! Porchlight: the real-time layer of a CRM over plain HTTP.

pub mod clock;
pub mod database;
pub mod ids;

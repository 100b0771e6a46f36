//! listed

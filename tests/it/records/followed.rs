//! followed

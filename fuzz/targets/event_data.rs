#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porchlight::api::entry_points::read("event_data", bytes));

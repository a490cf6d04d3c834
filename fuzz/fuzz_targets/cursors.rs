//! The text of a cursor; what must hold is in `tidegate_core::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_core::fuzzed::cursor(data));

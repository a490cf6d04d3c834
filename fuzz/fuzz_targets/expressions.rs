//! An expression and an event; what must hold is in `tidegate_cel::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_cel::fuzzed::expressions(data));

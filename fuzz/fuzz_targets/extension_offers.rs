//! One line of `Sec-WebSocket-Extensions`; what must hold is in `tidegate_transports::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_transports::fuzzed::extension_offers(data));

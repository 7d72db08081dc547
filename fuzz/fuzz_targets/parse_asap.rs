#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rserpool_fuzz::parse_asap(data));

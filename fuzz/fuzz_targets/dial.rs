#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sansocket_fuzz_bodies::dial::run(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sansocket_fuzz_bodies::frame_header::run(data));

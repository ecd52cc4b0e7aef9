#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sansocket_fuzz_bodies::tls_layer::run(data));

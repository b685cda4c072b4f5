#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_step_up::fuzzing::return_to(data));

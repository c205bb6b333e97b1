#![no_main]

libfuzzer_sys::fuzz_target!(
    init: procstate_fuzz::let_sled_panic(),
    |bytes: &[u8]| {
        let scratch = procstate_fuzz::scratch();
        procstate::fuzzing::harness(bytes, scratch.path());
    }
);

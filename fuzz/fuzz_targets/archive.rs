#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let scratch = procstate_fuzz::scratch();
    procstate::fuzzing::archive(bytes, scratch.path());
});

//! Compiles the schema without `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 2] = ["proto/process/v1/process.proto", "proto/record/v1/record.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        // Maps in key order: equal messages encode to equal bytes.
        .btree_map(["."])
        // Bytes are shared with the log they were read from, not copied.
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}

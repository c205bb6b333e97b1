//! Compiles the schema, and what else is spoken, without `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 2] = ["proto/process/v1/process.proto", "proto/record/v1/record.proto"];

/// What only a store that is served needs.
const ENGINE: &str = "proto/engine/v1/engine.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = FILES.to_vec();
    if env::var_os("CARGO_FEATURE_HTTP").is_some() {
        files.push(ENGINE);
    }
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        // Maps in key order: equal messages encode to equal bytes.
        .btree_map(["."])
        // Bytes are shared with the log they were read from, not copied.
        .bytes(["."])
        .compile_fds(descriptors)?;
    #[cfg(feature = "etcd")]
    etcd()?;
    Ok(())
}

/// The calls of etcd's API that are used.
#[cfg(feature = "etcd")]
fn etcd() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/etcd");
    let descriptors = protox::compile(["proto/etcd/rpc.proto"], ["proto"])?;
    tonic_prost_build::configure().build_server(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}

//! Compiles the schema in `proto`, without `protoc`, into `OUT_DIR`.
//!
//! It does so only with the feature `codegen`: `proto/generated` holds the same files, so that
//! nobody who merely builds procstate has to build a protobuf compiler first. `tests/schema.rs`
//! compares the two.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "codegen")]
    codegen::generate()?;
    Ok(())
}

#[cfg(feature = "codegen")]
mod codegen {
    use std::{env, error::Error, fs, path::PathBuf};

    /// The schema, the stored records, and the protocol of a served store.
    const FILES: [&str; 3] =
        ["proto/process/v1/process.proto", "proto/record/v1/record.proto", "proto/engine/v1/engine.proto"];

    pub(super) fn generate() -> Result<(), Box<dyn Error>> {
        println!("cargo:rerun-if-changed=proto");
        // Only the schema has a JSON form, which needs its descriptors at run time.
        let mut schema = protox::Compiler::new(["proto"])?;
        schema.include_imports(true).open_file(FILES[0])?;
        let out = PathBuf::from(env::var("OUT_DIR")?);
        fs::write(out.join("descriptors.bin"), schema.encode_file_descriptor_set())?;
        prost_build::Config::new()
            // Maps in key order: equal messages encode to equal bytes.
            .btree_map(["."])
            // Bytes are shared with the log they were read from, not copied.
            .bytes(["."])
            .compile_fds(protox::compile(FILES, ["proto"])?)?;
        // The calls of etcd's API that the store uses.
        let etcd = protox::compile(["proto/etcd/rpc.proto"], ["proto"])?;
        tonic_prost_build::configure().build_server(false).bytes(".").compile_fds(etcd)?;
        Ok(())
    }
}

//! Compiles the `.proto` files of this folder, without protoc: the types go to `all.rs`, the
//! descriptors to `descriptors.bin`, both in `OUT_DIR`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = proto_files(&root.join("envoy"))?;
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=envoy");

    // The tests ask cargo for the packages of this platform only.
    println!("cargo:rustc-env=PENSTOCK_PLATFORM={}", env::var("TARGET")?);

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).open_files(&files)?;
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;

    // The comments become rustdoc; the embedded set above has none.
    compiler.include_source_info(true);
    prost_build::Config::new()
        .enable_type_names()
        // Equal messages have equal bytes.
        .btree_map(["."])
        .include_file("all.rs")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Every `.proto` file below a folder, in a stable order.
fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|name| name == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

//! Compiles the `.proto` files of this folder, without protoc: the types go to `all.rs`, the
//! descriptors of xDS to `descriptors.bin` and those of measurements to `smp.bin`, all of them in
//! `OUT_DIR`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build.rs");

    // The tests ask cargo for the packages of this platform only.
    println!("cargo:rustc-env=PENSTOCK_PLATFORM={}", env::var("TARGET")?);

    let mut all = protox::Compiler::new([&root])?;
    for (folder, name) in [("envoy", "descriptors.bin"), ("smp", "smp.bin")] {
        println!("cargo:rerun-if-changed={folder}");
        let files = proto_files(&root.join(folder))?;
        // A set of its own for each: what describes a measurement is no configuration.
        let mut own = protox::Compiler::new([&root])?;
        own.include_imports(true).open_files(&files)?;
        fs::write(out.join(name), own.encode_file_descriptor_set())?;
        all.open_files(&files)?;
    }

    // The comments become rustdoc; the embedded sets above have none.
    all.include_imports(true).include_source_info(true);
    prost_build::Config::new()
        .enable_type_names()
        // Equal messages have equal bytes.
        .btree_map(["."])
        .include_file("all.rs")
        .compile_fds(all.file_descriptor_set())?;
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

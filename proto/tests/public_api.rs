//! Compares every message, field and enum of ours with two independent copies of the public API:
//! the descriptors in `xds-api`, older and with few extensions, and the sources in `envoy-types`.
//! The list of public names in `envoy-fields.txt` is kept equal to the second one.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};

#[test]
fn our_messages_agree_with_the_public_api() {
    let xds = DescriptorPool::decode(xds_api::FILE_DESCRIPTOR_SET).expect("xds-api is valid");
    let envoy = envoy_sources();
    let mut faults = Vec::new();
    for message in our_messages() {
        let oracles: Vec<_> = [&xds, &envoy]
            .into_iter()
            .filter_map(|pool| pool.get_message_by_name(message.full_name()))
            .collect();
        if oracles.is_empty() {
            faults.push(format!(
                "{}: in no copy of the public API",
                message.full_name()
            ));
        }
        for oracle in &oracles {
            compare_fields(&message, oracle, &mut faults);
        }
    }
    for our in our_enums() {
        let theirs = envoy.get_enum_by_name(our.full_name());
        compare_values(&our, theirs.as_ref(), &mut faults);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn both_copies_are_used() {
    let xds = DescriptorPool::decode(xds_api::FILE_DESCRIPTOR_SET).expect("xds-api is valid");
    let (there, missing): (Vec<_>, Vec<_>) = our_messages()
        .into_iter()
        .partition(|m| xds.get_message_by_name(m.full_name()).is_some());
    assert!(
        there.len() > 40,
        "{} messages compared with xds-api",
        there.len()
    );
    assert!(missing.len() < 12, "{missing:?}");
}

/// With `PENSTOCK_BLESS` set it writes the file instead.
#[test]
fn public_names_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy-fields.txt");
    let expected = public_names();
    if env::var_os("PENSTOCK_BLESS").is_some() {
        fs::write(&path, &expected).expect("the file can be written");
    }
    let actual = fs::read_to_string(&path).expect("the file is there");
    assert!(
        actual == expected,
        "run this test with PENSTOCK_BLESS=1 and look at the difference"
    );
}

#[test]
fn names_resolve_through_the_pool() {
    let url = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let router = penstock_proto::message_of_type_url(url).expect("served");
    assert_eq!(router.name(), "Router");
    assert!(penstock_proto::message_of_type_url("no-slash").is_none());
}

fn compare_fields(ours: &MessageDescriptor, theirs: &MessageDescriptor, faults: &mut Vec<String>) {
    for field in ours.fields() {
        match theirs.get_field_by_name(field.name()) {
            Some(other) if shape(&field) == shape(&other) => {}
            Some(other) => faults.push(format!(
                "{}: {} here, {} there",
                field.full_name(),
                shape(&field),
                shape(&other)
            )),
            None => faults.push(format!("{}: not in the public API", field.full_name())),
        }
    }
}

/// All that must agree in a field, as text.
fn shape(field: &FieldDescriptor) -> String {
    let oneof = field
        .containing_oneof()
        .map(|oneof| oneof.name().to_owned());
    let kind = match field.kind() {
        Kind::Message(message) if field.is_map() => {
            let entry: Vec<_> = message.fields().map(|part| shape(&part)).collect();
            format!("map {entry:?}")
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    format!(
        "{} {:?} {kind} {:?} presence {} json {}",
        field.number(),
        field.cardinality(),
        oneof,
        field.supports_presence(),
        field.json_name()
    )
}

fn compare_values(our: &EnumDescriptor, theirs: Option<&EnumDescriptor>, faults: &mut Vec<String>) {
    let Some(theirs) = theirs else {
        faults.push(format!("{}: not in the public API", our.full_name()));
        return;
    };
    for value in our.values() {
        let other = theirs
            .get_value_by_name(value.name())
            .map(|other| other.number());
        if other != Some(value.number()) {
            faults.push(format!(
                "{}: {} here, {other:?} there",
                value.full_name(),
                value.number()
            ));
        }
    }
}

/// The text of `envoy-fields.txt`.
fn public_names() -> String {
    let envoy = envoy_sources();
    let mut lines = BTreeSet::new();
    for message in our_messages() {
        let theirs = envoy
            .get_message_by_name(message.full_name())
            .expect("compared elsewhere");
        let names: Vec<_> = theirs
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        lines.insert(format!("{}: {}", theirs.full_name(), names.join(" ")));
    }
    for our in our_enums() {
        let theirs = envoy
            .get_enum_by_name(our.full_name())
            .expect("compared elsewhere");
        let names: Vec<_> = theirs
            .values()
            .map(|value| value.name().to_owned())
            .collect();
        lines.insert(format!("{}: {}", theirs.full_name(), names.join(" ")));
    }
    for (package, names) in extension_packages() {
        lines.insert(format!("package {package}: {}", names.join(" ")));
    }
    lines.into_iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{}", line.trim_end()).expect("a string takes all");
        text
    })
}

/// Packages of extensions with the names of their messages.
fn extension_packages() -> Vec<(String, Vec<String>)> {
    let root = envoy_folder().join("proto/data-plane-api");
    let mut packages = std::collections::BTreeMap::<String, Vec<String>>::new();
    for path in proto_files(&root.join("envoy/extensions")) {
        let text = fs::read_to_string(&path).expect("a source can be read");
        let package = text.lines().find_map(|line| line.strip_prefix("package "));
        let package = package
            .expect("every file has a package")
            .trim_end_matches(';');
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("message "));
        let names = names
            .filter_map(|rest| rest.split([' ', '{']).next())
            .map(str::to_owned);
        packages
            .entry(package.to_owned())
            .or_default()
            .extend(names);
    }
    for names in packages.values_mut() {
        names.sort();
    }
    packages.into_iter().collect()
}

fn our_files() -> Vec<FileDescriptor> {
    let ours = |file: &FileDescriptor| file.package_name().starts_with("envoy.");
    penstock_proto::pool().files().filter(ours).collect()
}

fn our_messages() -> Vec<MessageDescriptor> {
    let ours = |message: &MessageDescriptor| {
        message.package_name().starts_with("envoy.") && !message.is_map_entry()
    };
    penstock_proto::pool().all_messages().filter(ours).collect()
}

fn our_enums() -> Vec<EnumDescriptor> {
    let ours = |kind: &EnumDescriptor| kind.package_name().starts_with("envoy.");
    penstock_proto::pool().all_enums().filter(ours).collect()
}

/// The public API compiled from the sources in `envoy-types`; our files have the same paths.
fn envoy_sources() -> DescriptorPool {
    let folder = envoy_folder().join("proto");
    let parts = [
        "data-plane-api",
        "xds",
        "googleapis",
        "protoc-gen-validate",
        "cel-spec/proto",
        "client_model",
        "opentelemetry-proto",
    ];
    let includes = parts
        .iter()
        .map(|part| folder.join(part))
        .filter(|path| path.exists());
    let mut compiler = protox::Compiler::new(includes).expect("the folders are there");
    compiler.include_imports(true);
    for file in our_files() {
        compiler
            .open_file(file.name())
            .expect("our files exist in the public API");
    }
    compiler.descriptor_pool()
}

/// Where cargo unpacked `envoy-types`.
fn envoy_folder() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version=1",
            "--offline",
            "--filter-platform",
        ])
        .args([env!("PENSTOCK_PLATFORM"), "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    manifest_path(&text, "/envoy-types-")
        .parent()
        .expect("a file has a folder")
        .to_owned()
}

/// The first path in a JSON text that contains `part` and ends in a manifest.
fn manifest_path(json: &str, part: &str) -> PathBuf {
    json.split('"')
        .find(|word| word.contains(part) && word.ends_with("/Cargo.toml"))
        .expect("the package is a dependency of the tests")
        .into()
}

fn proto_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            files.extend(proto_files(&path));
        } else if path.extension().is_some_and(|name| name == "proto") {
            files.push(path);
        }
    }
    files.sort();
    files
}

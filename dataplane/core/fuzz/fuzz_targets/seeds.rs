//! Writes the first corpus of every target from the attack table: `cargo run --example seeds` in
//! this folder.

#[allow(dead_code, reason = "only the bytes are used")]
#[path = "../../testdata/cases.rs"]
mod cases;
#[allow(dead_code, reason = "only the bytes are used")]
#[path = "../../testdata/preface_properties.rs"]
mod preface;

use std::path::Path;

fn main() -> std::io::Result<()> {
    for (index, bytes) in preface::PROXY_HEADERS.iter().enumerate() {
        write("proxy_header", &index.to_string(), bytes)?;
    }
    for (index, bytes) in preface::CLIENT_HELLOS.iter().enumerate() {
        write("client_hello", &index.to_string(), bytes)?;
    }
    for case in cases::all() {
        let (head, body) = split(&case.client);
        write("h1_request_head", &case.name, &case.client)?;
        write("chunked_decoder", &case.name, body)?;
        let target = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        write("path_normalizer", &case.name, target)?;
        if let Some(origin) = &case.origin {
            write("h1_response_head", &case.name, origin)?;
            write("chunked_decoder", &format!("{}_origin", case.name), split(origin).1)?;
        }
    }
    Ok(())
}

fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n");
    message.split_at(end.map_or(message.len(), |at| at + 4))
}

fn write(fuzz_target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(fuzz_target);
    std::fs::create_dir_all(&folder)?;
    if bytes.is_empty() {
        return Ok(());
    }
    std::fs::write(folder.join(name), bytes)
}

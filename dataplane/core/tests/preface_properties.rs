//! Properties of what a connection begins with, on damaged and random bytes.

#[path = "../testdata/preface_properties.rs"]
mod properties;

use proptest::prelude::*;
use proptest::sample::select;

/// A sound beginning with some bytes changed, put in or taken out, and more behind.
fn damaged(sound: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..3u8, any::<u8>());
    let behind = prop::collection::vec(any::<u8>(), 0..40);
    let changes = prop::collection::vec(change, 0..4);
    (select(sound), changes, behind).prop_map(|(sound, changes, behind)| {
        let mut bytes = sound.to_vec();
        for (index, kind, byte) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes.insert(at, byte),
                1 => bytes[at] = byte,
                _ => drop(bytes.remove(at)),
            }
        }
        bytes.extend(behind);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn proxy_headers(bytes in damaged(properties::PROXY_HEADERS)) {
        properties::proxy_header(&bytes);
    }

    #[test]
    fn client_hellos(bytes in damaged(properties::CLIENT_HELLOS)) {
        properties::client_hello(&bytes);
    }
}

#[test]
fn the_seeds_are_sound() {
    for bytes in properties::CLIENT_HELLOS {
        let found = penstock_core::tls::hello::peek(bytes, &mut Vec::new())
            .map(|step| matches!(step, penstock_core::tls::hello::Step::Complete(_)));
        assert_eq!(found, Ok(true), "{bytes:?}");
        properties::client_hello(bytes);
    }
    properties::PROXY_HEADERS
        .iter()
        .for_each(|bytes| properties::proxy_header(bytes));
}

//! Takes out of a head what concerns one connection only (C06, RFC 9110 section 7.6.1).
//!
//! It runs before our own fields are added, so Connection cannot name those away.

use super::h1::list;
use super::{Field, Fields, HeaderId, ResponseHead};

/// Removes the hop-by-hop fields of a request. Whoever wants to offer its Upgrade reads it before.
pub fn strip_request(fields: &mut Fields) {
    remove_listed(fields);
    fields.remove_if(|id, _, _| is_hop_by_hop(id));
}

/// Removes the hop-by-hop fields of a response. A 101 keeps Upgrade, which names what was switched to.
pub fn strip_response(head: &mut ResponseHead) {
    let switching = head.status == 101;
    remove_listed(&mut head.fields);
    head.fields
        .remove_if(|id, _, _| is_hop_by_hop(id) && !(switching && id == HeaderId::Upgrade));
}

/// Removes what Connection lists. Nearly always it lists nothing but options and names that go anyway.
fn remove_listed(fields: &mut Fields) {
    if !connection_values(fields).flat_map(list).any(names_a_field) {
        return;
    }
    let mut index = 0;
    while let Some(&field) = fields.list().get(index) {
        if is_listed(fields, field) && !is_protected(field.id, fields.text(field.name)) {
            fields.remove_at(index);
        } else {
            index += 1;
        }
    }
}

fn connection_values(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .list()
        .iter()
        .filter(|field| field.id == HeaderId::Connection)
        .map(|field| fields.text(field.value))
}

/// The decoder bounds how many names there are, so this is bounded too.
fn is_listed(fields: &Fields, field: Field) -> bool {
    let name = fields.text(field.name);
    connection_values(fields)
        .flat_map(list)
        .any(|listed| listed.eq_ignore_ascii_case(name))
}

fn names_a_field(listed: &[u8]) -> bool {
    const OPTIONS: [&[u8]; 4] = [b"keep-alive", b"close", b"upgrade", b"te"];
    !OPTIONS
        .iter()
        .any(|option| listed.eq_ignore_ascii_case(option))
}

fn is_hop_by_hop(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection
            | HeaderId::Te
            | HeaderId::Trailer
            | HeaderId::TransferEncoding
            | HeaderId::Upgrade
            | HeaderId::Http2Settings
    )
}

/// Fields that a client must not be able to take away behind the back of those in front of us, and the
/// hop-by-hop ones, which go in their own pass.
fn is_protected(id: HeaderId, name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 3] = [b"x-forwarded-", b"x-envoy-", b"x-penstock-"];
    is_hop_by_hop(id)
        || matches!(
            id,
            HeaderId::Host
                | HeaderId::ContentLength
                | HeaderId::Cookie
                | HeaderId::Authorization
                | HeaderId::XRealIp
                | HeaderId::XRequestId
        )
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

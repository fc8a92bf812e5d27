//! Takes out of a head what concerns one connection only (C06, RFC 9110 section 7.6.1).
//!
//! It runs before our own fields are added, so Connection cannot name those away.

use super::forwarded::is_forwarding_name;
use super::h1::list;
use super::{Field, Fields, HeaderId, ResponseHead};

/// Removes the hop-by-hop fields of a request. Whoever wants to offer its Upgrade reads it before.
pub fn strip_request(fields: &mut Fields) {
    remove_listed(fields);
    fields.remove_ids(is_hop_by_hop);
}

/// Removes the hop-by-hop fields of a response. A 101 keeps Upgrade, which names what was
/// switched to.
pub fn strip_response(head: &mut ResponseHead) {
    let switching = head.status == 101;
    remove_listed(&mut head.fields);
    let kept = |id| switching && id == HeaderId::Upgrade;
    head.fields.remove_ids(|id| is_hop_by_hop(id) && !kept(id));
}

/// Removes what Connection lists. Nearly always it lists nothing but options and names that go
/// anyway.
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

/// Fields that a client must not be able to take away behind the back of those in front of us,
/// and the hop-by-hop ones, which go in their own pass.
fn is_protected(id: HeaderId, name: &[u8]) -> bool {
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
        || is_forwarding_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)], expect: &[&str]) {
        let mut head = Fields::default();
        for (name, value) in fields {
            head.push(name.as_bytes(), value.as_bytes());
        }
        strip_request(&mut head);
        let names: Vec<_> = head.iter().map(|(name, _)| name).collect();
        let expect: Vec<_> = expect.iter().map(|name| name.as_bytes()).collect();
        assert_eq!(names, expect, "{fields:?}");
    }

    #[test]
    fn c06_hop_by_hop_fields_go() {
        check(
            &[
                ("Keep-Alive", "5"),
                ("TE", "trailers"),
                ("Trailer", "x"),
                ("Upgrade", "h2c"),
                ("Proxy-Connection", "close"),
                ("Transfer-Encoding", "chunked"),
                ("A", "1"),
            ],
            &["a"],
        );
    }

    #[test]
    fn c06_listed_names_go_and_protected_ones_stay() {
        check(
            &[
                ("B", "1"),
                ("Connection", " ,close , B,COOKIE"),
                ("Cookie", "1"),
                ("connection", "c\t,x-forwarded-for,connection"),
                ("C", "1"),
                ("X-Forwarded-For", "1"),
                ("D", "1"),
                ("b", "2"),
            ],
            &["cookie", "x-forwarded-for", "d"],
        );
    }

    #[test]
    fn c06_only_a_101_keeps_upgrade() {
        for (status, kept) in [(101, true), (200, false)] {
            let mut head = ResponseHead {
                status,
                ..ResponseHead::default()
            };
            head.fields.push(b"Upgrade", b"websocket");
            head.fields.push(b"Connection", b"Upgrade");
            strip_response(&mut head);
            assert_eq!(head.fields.value(HeaderId::Upgrade).is_some(), kept);
            assert_eq!(head.fields.len(), usize::from(kept));
        }
    }
}

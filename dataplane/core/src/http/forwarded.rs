//! Who the client is, and what a request says about the way it came: `x-forwarded-*`,
//! `x-request-id`, `via` (N08, N09).
//!
//! What an untrusted client claims about itself is taken away before anything looks at it.

use core::net::{IpAddr, SocketAddr};

use super::{Fields, HeaderId, RequestHead};
use crate::chance::Chance;
use crate::config::listener::{Forwarded, Http, RequestId};
use crate::digits::{append_ip, append_number};

/// Makes the fields and the scheme true and returns the address of the client.
pub fn apply(
    http: &Http,
    head: &mut RequestHead,
    remote: SocketAddr,
    local: SocketAddr,
    chance: &mut Chance,
) -> SocketAddr {
    let options = http.forwarded;
    let is_edge = options.use_remote_address;
    let trusts_peer = !is_edge || options.trusted_hops > 0;
    strip_claims(&mut head.fields, is_edge, trusts_peer);
    let client = client_address(&head.fields, options, remote);
    if is_edge {
        append_remote(&mut head.fields, options, remote);
        head.fields
            .set_with(HeaderId::XEnvoyExternalAddress, |text| {
                append_ip(client.ip(), text);
            });
    }
    match forwarded_scheme(&head.fields) {
        Some(scheme) => head.secure = scheme == Scheme::Https,
        None => {
            let scheme = head.scheme().as_bytes();
            head.fields.set(HeaderId::XForwardedProto, scheme);
        }
    }
    if options.append_port && head.fields.value(HeaderId::XForwardedPort).is_none() {
        let port = u64::from(local.port());
        let write = |text: &mut Vec<u8>| append_number(port, text);
        head.fields.set_with(HeaderId::XForwardedPort, write);
    }
    set_request_id(&mut head.fields, http.request_id, trusts_peer, chance);
    if !http.via.is_empty() {
        head.fields.push_known(HeaderId::Via, http.via.as_bytes());
    }
    client
}

/// Takes away what a client may not say (N08). A trusted neighbour vouches for the addresses that
/// it forwards, not for what its own client says of itself: as in Envoy without
/// `internal_address_config`, nobody is internal, so no `x-envoy-*` is believed but what a gateway
/// at the edge writes for those behind it.
fn strip_claims(fields: &mut Fields, is_edge: bool, trusts_peer: bool) {
    fields.remove_if(|id, name, _| match id {
        HeaderId::XForwardedFor => false,
        HeaderId::XRealIp => true,
        HeaderId::XEnvoyExternalAddress | HeaderId::XEnvoyOriginalPath => is_edge,
        _ if name.starts_with(b"x-forwarded-") => !trusts_peer,
        _ => is_forwarding_name(name),
    });
}

/// Fields that gateways write about the way of a request.
pub(crate) fn is_forwarding_name(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 3] = [b"x-forwarded-", b"x-envoy-", b"x-penstock-"];
    name.starts_with(b"x-") && PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Http,
    Https,
}

/// How the client came, as somebody trusted said. More than one opinion is none.
fn forwarded_scheme(fields: &Fields) -> Option<Scheme> {
    let mut values = fields.values_by_name(HeaderId::XForwardedProto.name());
    match (values.next()?, values.next()) {
        (scheme, None) if scheme.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        (scheme, None) if scheme.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        _ => None,
    }
}

/// The entry of `x-forwarded-for` that the trusted hops vouch for, else the connection's address.
/// An entry that is no address ends the walk (N09).
fn client_address(fields: &Fields, options: Forwarded, remote: SocketAddr) -> SocketAddr {
    // With use_remote_address the connection itself counts as the first hop.
    let skip = match (options.use_remote_address, options.trusted_hops) {
        (true, 0) => return remote,
        (true, hops) => hops - 1,
        (false, hops) => hops,
    };
    let mut client = remote;
    for (index, value) in (0..).zip(values_from_the_right(fields)) {
        let Some(address) = parse_address(value) else {
            break;
        };
        client = SocketAddr::new(address, 0);
        if index == skip {
            break;
        }
    }
    client
}

fn values_from_the_right(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .list()
        .iter()
        .rev()
        .filter(|field| field.id == HeaderId::XForwardedFor)
        .flat_map(|field| fields.text(field.value).rsplit(|&byte| byte == b','))
}

fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let plain = text.parse::<IpAddr>().ok();
    plain.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn append_remote(fields: &mut Fields, options: Forwarded, remote: SocketAddr) {
    if options.skip_append {
        return;
    }
    fields.append_to_list(HeaderId::XForwardedFor, |text| append_ip(remote.ip(), text));
}

fn set_request_id(fields: &mut Fields, options: RequestId, trusted: bool, chance: &mut Chance) {
    let known = fields.value(HeaderId::XRequestId).is_some();
    let keeps = known && (trusted || options.preserve_external);
    if options.generate && !keeps {
        fields.set(HeaderId::XRequestId, &random_uuid(chance));
    }
}

/// Sixteen digits: all nibbles at once, each in a byte of its own.
fn hex(bits: u64) -> [u8; 16] {
    let mut text = [0; 16];
    let halves = [(bits >> 32) as u32, bits as u32];
    for (half, out) in halves.into_iter().zip(text.chunks_exact_mut(8)) {
        let mut nibbles = u64::from(half);
        nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
        nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
        nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // 10 to 15 carry into the fifth bit when 6 is added: they become letters.
        let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        let digits = nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1);
        out.copy_from_slice(&digits.to_be_bytes());
    }
    text
}

/// A version 4 UUID (RFC 9562 section 5.4).
fn random_uuid(chance: &mut Chance) -> [u8; 36] {
    let high = (chance.bits() & !0xf000) | 0x4000;
    let low = (chance.bits() & !(0b11 << 62)) | (0b10 << 62);
    let (high, low) = (hex(high), hex(low));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&high[..8]);
    text[9..13].copy_from_slice(&high[8..12]);
    text[14..18].copy_from_slice(&high[12..]);
    text[19..23].copy_from_slice(&low[..4]);
    text[24..].copy_from_slice(&low[4..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: Forwarded = Forwarded {
        use_remote_address: true,
        trusted_hops: 0,
        skip_append: false,
        append_port: false,
    };

    fn remote() -> SocketAddr {
        "192.0.2.7:4711".parse().unwrap()
    }

    fn client(chain: &[&str], options: Forwarded) -> String {
        let mut fields = Fields::default();
        chain
            .iter()
            .for_each(|value| fields.push(b"x-forwarded-for", value.as_bytes()));
        client_address(&fields, options, remote()).ip().to_string()
    }

    #[test]
    fn n09_the_client_is_the_rightmost_entry_behind_the_trusted_hops() {
        let behind_one = Forwarded {
            trusted_hops: 1,
            ..EDGE
        };
        let behind_two = Forwarded {
            trusted_hops: 2,
            ..EDGE
        };
        let inner = Forwarded {
            use_remote_address: false,
            ..EDGE
        };
        assert_eq!(client(&["1.1.1.1"], EDGE), "192.0.2.7");
        assert_eq!(client(&["1.1.1.1, 2.2.2.2"], behind_one), "2.2.2.2");
        assert_eq!(client(&["1.1.1.1, 2.2.2.2"], behind_two), "1.1.1.1");
        assert_eq!(client(&["1.1.1.1", "2.2.2.2"], behind_two), "1.1.1.1");
        assert_eq!(client(&["1.1.1.1, 2.2.2.2"], inner), "2.2.2.2");
        assert_eq!(
            client(&["1.1.1.1, nonsense, 2.2.2.2"], behind_two),
            "2.2.2.2"
        );
        assert_eq!(client(&[], behind_one), "192.0.2.7");
        assert_eq!(client(&["[2001:db8::1]:80"], behind_one), "2001:db8::1");
    }

    fn left(is_edge: bool, trusts_peer: bool) -> Vec<String> {
        let mut fields = Fields::default();
        for name in [
            "x-forwarded-proto",
            "x-forwarded-client-cert",
            "x-real-ip",
            "x-envoy-internal",
            "x-envoy-retry-on",
            "x-envoy-external-address",
            "x-penstock-a",
            "x-a",
        ] {
            fields.push(name.as_bytes(), b"1");
        }
        strip_claims(&mut fields, is_edge, trusts_peer);
        let names = fields.iter().map(|(name, _)| name.to_vec());
        names.map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn n08_claims_of_clients_are_taken_away() {
        let forwarded = ["x-forwarded-proto", "x-forwarded-client-cert"];
        assert_eq!(left(true, false), ["x-a"]);
        assert_eq!(left(true, true), [&forwarded[..], &["x-a"]].concat());
        let behind = [&forwarded[..], &["x-envoy-external-address", "x-a"]].concat();
        assert_eq!(left(false, true), behind);
    }

    #[test]
    fn one_valid_scheme_is_believed() {
        let scheme = |values: &[&str]| {
            let mut fields = Fields::default();
            let push = |value: &&str| fields.push(b"x-forwarded-proto", value.as_bytes());
            values.iter().for_each(push);
            forwarded_scheme(&fields)
        };
        assert_eq!(scheme(&["https"]), Some(Scheme::Https));
        assert_eq!(scheme(&["HTTP"]), Some(Scheme::Http));
        for invalid in [&[][..], &["ftp"], &["https, http"], &["https", "https"]] {
            assert_eq!(scheme(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn appends_to_the_chain_in_one_field() {
        let mut fields = Fields::default();
        fields.push(b"x-forwarded-for", b"1.1.1.1");
        fields.push(b"x-forwarded-for", b"2.2.2.2");
        append_remote(&mut fields, EDGE, remote());
        assert_eq!(
            fields.value(HeaderId::XForwardedFor),
            Some(&b"1.1.1.1,2.2.2.2,192.0.2.7"[..])
        );
    }

    #[test]
    fn request_ids_are_uuids_of_version_4() {
        for bits in [0, 0x0123_4567_89ab_cdef, u64::MAX, 0xfedc_ba98_7654_3210] {
            assert_eq!(hex(bits), *format!("{bits:016x}").as_bytes());
        }
        let text = random_uuid(&mut Chance::new(1));
        assert_eq!((text[8], text[14]), (b'-', b'4'));
        assert!(matches!(text[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(text, random_uuid(&mut Chance::new(2)));
    }
}

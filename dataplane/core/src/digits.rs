//! Numbers and addresses as text, on the path of every request: what `core::fmt` writes, without
//! its generality, which costs ten times as much.

use core::net::{IpAddr, SocketAddr};
use std::fmt::{self, Write};

/// Appends a decimal number.
pub(crate) fn append_number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(number_text(value, &mut [0; 20]));
}

/// A decimal number at the end of `digits`.
pub(crate) fn number_text(mut value: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
    }
}

/// Appends an address.
pub(crate) fn append_ip(ip: IpAddr, out: &mut Vec<u8>) {
    let IpAddr::V4(ip) = ip else {
        // RFC 5952 is the library's business.
        return append_formatted(format_args!("{ip}"), out);
    };
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        append_number(octet.into(), out);
    }
}

/// Appends address and port.
pub(crate) fn append_address(address: SocketAddr, out: &mut Vec<u8>) {
    if address.is_ipv6() {
        // Brackets, and a scope if there is one.
        return append_formatted(format_args!("{address}"), out);
    }
    append_ip(address.ip(), out);
    out.push(b':');
    append_number(address.port().into(), out);
}

/// Appends what `core::fmt` makes of the arguments, where that is worth its price.
pub(crate) fn append_formatted(text: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    struct Bytes<'a>(&'a mut Vec<u8>);

    impl Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }

    // A vector takes everything.
    let _ = Bytes(out).write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_those_of_fmt() {
        for number in [0, 9, 10, 255, 65_535, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            append_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
        for text in [
            "0.0.0.0:0",
            "192.0.2.7:80",
            "255.255.255.255:65535",
            "[::1]:8",
            "[2001:db8::1]:80",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let (mut whole, mut ip) = (Vec::new(), Vec::new());
            append_address(address, &mut whole);
            append_ip(address.ip(), &mut ip);
            assert_eq!(whole, text.as_bytes());
            assert_eq!(ip, address.ip().to_string().as_bytes());
        }
    }
}

//! Socket addresses in the kernel's form and back.

use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address as the kernel reads and writes it.
pub(crate) struct RawAddress {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl RawAddress {
    /// Room for any address, to be filled by the kernel.
    pub(crate) fn empty() -> Self {
        Self {
            // SAFETY: sockaddr_storage is a plain C struct of integers; all zeroes is a valid value
            // (family AF_UNSPEC).
            storage: unsafe { mem::zeroed() },
            len: mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len
    }

    pub(crate) fn len_mut(&mut self) -> *mut libc::socklen_t {
        &raw mut self.len
    }

    /// The address, if it is an Internet address.
    pub(crate) fn to_socket_addr(&self) -> Option<SocketAddr> {
        match libc::c_int::from(self.storage.ss_family) {
            libc::AF_INET => Some(self.to_v4()),
            libc::AF_INET6 => Some(self.to_v6()),
            _ => None,
        }
    }

    fn to_v4(&self) -> SocketAddr {
        // SAFETY: sockaddr_storage is at least as large and as aligned as sockaddr_in, and every
        // bit pattern of its integer fields is valid.
        let raw = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
        let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
        SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into()
    }

    fn to_v6(&self) -> SocketAddr {
        // SAFETY: as in `to_v4`, for sockaddr_in6.
        let raw = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() };
        let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
        let port = u16::from_be(raw.sin6_port);
        SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id).into()
    }

    fn write_v4(&mut self, address: SocketAddrV4) {
        // SAFETY: as in `to_v4`; the reference is unique because `self` is borrowed mutably.
        let raw = unsafe { &mut *(&raw mut self.storage).cast::<libc::sockaddr_in>() };
        raw.sin_family = libc::AF_INET as libc::sa_family_t;
        raw.sin_port = address.port().to_be();
        raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
        self.len = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
    }

    fn write_v6(&mut self, address: SocketAddrV6) {
        // SAFETY: as in `write_v4`, for sockaddr_in6.
        let raw = unsafe { &mut *(&raw mut self.storage).cast::<libc::sockaddr_in6>() };
        raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        raw.sin6_port = address.port().to_be();
        raw.sin6_flowinfo = address.flowinfo();
        raw.sin6_addr.s6_addr = address.ip().octets();
        raw.sin6_scope_id = address.scope_id();
        self.len = mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(address) => raw.write_v4(address),
            SocketAddr::V6(address) => raw.write_v6(address),
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in [
            "127.0.0.1:80",
            "255.1.2.3:65535",
            "[::1]:8080",
            "[fe80::1%3]:1",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::from(address).to_socket_addr(), Some(address));
        }
        assert_eq!(RawAddress::empty().to_socket_addr(), None);
    }
}

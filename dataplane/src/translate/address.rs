//! Addresses.

use std::net::{IpAddr, SocketAddr};

use penstock_proto::envoy::config::core::v3::address::Address as Kind;
use penstock_proto::envoy::config::core::v3::socket_address::PortSpecifier;
use penstock_proto::envoy::config::core::v3::{Address, SocketAddress};

use super::draft::Draft;

/// Which ports an address may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// 0 lets the system choose.
    Listen,
    /// Above 0.
    Connect,
}

impl Draft<'_> {
    /// An IP address with its port.
    pub(super) fn ip_address(
        &mut self,
        field: &str,
        address: Option<&Address>,
        port: Port,
    ) -> Option<SocketAddr> {
        let (host, port) = self.socket_address(field, address, port)?;
        let ip: Option<IpAddr> = host.parse().ok();
        if ip.is_none() {
            let place = format!("{field}.socket_address.address");
            self.error(
                &place,
                format!("`{host}` is no IP address"),
                "write an IP address",
            );
        }
        Some(SocketAddr::new(ip?, port))
    }

    /// A host, which may be a name, and its port.
    pub(super) fn socket_address<'p>(
        &mut self,
        field: &str,
        address: Option<&'p Address>,
        port: Port,
    ) -> Option<(&'p str, u16)> {
        let Some(Kind::SocketAddress(address)) = address.and_then(|a| a.address.as_ref()) else {
            self.error(field, "an address is needed", "write socket_address");
            return None;
        };
        let place = format!("{field}.socket_address");
        self.field(&place, |draft| {
            draft.required("address", &address.address, "write an IP address or a name");
            let port = draft.port(address, port);
            (!address.address.is_empty()).then_some((address.address.as_str(), port?))
        })
    }

    fn port(&mut self, address: &SocketAddress, port: Port) -> Option<u16> {
        let least = if port == Port::Listen { 0 } else { 1 };
        let remedy = format!("write a port from {least} to 65535");
        let Some(PortSpecifier::PortValue(value)) = address.port_specifier else {
            self.error("port_value", "is missing", remedy);
            return None;
        };
        let value = u16::try_from(value).ok().filter(|value| *value >= least);
        if value.is_none() {
            self.error("port_value", "is out of range", remedy);
        }
        value
    }
}

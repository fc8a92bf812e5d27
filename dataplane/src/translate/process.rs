//! What holds for the process: the administration interface and the bound of all connections.

use std::net::SocketAddr;

use penstock_core::config::AccessLog;
use penstock_core::format::Format;
use penstock_proto::envoy::config::bootstrap::v3::{Admin as AdminProto, Bootstrap};
use penstock_proto::envoy::config::overload::v3::OverloadManager;
use penstock_proto::envoy::config::overload::v3::resource_monitor::ConfigType;
use penstock_proto::envoy::extensions::resource_monitors::downstream_connections::v3 as bounds;

use super::address::Port;
use super::draft::Draft;
use crate::telemetry::access_log::SinkSpec;

/// Runtime key of the bound of all client connections.
const CONNECTIONS_KEY: &str = "overload.global_downstream_max_connections";

/// The administration interface.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its access logs.
    pub access_logs: Vec<AccessLog>,
}

/// Which addresses the administration interface may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AdminReach {
    /// Loopback only.
    #[default]
    Loopback,
    /// Any: the operator asked for it.
    Anywhere,
}

impl Draft<'_> {
    pub(super) fn admin(&mut self, admin: &AdminProto, reach: AdminReach) -> Option<Admin> {
        let mut access_logs = self.access_logs(&admin.access_log);
        if !admin.access_log_path.is_empty() {
            let sink = SinkSpec::from_path(&admin.access_log_path);
            let format = self.checked("access_log_path", Format::parse(Format::DEFAULT));
            access_logs.extend(self.sink_log("access_log_path", sink, format));
        }
        // Without an address Envoy has no administration interface either.
        admin.address.as_ref()?;
        let address = self.ip_address("address", admin.address.as_ref(), Port::Listen)?;
        if reach == AdminReach::Loopback && !address.ip().is_loopback() {
            self.error(
                "address.socket_address.address",
                "whoever reaches the administration interface can stop the process",
                "use 127.0.0.1, or start with --admin-public if the network is guarded",
            );
        }
        Some(Admin {
            address,
            access_logs,
        })
    }

    /// The bound of all client connections, if one is configured.
    pub(super) fn connections_max(&mut self, bootstrap: &Bootstrap) -> Option<u32> {
        let monitors = bootstrap.overload_manager.as_ref();
        let configured = self.field("overload_manager", |draft| {
            monitors.and_then(|monitors| draft.monitors(monitors))
        });
        if configured.is_none() && self.notes && self.runtime.number(CONNECTIONS_KEY).is_none() {
            self.note_absent(
                "overload_manager",
                "a bound of all connections by descriptors and memory (Envoy: none)",
            );
        }
        configured.or_else(|| self.runtime.number(CONNECTIONS_KEY))
    }

    fn monitors(&mut self, manager: &OverloadManager) -> Option<u32> {
        let all = self.each(
            "resource_monitors",
            &manager.resource_monitors,
            |draft, monitor| {
                let Some(ConfigType::TypedConfig(any)) = &monitor.config_type else {
                    draft.error(
                        "typed_config",
                        "is missing",
                        "write the options of a monitor",
                    );
                    return None;
                };
                draft.field("typed_config", |draft| {
                    let options = draft.options::<bounds::DownstreamConnectionsConfig>(any)?;
                    let bound = options.max_active_downstream_connections;
                    if bound < 1 {
                        draft.error(
                            "max_active_downstream_connections",
                            "must be above 0",
                            "write the connections",
                        );
                    }
                    Some(u32::try_from(bound).unwrap_or(u32::MAX))
                })
            },
        );
        all.into_iter().flatten().min()
    }
}

//! `HttpConnectionManager`: the settings of HTTP connections, with every default filled in.

use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::listener::{
    Forwarded, HostOptions, Http, RequestId, ServerHeader, StripPort,
};
use penstock_core::http::h1::{RequestOptions, Underscores};
use penstock_core::http::path::{EscapedSlashes, PathOptions};
use penstock_core::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_CEILING, HEAD_FIELDS_MAX};
use penstock_core::route::RouteTable;
use penstock_proto::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use penstock_proto::envoy::config::core::v3::{Http1ProtocolOptions, HttpProtocolOptions};
use penstock_proto::envoy::extensions::filters::http::router::v3::Router;
use penstock_proto::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter,
    http_connection_manager::{
        PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation, StripPortMode,
        UpgradeConfig,
    },
    http_filter::ConfigType,
};

use super::draft::Draft;
use super::route::KnownStats;

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// `server_name` unless set.
const SERVER_NAME: &str = "penstock";
/// Highest `max_request_headers_kb`.
const HEAD_KIB_MAX: u32 = 8192;

impl Draft<'_> {
    pub(super) fn http(&mut self, manager: &HttpConnectionManager, known: &KnownStats) -> Http {
        self.required(
            "stat_prefix",
            &manager.stat_prefix,
            "write a name for metrics",
        );
        self.note_edge(manager);
        let common = manager.common_http_protocol_options.unwrap_or_default();
        let http1 = manager.http_protocol_options.clone().unwrap_or_default();
        Http {
            stat_prefix: manager.stat_prefix.as_str().into(),
            routes: Arc::new(self.inline_routes(manager, known)),
            access_logs: self.access_logs(&manager.access_log),
            decode: self.decode(manager, &common, &http1),
            path: path_options(manager),
            host: self.host_options(manager),
            forward_trailers: http1.enable_trailers,
            head_timeout: self.timeout(
                "request_headers_timeout",
                manager.request_headers_timeout.as_ref(),
                Some(HEAD_TIMEOUT),
            ),
            request_timeout: self.timeout(
                "request_timeout",
                manager.request_timeout.as_ref(),
                None,
            ),
            stream_duration_max: self.timeout(
                "common_http_protocol_options.max_stream_duration",
                common.max_stream_duration.as_ref(),
                None,
            ),
            idle_timeout: self.timeout(
                "common_http_protocol_options.idle_timeout",
                common.idle_timeout.as_ref(),
                Some(IDLE_TIMEOUT),
            ),
            stream_idle_timeout: self.timeout(
                "stream_idle_timeout",
                manager.stream_idle_timeout.as_ref(),
                Some(STREAM_IDLE_TIMEOUT),
            ),
            connection_duration_max: self.timeout(
                "common_http_protocol_options.max_connection_duration",
                common.max_connection_duration.as_ref(),
                None,
            ),
            requests_per_connection_max: common
                .max_requests_per_connection
                .filter(|count| *count > 0),
            delayed_close_timeout: self
                .duration(
                    "delayed_close_timeout",
                    manager.delayed_close_timeout.as_ref(),
                )
                .unwrap_or(DELAYED_CLOSE_TIMEOUT),
            forwarded: Forwarded {
                use_remote_address: manager.use_remote_address.unwrap_or(true),
                trusted_hops: manager.xff_num_trusted_hops,
                skip_append: manager.skip_xff_append,
                append_port: manager.append_x_forwarded_port,
            },
            server: self.server_header(manager),
            via: self.header_text("via", &manager.via),
            request_id: RequestId {
                generate: manager.generate_request_id.unwrap_or(true),
                preserve_external: manager.preserve_external_request_id,
                in_response: manager.always_set_request_id_in_response,
            },
            proxy_continue: manager.proxy_100_continue,
            upgrades: self.upgrades(&manager.upgrade_configs),
            suppress_envoy_headers: self.router(&manager.http_filters),
        }
    }

    /// Where an absent field is stricter than in Envoy, and where it is not but should be.
    fn note_edge(&mut self, manager: &HttpConnectionManager) {
        self.duration("drain_timeout", manager.drain_timeout.as_ref());
        for (field, meaning) in [
            ("use_remote_address", "true (Envoy: false)"),
            ("normalize_path", "true (Envoy: false)"),
            (
                "path_with_escaped_slashes_action",
                "REJECT_REQUEST (Envoy: KEEP_UNCHANGED)",
            ),
            ("request_headers_timeout", "10s (Envoy: off)"),
            (
                "common_http_protocol_options.idle_timeout",
                "60s (Envoy: 1 h)",
            ),
        ] {
            self.note_absent(field, meaning);
        }
        self.warn_absent(
            "merge_slashes",
            "false, as in Envoy",
            "set it to true at the edge",
        );
        self.warn_absent(
            "common_http_protocol_options.headers_with_underscores_action",
            "ALLOW, as in Envoy",
            "set it to REJECT_REQUEST at the edge",
        );
    }

    fn inline_routes(&mut self, manager: &HttpConnectionManager, known: &KnownStats) -> RouteTable {
        match &manager.route_specifier {
            Some(RouteSpecifier::RouteConfig(config)) => {
                self.field("route_config", |draft| draft.routes(config, known))
            }
            None => {
                self.error("route_config", "is missing", "write the routes");
                RouteTable::default()
            }
        }
    }

    fn decode(
        &mut self,
        manager: &HttpConnectionManager,
        common: &HttpProtocolOptions,
        http1: &Http1ProtocolOptions,
    ) -> RequestOptions {
        let kib = manager.max_request_headers_kb;
        if kib.is_some_and(|kib| !(1..=HEAD_KIB_MAX).contains(&kib)) {
            self.error(
                "max_request_headers_kb",
                "is out of range",
                format!("write 1 to {HEAD_KIB_MAX}"),
            );
        }
        self.field("http_protocol_options", |draft| draft.check_http1(http1));
        RequestOptions {
            head_bytes_max: kib.map_or(HEAD_BYTES_MAX, |kib| kib as usize * 1024),
            fields_max: self.fields_max(common),
            underscores: match common.headers_with_underscores_action() {
                HeadersWithUnderscoresAction::Allow => Underscores::Allow,
                HeadersWithUnderscoresAction::RejectRequest => Underscores::Reject,
                HeadersWithUnderscoresAction::DropHeader => Underscores::Drop,
            },
            accept_http10: http1.accept_http_10,
            default_host: http1.default_host_for_http_10.as_str().into(),
        }
    }

    fn fields_max(&mut self, common: &HttpProtocolOptions) -> usize {
        let Some(count) = common.max_headers_count else {
            return HEAD_FIELDS_MAX;
        };
        let count = count as usize;
        if !(1..=HEAD_FIELDS_CEILING).contains(&count) {
            self.error(
                "common_http_protocol_options.max_headers_count",
                "is out of range",
                format!("write 1 to {HEAD_FIELDS_CEILING}"),
            );
        }
        count
    }

    fn check_http1(&mut self, http1: &Http1ProtocolOptions) {
        self.refuse_chunked_length(http1);
        if http1.allow_absolute_url == Some(false) {
            self.error(
                "allow_absolute_url",
                "targets in absolute form are always accepted (RFC 9112 section 3.2.2)",
                "remove it",
            );
        }
        let host = &http1.default_host_for_http_10;
        if !host.is_empty() && !http1.accept_http_10 {
            self.warn(
                "default_host_for_http_10",
                "has no effect",
                "set accept_http_10 to true",
            );
        }
        if !host
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte))
        {
            self.error(
                "default_host_for_http_10",
                "is no authority",
                "write a host name",
            );
        }
    }

    fn host_options(&mut self, manager: &HttpConnectionManager) -> HostOptions {
        let any = matches!(
            manager.strip_port_mode,
            Some(StripPortMode::StripAnyHostPort(true))
        );
        if any && manager.strip_matching_host_port {
            self.error(
                "strip_matching_host_port",
                "excludes strip_any_host_port, which is set too",
                "keep one of them",
            );
        }
        HostOptions {
            strip_port: match (any, manager.strip_matching_host_port) {
                (true, _) => StripPort::Any,
                (false, true) => StripPort::Matching,
                (false, false) => StripPort::Keep,
            },
            strip_trailing_dot: manager.strip_trailing_host_dot,
        }
    }

    fn server_header(&mut self, manager: &HttpConnectionManager) -> ServerHeader {
        let name = match manager.server_name.as_str() {
            "" => SERVER_NAME.into(),
            name => self.header_text("server_name", name),
        };
        match manager.server_header_transformation() {
            ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite(name),
            ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent(name),
            ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
        }
    }

    fn upgrades(&mut self, configs: &[UpgradeConfig]) -> Vec<Box<str>> {
        let all = self.each("upgrade_configs", configs, |draft, config| {
            (
                draft.upgrade_type(&config.upgrade_type),
                config.enabled.unwrap_or(true),
            )
        });
        let mut seen: Vec<Box<str>> = Vec::new();
        for (kind, _) in &all {
            if seen.contains(kind) {
                self.error(
                    "upgrade_configs",
                    format!("`{kind}` stands here twice"),
                    "remove one of them",
                );
            }
            seen.push(kind.clone());
        }
        let enabled = all.into_iter().filter(|(_, enabled)| *enabled);
        enabled.map(|(kind, _)| kind).collect()
    }

    /// The filters: so far the router and nothing else. Answers `suppress_envoy_headers`.
    fn router(&mut self, filters: &[HttpFilter]) -> bool {
        if filters.len() != 1 {
            let remedy = "write one filter, with the options envoy.extensions.filters.http.router.\
                v3.Router";
            let reason = format!("expected the router alone, found {} filters", filters.len());
            self.error("http_filters", reason, remedy);
        }
        let options = self.each("http_filters", filters, |draft, filter| {
            match &filter.config_type {
                Some(ConfigType::TypedConfig(any)) => {
                    draft.field("typed_config", |draft| draft.options::<Router>(any))
                }
                None => {
                    draft.error(
                        "typed_config",
                        "is missing",
                        "write the options of the router",
                    );
                    None
                }
            }
        });
        options
            .into_iter()
            .flatten()
            .any(|router| router.suppress_envoy_headers)
    }
}

fn path_options(manager: &HttpConnectionManager) -> PathOptions {
    PathOptions {
        normalize: manager.normalize_path.unwrap_or(true),
        merge_slashes: manager.merge_slashes,
        escaped_slashes: match manager.path_with_escaped_slashes_action() {
            PathWithEscapedSlashesAction::KeepUnchanged => EscapedSlashes::Keep,
            PathWithEscapedSlashesAction::ImplementationSpecificDefault
            | PathWithEscapedSlashesAction::RejectRequest => EscapedSlashes::Reject,
            PathWithEscapedSlashesAction::UnescapeAndRedirect => {
                EscapedSlashes::UnescapeAndRedirect
            }
            PathWithEscapedSlashesAction::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
        },
    }
}

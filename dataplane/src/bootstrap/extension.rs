//! The extensions that are served: what may stand in a `typed_config`.

use std::sync::LazyLock;

use penstock_proto::envoy::extensions::access_loggers::{file, stream};
use penstock_proto::envoy::extensions::filters::http::router;
use penstock_proto::envoy::extensions::filters::network::http_connection_manager as manager;
use penstock_proto::envoy::extensions::resource_monitors::downstream_connections;
use penstock_proto::envoy::extensions::upstreams::http;
use penstock_proto::prost::{DecodeError, Message, Name};

/// An extension's options.
struct Extension {
    full_name: String,
    recode: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

static SERVED: LazyLock<[Extension; 7]> = LazyLock::new(|| {
    [
        extension::<file::v3::FileAccessLog>(),
        extension::<stream::v3::StdoutAccessLog>(),
        extension::<stream::v3::StderrAccessLog>(),
        extension::<router::v3::Router>(),
        extension::<manager::v3::HttpConnectionManager>(),
        extension::<downstream_connections::v3::DownstreamConnectionsConfig>(),
        extension::<http::v3::HttpProtocolOptions>(),
    ]
});

/// Full names of the options of all extensions that are served.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SERVED.iter().map(|extension| extension.full_name.as_str())
}

/// The same options in the one order that typed messages are written in, so that equal content has
/// equal bytes. `None` if no extension has options of this name.
pub(super) fn canonical(full_name: &str, bytes: &[u8]) -> Option<Result<Vec<u8>, DecodeError>> {
    let extension = SERVED
        .iter()
        .find(|extension| extension.full_name == full_name)?;
    Some((extension.recode)(bytes))
}

fn extension<M: Message + Name + Default>() -> Extension {
    let recode = |bytes: &[u8]| M::decode(bytes).map(|message| message.encode_to_vec());
    Extension {
        full_name: M::full_name(),
        recode,
    }
}

//! Names of header fields that some rule depends on.

/// Declares the known names in one place.
macro_rules! known {
    ($($variant:ident = $name:literal,)*) => {
        /// A known header name, or [`HeaderId::Other`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum HeaderId {
            $(#[doc = stringify!($name)] $variant,)*
            /// Any other name.
            Other,
        }

        impl HeaderId {
            /// The id of a name in lower case.
            pub fn of(name: &[u8]) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// The name in lower case; empty for [`HeaderId::Other`].
            pub fn name(self) -> &'static [u8] {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other => b"",
                }
            }
        }
    };
}

known! {
    Accept = b"accept",
    AcceptEncoding = b"accept-encoding",
    Authorization = b"authorization",
    CacheControl = b"cache-control",
    Connection = b"connection",
    ContentLength = b"content-length",
    ContentType = b"content-type",
    Cookie = b"cookie",
    Date = b"date",
    Expect = b"expect",
    Host = b"host",
    Http2Settings = b"http2-settings",
    KeepAlive = b"keep-alive",
    Location = b"location",
    ProxyAuthenticate = b"proxy-authenticate",
    ProxyAuthorization = b"proxy-authorization",
    ProxyConnection = b"proxy-connection",
    Referer = b"referer",
    Server = b"server",
    SetCookie = b"set-cookie",
    Te = b"te",
    Trailer = b"trailer",
    TransferEncoding = b"transfer-encoding",
    Upgrade = b"upgrade",
    UserAgent = b"user-agent",
    Via = b"via",
    XEnvoyAttemptCount = b"x-envoy-attempt-count",
    XEnvoyExpectedRqTimeoutMs = b"x-envoy-expected-rq-timeout-ms",
    XEnvoyExternalAddress = b"x-envoy-external-address",
    XEnvoyInternal = b"x-envoy-internal",
    XEnvoyOriginalPath = b"x-envoy-original-path",
    XEnvoyUpstreamServiceTime = b"x-envoy-upstream-service-time",
    XForwardedFor = b"x-forwarded-for",
    XForwardedHost = b"x-forwarded-host",
    XForwardedPort = b"x-forwarded-port",
    XForwardedProto = b"x-forwarded-proto",
    XRealIp = b"x-real-ip",
    XRequestId = b"x-request-id",
}

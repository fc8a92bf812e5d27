//! Every way in which a message can break a rule, with the label that its counter carries.

/// Declares refusals: variant, label, and in the doc the rules it stands for.
macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)*) => {
        /// Why a message was refused. The label is a bounded set: it never holds bytes of the peer.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        impl Refusal {
            /// All refusals in the order of their discriminants.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Label of the counter `penstock_protocol_errors_total{reason}`.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

refusals! {
    /// L01: bare CR or LF.
    LineEnd = "line_end",
    /// L07: more than one empty line before the request line.
    EmptyLines = "empty_lines",
    /// T01: request line malformed.
    RequestLine = "request_line",
    /// R01: status line malformed.
    StatusLine = "status_line",
    /// T02: method malformed or too long.
    Method = "method",
    /// T03: HTTP/0.9.
    NoVersion = "no_version",
    /// T03: version unknown.
    Version = "version",
    /// T03: HTTP/1.0 while `accept_http_10` is off.
    Http10 = "http10",
    /// T04, N01, N02: target malformed.
    Target = "target",
    /// T04: target too long.
    TargetLength = "target_length",
    /// T05, T06: form of the target does not fit the method, or disagrees with Host.
    TargetForm = "target_form",
    /// T07: Host missing, repeated or malformed.
    Host = "host",
    /// N02: escaped slash where they are rejected.
    EscapedSlash = "escaped_slash",
    /// L04, L05: field line malformed.
    FieldName = "field_name",
    /// L02: control byte in a value.
    FieldValue = "field_value",
    /// D04: pseudo-header unknown, repeated, missing, late or of another kind of message.
    PseudoHeader = "pseudo_header",
    /// D03: a field that concerns an HTTP/1 connection, in HTTP/2.
    ConnectionField = "connection_field",
    /// L06: underscore in a name where they are rejected.
    Underscore = "underscore",
    /// L08: head too large.
    HeadBytes = "head_bytes",
    /// L08: too many fields.
    HeadFields = "head_fields",
    /// F02-F04: Content-Length malformed or repeated.
    ContentLength = "content_length",
    /// F01: Content-Length beside Transfer-Encoding.
    LengthAndCoding = "length_and_coding",
    /// F06, F07: Transfer-Encoding malformed.
    TransferEncoding = "transfer_encoding",
    /// F06: one well-formed coding that is not served.
    TransferCoding = "transfer_coding",
    /// F08, F09, F11: chunk malformed.
    Chunk = "chunk",
    /// F10: chunk extension malformed or too long.
    ChunkExtension = "chunk_extension",
    /// F12: trailers malformed or too large.
    Trailers = "trailers",
    /// F15: body where none may be.
    Body = "body",
    /// C07: Expect other than 100-continue.
    Expect = "expect",
    /// C09: Upgrade that is not allowed.
    Upgrade = "upgrade",
    /// R07: too many interim responses.
    Interim = "interim",
    /// C10: 101 that nobody asked for.
    SwitchingProtocols = "switching_protocols",
    /// F16, R06: the connection ended before the message.
    Truncated = "truncated",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_discriminant_order() {
        for (index, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(*refusal as usize, index);
        }
    }
}

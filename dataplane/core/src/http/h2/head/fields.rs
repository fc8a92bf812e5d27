//! Fields of a block as they are decoded: counted, judged, and put where they belong.

use super::{Block, Kind};
use crate::http::h1::Underscores;
use crate::http::h2::hpack::{self, Decoded, Name, Pseudo, Sink};
use crate::http::{HeaderId, Refusal, Span};
use crate::limits;

impl Sink for Block {
    fn arena(&mut self) -> &mut Vec<u8> {
        self.head.fields.arena_mut()
    }

    fn wants_text(&self) -> bool {
        self.seen.refusal.is_none() && self.seen.kind != Some(Kind::Nothing)
    }

    fn field(&mut self, field: Decoded) -> Result<(), hpack::Error> {
        let wanted = self.wants_text();
        self.seen.fields += 1;
        self.seen.bytes += field.name_len + field.value_len + hpack::ENTRY_OVERHEAD;
        if self.seen.bytes > limits::H2_REFUSED_BYTES_MAX.max(self.seen.bytes_max)
            || self.seen.fields > limits::H2_REFUSED_FIELDS_MAX
        {
            return Err(hpack::Error::Ceiling);
        }
        if wanted && let Err(refusal) = self.accept(field) {
            self.seen.refusal = Some(refusal);
        }
        Ok(())
    }
}

impl Block {
    /// B05: counted before anything is done with it.
    fn accept(&mut self, field: Decoded) -> Result<(), Refusal> {
        if self.seen.bytes > self.seen.bytes_max {
            return Err(self.too_large(Refusal::HeadBytes));
        }
        if self.seen.fields > self.seen.fields_max {
            return Err(self.too_large(Refusal::HeadFields));
        }
        if !field.value_is_good {
            return Err(Refusal::FieldValue);
        }
        let start = self.head.fields.text_len() - field.name_len - field.value_len;
        let name = self.head.fields.span(start, field.name_len);
        let value = self
            .head
            .fields
            .span(start + field.name_len, field.value_len);
        match field.class {
            Name::Regular(id) => self.accept_regular(id, name, value, field.never_indexed),
            Name::Pseudo(pseudo) => self.accept_pseudo(pseudo, value),
            Name::Malformed => Err(Refusal::FieldName),
        }
    }

    fn too_large(&self, refusal: Refusal) -> Refusal {
        match self.seen.kind {
            Some(Kind::Trailers) => Refusal::Trailers,
            _ => refusal,
        }
    }

    /// D04: before all regular fields, each once, and only those of this kind of message.
    fn accept_pseudo(&mut self, pseudo: Pseudo, value: Span) -> Result<(), Refusal> {
        let of_response = pseudo == Pseudo::Status;
        let fits = match self.seen.kind {
            Some(Kind::Request) => !of_response,
            Some(Kind::Response) => of_response,
            _ => false,
        };
        let place = self.seen.pseudos.get_mut(pseudo as usize);
        match place {
            Some(place @ None) if fits && !self.seen.regular => *place = Some(value),
            _ => return Err(Refusal::PseudoHeader),
        }
        Ok(())
    }

    fn accept_regular(
        &mut self,
        id: HeaderId,
        name: Span,
        value: Span,
        never_indexed: bool,
    ) -> Result<(), Refusal> {
        self.seen.regular = true;
        if self.seen.kind != Some(Kind::Trailers) && !self.keeps(id, name, value)? {
            return Ok(());
        }
        if self.seen.kind == Some(Kind::Trailers) {
            self.refuse_connection_field(id, value)?;
        }
        self.head
            .fields
            .push_received(id, name, value, never_indexed);
        Ok(())
    }

    /// False for a field that becomes part of the model elsewhere, or is dropped.
    fn keeps(&mut self, id: HeaderId, name: Span, value: Span) -> Result<bool, Refusal> {
        let fields = &self.head.fields;
        let text = fields.text(value);
        let is_request = self.seen.kind == Some(Kind::Request);
        match id {
            HeaderId::Other => {
                return keeps_underscores(fields.text(name), self.seen.underscores, is_request);
            }
            HeaderId::Host if is_request => {
                if self.seen.host.replace(value).is_some() {
                    return Err(Refusal::Host);
                }
                return Ok(false);
            }
            // Means nothing in a response.
            HeaderId::Host | HeaderId::Http2Settings => return Ok(false),
            HeaderId::ContentLength => {
                match is_request {
                    true => self.seen.length.length_once(text),
                    false => self.seen.length.length_folded(text),
                }
                return Ok(false);
            }
            HeaderId::Cookie => self.seen.cookies += 1,
            HeaderId::Expect => {
                self.seen.expects += 1;
                self.seen.expect_known = text.eq_ignore_ascii_case(b"100-continue");
            }
            _ => self.refuse_connection_field(id, value)?,
        }
        Ok(true)
    }

    /// D03, RFC 9113 section 8.2.2.
    fn refuse_connection_field(&self, id: HeaderId, value: Span) -> Result<(), Refusal> {
        let text = self.head.fields.text(value);
        match id {
            HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection
            | HeaderId::TransferEncoding
            | HeaderId::Upgrade => Err(Refusal::ConnectionField),
            HeaderId::Te if !text.eq_ignore_ascii_case(b"trailers") => {
                Err(Refusal::ConnectionField)
            }
            _ => Ok(()),
        }
    }
}

/// L06.
fn keeps_underscores(name: &[u8], action: Underscores, is_request: bool) -> Result<bool, Refusal> {
    if action == Underscores::Allow || !is_request || !name.contains(&b'_') {
        return Ok(true);
    }
    match action {
        Underscores::Reject => Err(Refusal::Underscore),
        Underscores::Allow | Underscores::Drop => Ok(false),
    }
}

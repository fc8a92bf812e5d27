//! The simulator's own HTTP/1 reader: slow, strict, and sharing nothing with the core's. What the
//! machine sends must satisfy it to the byte.

use super::{FieldPair, Framing};

/// A piece of a message.
#[derive(Debug)]
pub enum Part {
    /// The head; the reader now waits for [`Reader::frame`].
    Head(Head),
    /// Body bytes.
    Data(Vec<u8>),
    /// The message is complete; its trailers.
    End(Vec<FieldPair>),
}

/// Start line and fields; names in lower case.
#[derive(Clone, Debug)]
pub struct Head {
    /// The three parts of the start line.
    pub start: [String; 3],
    /// Fields in order.
    pub fields: Vec<FieldPair>,
}

/// Reads the messages of one direction.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    at: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Head,
    Framing,
    NoBody,
    Length(u64),
    ToClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Tunnel,
}

/// What the end of the stream means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// Between two messages.
    Clean,
    /// It completed a body that lasts until the end.
    Complete,
    /// In the middle of a message.
    Truncated,
}

impl Reader {
    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next piece, `None` if bytes are missing, or what is wrong.
    pub fn poll_part(&mut self) -> Result<Option<Part>, String> {
        loop {
            match self.stage {
                Stage::Head => return self.head(),
                Stage::Framing => return Ok(None),
                Stage::NoBody | Stage::Length(0) => return Ok(Some(self.end(Vec::new()))),
                Stage::Length(left) => return Ok(self.data(left, Stage::Length)),
                Stage::ToClose | Stage::Tunnel => return Ok(self.rest()),
                Stage::ChunkSize => match self.line()? {
                    Some(line) => self.stage = chunk_size(&line)?,
                    None => return Ok(None),
                },
                Stage::ChunkData(0) => self.stage = Stage::ChunkEnd,
                Stage::ChunkData(left) => return Ok(self.data(left, Stage::ChunkData)),
                Stage::ChunkEnd => match self.line()? {
                    Some(line) if line.is_empty() => self.stage = Stage::ChunkSize,
                    Some(line) => return Err(format!("bytes behind a chunk: {line:?}")),
                    None => return Ok(None),
                },
                Stage::Trailers => return self.trailers(),
            }
        }
    }

    /// Says how the body behind the head is delimited.
    pub fn frame(&mut self, framing: Framing, length: u64) {
        self.stage = match framing {
            Framing::None => Stage::NoBody,
            Framing::Length => Stage::Length(length),
            Framing::Chunked => Stage::ChunkSize,
            Framing::ToClose => Stage::ToClose,
        };
    }

    /// The head was interim: another head follows.
    pub fn expect_head(&mut self) {
        self.stage = Stage::Head;
    }

    /// Everything from here on is tunnel.
    pub fn tunnel(&mut self) {
        self.stage = Stage::Tunnel;
    }

    /// The stream ended.
    pub fn finish(&self) -> Finish {
        match self.stage {
            Stage::Head if self.at == self.bytes.len() => Finish::Clean,
            Stage::ToClose | Stage::Tunnel => Finish::Complete,
            _ => Finish::Truncated,
        }
    }

    /// Bytes that are not read yet.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn end(&mut self, trailers: Vec<FieldPair>) -> Part {
        self.stage = Stage::Head;
        Part::End(trailers)
    }

    fn data(&mut self, left: u64, stage: fn(u64) -> Stage) -> Option<Part> {
        let ready = (self.bytes.len() - self.at) as u64;
        let count = ready.min(left);
        if count == 0 {
            return None;
        }
        self.stage = stage(left - count);
        Some(Part::Data(self.take(count as usize)))
    }

    fn rest(&mut self) -> Option<Part> {
        let count = self.bytes.len() - self.at;
        (count > 0).then(|| Part::Data(self.take(count)))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.bytes[self.at..self.at + count].to_vec();
        self.at += count;
        bytes
    }

    fn head(&mut self) -> Result<Option<Part>, String> {
        let Some(lines) = self.block()? else {
            return Ok(None);
        };
        let (start, fields) = lines.split_first().ok_or("empty head")?;
        let head = Head {
            start: start_line(start)?,
            fields: parse_fields(fields)?,
        };
        self.stage = Stage::Framing;
        Ok(Some(Part::Head(head)))
    }

    fn trailers(&mut self) -> Result<Option<Part>, String> {
        match self.block()? {
            Some(lines) => {
                let trailers = parse_fields(&lines)?;
                Ok(Some(self.end(trailers)))
            }
            None => Ok(None),
        }
    }

    /// Lines up to an empty one, which is consumed; `None` (and nothing consumed) if it is not
    /// there yet.
    fn block(&mut self) -> Result<Option<Vec<String>>, String> {
        let start = self.at;
        let mut lines = Vec::new();
        loop {
            match self.line()? {
                Some(line) if line.is_empty() => return Ok(Some(lines)),
                Some(line) => lines.push(line),
                None => {
                    self.at = start;
                    return Ok(None);
                }
            }
        }
    }

    /// One line without its CRLF.
    fn line(&mut self) -> Result<Option<String>, String> {
        let ready = &self.bytes[self.at..];
        let Some(end) = ready.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = ready[..end]
            .strip_suffix(b"\r")
            .ok_or_else(|| format!("line ends in a bare LF: {}", ready[..end].escape_ascii()))?;
        if line
            .iter()
            .any(|&byte| byte < 0x20 && byte != b'\t' || byte == 0x7f)
        {
            return Err(format!("control byte in a line: {}", line.escape_ascii()));
        }
        let text = line.iter().map(|&byte| char::from(byte)).collect();
        self.at += end + 1;
        Ok(Some(text))
    }
}

fn chunk_size(line: &str) -> Result<Stage, String> {
    let bad = || format!("chunk size {line:?}");
    if line.is_empty() || line.len() > 16 || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad()); // the machine drops extensions, so none may be seen
    }
    match u64::from_str_radix(line, 16).map_err(|_| bad())? {
        0 => Ok(Stage::Trailers),
        size => Ok(Stage::ChunkData(size)),
    }
}

fn start_line(line: &str) -> Result<[String; 3], String> {
    let mut parts = line.splitn(3, ' ');
    let mut part = || {
        parts
            .next()
            .map(str::to_owned)
            .ok_or_else(|| format!("start line {line:?}"))
    };
    Ok([part()?, part()?, part()?])
}

fn parse_fields(lines: &[String]) -> Result<Vec<FieldPair>, String> {
    lines.iter().map(|line| parse_field(line)).collect()
}

fn parse_field(line: &str) -> Result<FieldPair, String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("field without colon: {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("field name {name:?}"));
    }
    let value = value.trim_matches([' ', '\t']);
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

impl Head {
    /// Values of a field, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The only value of a field; an error if it is repeated.
    pub fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, String> {
        let mut values = self.values(name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(format!("field {name} is repeated")),
            None => Ok(first),
        }
    }

    /// The request number that the head carries.
    pub fn sim_id(&self) -> Result<Option<u32>, String> {
        match self.one("x-sim-id")? {
            Some(text) => Ok(Some(
                text.parse().map_err(|_| format!("x-sim-id {text:?}"))?,
            )),
            None => Ok(None),
        }
    }

    /// True if Connection names the option.
    pub fn connection_has(&self, option: &str) -> bool {
        self.values("connection")
            .flat_map(|value| value.split(','))
            .any(|name| name.trim().eq_ignore_ascii_case(option))
    }

    /// Framing that the fields declare, and the length; an error if it is ambiguous.
    pub fn framing(&self) -> Result<(Framing, u64), String> {
        match (self.one("content-length")?, self.one("transfer-encoding")?) {
            (Some(_), Some(_)) => Err("content-length beside transfer-encoding".into()),
            (Some(text), None) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                let length = text
                    .parse()
                    .map_err(|_| format!("content-length {text:?}"))?;
                Ok((Framing::Length, length))
            }
            (Some(text), None) => Err(format!("content-length {text:?}")),
            (None, Some("chunked")) => Ok((Framing::Chunked, 0)),
            (None, Some(text)) => Err(format!("transfer-encoding {text:?}")),
            (None, None) => Ok((Framing::None, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(
        bytes: &[u8],
        framing: Framing,
        length: u64,
    ) -> Result<(Vec<u8>, Vec<FieldPair>), String> {
        let mut reader = Reader::default();
        let mut body = Vec::new();
        for byte in bytes.chunks(1) {
            reader.push(byte);
            while let Some(part) = reader.poll_part()? {
                match part {
                    Part::Head(_) => reader.frame(framing, length),
                    Part::Data(data) => body.extend(data),
                    Part::End(trailers) => return Ok((body, trailers)),
                }
            }
        }
        Err(format!("{:?}", reader.finish()))
    }

    #[test]
    fn reads_byte_by_byte() {
        let chunked = b"GET / HTTP/1.1\r\na: b\r\n\r\n3\r\nabc\r\n0\r\nt: u\r\n\r\n";
        let (body, trailers) = parts(chunked, Framing::Chunked, 0).unwrap();
        assert_eq!(body, b"abc");
        assert_eq!(trailers, [("t".to_owned(), "u".to_owned())]);
        let plain = b"HTTP/1.1 200 OK\r\n\r\nabcde";
        assert_eq!(parts(plain, Framing::Length, 5).unwrap().0, b"abcde");
        assert!(
            parts(plain, Framing::Length, 6)
                .unwrap_err()
                .contains("Truncated")
        );
    }

    #[test]
    fn refuses_what_a_gateway_must_not_send() {
        for head in [
            "GET / HTTP/1.1\n\r\n",
            "GET / HTTP/1.1\r\na b: c\r\n\r\n",
            "x\r\n\r\n",
        ] {
            assert!(
                parts(head.as_bytes(), Framing::None, 0).is_err(),
                "{head:?}"
            );
        }
        let extension = b"GET / HTTP/1.1\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n";
        assert!(parts(extension, Framing::Chunked, 0).is_err());
    }
}

//! Finds the end of a head while it arrives and refuses early what can never become one.
//!
//! It looks at every byte once, whatever the pieces, and decides in the order of the bytes: the
//! same bytes give the same verdict however they were split. It does not know what a field means;
//! that is `decode`'s part, which relies on the line ends checked here (L01).

use super::request_line;
use crate::http::Refusal;
use crate::limits;

/// Ceilings of one head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Bytes up to and with the empty line.
    pub bytes_max: usize,
    /// Field lines.
    pub fields_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes_max: limits::HEAD_BYTES_MAX,
            fields_max: limits::HEAD_FIELDS_MAX,
        }
    }
}

/// Incremental search for the end of one head. The default one is for requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeadScanner {
    kind: Kind,
    /// Everything before this is examined.
    looked: u32,
    /// Where the line at hand starts.
    line_start: u32,
    /// Lines that are complete, without the skipped empty one.
    lines: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Kind {
    #[default]
    Request,
    Response,
    /// Field lines only.
    Trailers,
}

impl HeadScanner {
    /// For a request; one empty line in front is part of the head and skipped (L07).
    pub const fn request() -> Self {
        Self::new(Kind::Request)
    }

    /// For a response.
    pub const fn response() -> Self {
        Self::new(Kind::Response)
    }

    /// For a trailer section, which starts behind the line of the last chunk.
    pub(super) const fn trailers() -> Self {
        Self::new(Kind::Trailers)
    }

    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            looked: 0,
            line_start: 0,
            lines: 0,
        }
    }

    /// Looks at what is new in `bytes`, which is everything of this head so far and may go on
    /// behind it. Returns the length of the head with its empty line, or `None` while it is
    /// incomplete.
    ///
    /// # Errors
    /// L01, L02, L07, L08, T01-T03 as soon as the bytes decide them. The scanner is of no use
    /// afterwards.
    pub fn scan(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Refusal> {
        let window = &bytes[..bytes.len().min(limits.bytes_max).min(u32::MAX as usize)];
        self.check_start(window)?;
        let mut at = self.looked as usize;
        loop {
            at = next_control(window, at);
            self.check_first_line_length(window, at)?;
            match window.get(at..) {
                None | Some([]) | Some([b'\r']) => break,
                Some([b'\r', b'\n', ..]) => {
                    if self.end_line(&window[self.line_start as usize..at], limits)? {
                        return Ok(Some(at + 2));
                    }
                    at += 2;
                    self.line_start = at as u32;
                }
                Some([b'\t', ..]) => at += 1,
                Some([b'\r' | b'\n', ..]) => return Err(Refusal::LineEnd),
                Some(_) => return Err(self.control_refusal()),
            }
        }
        self.looked = at as u32;
        if window.len() == limits.bytes_max {
            return Err(Refusal::HeadBytes);
        }
        Ok(None)
    }

    /// A response that does not even start like one is not waited for.
    fn check_start(&self, window: &[u8]) -> Result<(), Refusal> {
        const START: &[u8] = b"HTTP/1.";
        if self.kind != Kind::Response || self.looked as usize >= START.len() {
            return Ok(());
        }
        let len = window.len().min(START.len());
        if window[..len] == START[..len] {
            Ok(())
        } else {
            Err(Refusal::StatusLine)
        }
    }

    /// T02, T04: a request line that is too long is refused before its end arrives.
    fn check_first_line_length(&self, window: &[u8], at: usize) -> Result<(), Refusal> {
        let start = self.line_start as usize;
        if self.kind == Kind::Request
            && self.lines == 0
            && at - start > limits::REQUEST_LINE_BYTES_MAX
        {
            return Err(request_line::too_long(&window[start..at]));
        }
        Ok(())
    }

    /// Takes note of a complete line; true if it is the empty one at the end.
    fn end_line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        if line.is_empty() {
            return self.end_empty_line();
        }
        self.lines += 1;
        match self.kind {
            Kind::Request if self.lines == 1 => request_line::check_version(line)?,
            Kind::Response if self.lines == 1 => {}
            Kind::Trailers if self.lines as usize > limits.fields_max => {
                return Err(Refusal::HeadFields);
            }
            _ if self.lines as usize > limits.fields_max.saturating_add(1) => {
                return Err(Refusal::HeadFields);
            }
            _ => {}
        }
        Ok(false)
    }

    fn end_empty_line(&self) -> Result<bool, Refusal> {
        match (self.kind, self.lines, self.line_start) {
            (Kind::Request, 0, 0) => Ok(false),
            (Kind::Request, 0, _) => Err(Refusal::EmptyLines),
            _ => Ok(true),
        }
    }

    fn control_refusal(&self) -> Refusal {
        match (self.kind, self.lines) {
            (Kind::Request, 0) => Refusal::RequestLine,
            (Kind::Response, 0) => Refusal::StatusLine,
            _ => Refusal::FieldValue,
        }
    }
}

/// Index of the first byte below 0x20 from `at` on, or the length. Eight bytes per step.
#[inline]
fn next_control(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        // The lowest set top bit marks the first byte below 0x20; borrows only disturb bits above
        // it.
        let found = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte >= 0x20) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds byte by byte; the verdict and how many bytes it took.
    fn check(scanner: HeadScanner, bytes: &str, expect: Result<usize, Refusal>, taken: usize) {
        let mut scanner = scanner;
        for end in 1..=bytes.len() {
            match scanner.scan(&bytes.as_bytes()[..end], &HeadLimits::default()) {
                Ok(None) => {}
                verdict => {
                    let verdict = verdict.map(|len| len.unwrap_or(0));
                    assert_eq!((verdict, end), (expect, taken), "{bytes:?}");
                    return;
                }
            }
        }
        panic!("no verdict on {bytes:?}");
    }

    #[test]
    fn heads_end_at_the_empty_line() {
        let request = "GET / HTTP/1.1\r\nA: 1\r\n\r\n";
        check(HeadScanner::request(), request, Ok(24), 24);
        check(
            HeadScanner::request(),
            &format!("\r\n{request}"),
            Ok(26),
            26,
        );
        check(
            HeadScanner::response(),
            "HTTP/1.1 200 OK\r\n\r\n",
            Ok(19),
            19,
        );
        check(HeadScanner::trailers(), "A: 1\r\nB:\t2\r\n\r\n", Ok(14), 14);
        let mut scanner = HeadScanner::request();
        let more = format!("{request}GET /");
        assert_eq!(
            scanner.scan(more.as_bytes(), &HeadLimits::default()),
            Ok(Some(24))
        );
    }

    #[test]
    fn faults_are_found_at_once() {
        let request = HeadScanner::request();
        check(request, "GET /\r\nX", Err(Refusal::NoVersion), 7);
        check(request, "GET / HTTP/3.0\r\nX", Err(Refusal::Version), 16);
        check(request, "GET / HTTP/1.1\nX", Err(Refusal::LineEnd), 15);
        check(request, "GET / HTTP/1.1\rX", Err(Refusal::LineEnd), 16);
        check(
            request,
            "GET / HTTP/1.1\r\nA: \0",
            Err(Refusal::FieldValue),
            20,
        );
        check(request, "\x16\x03", Err(Refusal::RequestLine), 1);
        check(request, "\r\n\r\nG", Err(Refusal::EmptyLines), 4);
        check(
            HeadScanner::response(),
            "HTTP/2 200",
            Err(Refusal::StatusLine),
            6,
        );
        check(HeadScanner::response(), "\r\n", Err(Refusal::StatusLine), 1);
    }

    #[test]
    fn l08_ceilings_are_exact() {
        let limits = HeadLimits {
            bytes_max: 32,
            fields_max: 2,
        };
        let scan = |bytes: &str| HeadScanner::request().scan(bytes.as_bytes(), &limits);
        assert_eq!(scan("GET / HTTP/1.1\r\nA:\r\nB:\r\n\r\n"), Ok(Some(26)));
        assert_eq!(
            scan("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n"),
            Err(Refusal::HeadFields)
        );
        let head = |len: usize| format!("GET / HTTP/1.1\r\nA:{}\r\n\r\n", "1".repeat(len - 22));
        assert_eq!(scan(&head(32)), Ok(Some(32)));
        assert_eq!(scan(&head(33)), Err(Refusal::HeadBytes));
        assert_eq!(scan(&head(33)[..32]), Err(Refusal::HeadBytes));
        assert_eq!(scan(&head(33)[..31]), Ok(None));
    }

    #[test]
    fn control_bytes_are_found_at_every_place() {
        for len in 0..40 {
            for at in 0..len {
                let mut bytes = vec![b' '; len];
                bytes[at] = 0x1f;
                if at + 1 < len {
                    bytes[at + 1] = 0x80;
                }
                assert_eq!(next_control(&bytes, 0), at);
                assert_eq!(next_control(&bytes, at + 1), len);
            }
        }
    }
}

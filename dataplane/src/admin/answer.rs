//! What goes back: a status, a type, and a body that is whole or made piece by piece.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::journal::Entry;

/// Bytes that are collected before they leave, where a body comes in pieces.
const PIECE: usize = 32 * 1024;

pub(super) const TEXT: &str = "text/plain; charset=UTF-8";
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=UTF-8";
pub(super) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes a body while it is sent.
pub(super) type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    kind: &'static str,
    body: AnswerBody,
}

impl Answer {
    /// 200 with text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::whole(StatusCode::OK, TEXT, text.into())
    }

    /// 200 with a JSON document.
    pub(super) fn json(document: &serde_json::Value) -> Self {
        Self::whole(StatusCode::OK, JSON, format!("{document:#}\n"))
    }

    /// Another status, with a line of text that says why and what to do.
    pub(super) fn refused(status: StatusCode, why: impl Into<String>) -> Self {
        Self::whole(status, TEXT, format!("{}\n", why.into()))
    }

    /// A body that is there.
    pub(super) fn whole(status: StatusCode, kind: &'static str, body: String) -> Self {
        let body = AnswerBody::new(Source::Whole(Some(body.into())));
        Self { status, kind, body }
    }

    /// 200 with a body that is made while it is sent.
    pub(super) fn pieces(kind: &'static str, pieces: Pieces) -> Self {
        let body = AnswerBody::new(Source::Pieces {
            pieces,
            paused: false,
        });
        Self {
            status: StatusCode::OK,
            kind,
            body,
        }
    }

    /// The response; nothing of it may be cached, framed or sniffed.
    pub(super) fn into_response(self) -> Response<AnswerBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                 frame-ancestors 'none'",
            ),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// Adds `Allow`.
    pub(super) fn method_refused(allowed: &'static str, why: &str) -> Response<AnswerBody> {
        let refused = Self::refused(StatusCode::METHOD_NOT_ALLOWED, why);
        let mut response = refused.into_response();
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(allowed));
        response
    }
}

/// Body of an [`Answer`].
pub(super) struct AnswerBody {
    source: Source,
    /// Ends with the body.
    entry: Option<Entry>,
}

enum Source {
    Whole(Option<Bytes>),
    Pieces { pieces: Pieces, paused: bool },
}

impl AnswerBody {
    fn new(source: Source) -> Self {
        Self {
            source,
            entry: None,
        }
    }

    /// The body belongs to this entry of the access log.
    pub(super) fn log_to(&mut self, entry: Entry) {
        self.entry = Some(entry);
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.source {
            Source::Whole(_) => "Whole",
            Source::Pieces { .. } => "Pieces",
        })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut self.source {
            Source::Whole(body) => body.take().filter(|body| !body.is_empty()),
            Source::Pieces { pieces, paused } => {
                // A client that reads fast must not keep the thread from all others.
                *paused = !*paused;
                if !*paused {
                    task.waker().wake_by_ref();
                    return Poll::Pending;
                }
                collect(pieces)
            }
        };
        if let (Some(entry), Some(piece)) = (&mut self.entry, &piece) {
            entry.sent(piece.len());
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, length)),
            Source::Pieces { .. } => SizeHint::default(),
        }
    }
}

fn length(body: &Bytes) -> u64 {
    body.len() as u64
}

fn collect(pieces: &mut Pieces) -> Option<Bytes> {
    let mut collected = Vec::new();
    while collected.len() < PIECE {
        match pieces.next() {
            Some(piece) => collected.extend_from_slice(&piece),
            None if collected.is_empty() => return None,
            None => break,
        }
    }
    Some(collected.into())
}

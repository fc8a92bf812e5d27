//! One end of a tunnel: a pattern goes out, the other end's pattern comes in, both end by FIN.

use crate::message::{Half, RequestId, body_bytes, mismatch};
use crate::net::{Ending, LinkId, Net};

/// One end.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    id: RequestId,
    half: Half,
    expected: u64,
    received: u64,
    end_seen: bool,
}

impl Tunnel {
    /// Sends `count` bytes from `offset` on, and FIN behind them if this end finishes first.
    pub fn start(
        net: &mut Net,
        link: LinkId,
        (id, half): (RequestId, Half),
        sending: (u64, u64),
        expected: u64,
        ends_first: bool,
    ) -> Self {
        let (offset, total) = sending;
        net.write(link, &body_bytes(id, half, offset, total - offset));
        if ends_first {
            net.end(link, Ending::Finish);
        }
        Self {
            id,
            half,
            expected,
            received: 0,
            end_seen: false,
        }
    }

    /// Bytes of the other end.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        let other = match self.half {
            Half::Request => Half::Response,
            Half::Response => Half::Request,
        };
        if let Some(at) = mismatch(self.id, other, self.received, bytes) {
            return Err(format!(
                "tunnel {}: wrong byte at {at} of the {other:?} side",
                self.id
            ));
        }
        self.received += bytes.len() as u64;
        if self.received > self.expected {
            return Err(format!("tunnel {}: more bytes than were sent", self.id));
        }
        Ok(())
    }

    /// The other end finished: close behind what is still to be sent. True if all its bytes came.
    pub fn end(&mut self, net: &mut Net, link: LinkId) -> bool {
        self.end_seen = true;
        net.end(link, Ending::Close);
        self.is_whole()
    }

    /// All bytes of the other end came.
    pub fn is_whole(&self) -> bool {
        self.received == self.expected
    }

    /// What came and what was expected, for a person.
    pub fn progress(&self) -> String {
        format!(
            "tunnel {}: {} of {} bytes",
            self.id, self.received, self.expected
        )
    }
}

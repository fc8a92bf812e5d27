//! What a caller may ask of a connection at any time, and its memory.

use super::Connection;
use crate::event::Time;
use crate::http::h2::head::Block;
use crate::http::h2::{Announced, StreamId};

impl Connection {
    /// Sets the caller's own mark on a stream, for [`Connection::mark`] to find.
    pub fn set_mark(&mut self, stream: StreamId, mark: u64) {
        if let Some(stream) = self.streams.find(stream.0) {
            stream.mark = mark;
        }
    }

    /// The caller's mark on a stream; `None` if the stream is forgotten.
    pub fn mark(&self, stream: StreamId) -> Option<u64> {
        self.streams.look(stream.0).map(|stream| stream.mark)
    }

    /// Bytes that wait in the output. While the other side does not read, no more should be
    /// received: at some point the connection is given up (B08, B09).
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// What the other side announced.
    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    /// Since when our settings wait to be acknowledged.
    pub fn settings_unacknowledged_since(&self) -> Option<Time> {
        (self.settings_sent != Time::NEVER).then_some(self.settings_sent)
    }

    /// Since when a field block waits for its end (B04: the head's timeout runs until then).
    pub fn is_inside_block(&self) -> bool {
        self.open_block.is_some()
    }

    /// Streams that the caller did not forget.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.ids()
    }

    /// Number of streams that the caller did not forget.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Streams above `last`: after GOAWAY they were not served and may be tried elsewhere.
    pub fn above(&self, last: StreamId) -> impl Iterator<Item = StreamId> {
        self.streams.ids().filter(move |id| *id > last)
    }

    /// The stream that waits longest for a window (B14), and since when.
    pub fn stalled(&self) -> Option<(StreamId, Time)> {
        self.streams
            .iter()
            .filter(|stream| stream.waits_since != Time::NEVER && stream.state.sends())
            .min_by_key(|stream| stream.waits_since)
            .map(|stream| (StreamId(stream.id), stream.waits_since))
    }

    /// Gives back memory that an idle connection does not need. Worth a call when no stream has
    /// been open for a while; what is held is allocated again on need.
    pub fn release(&mut self) {
        self.streams.shrink();
        self.decoder.shrink();
        self.encoder.release();
        self.reader.shrink();
        if self.open_block.is_none() {
            self.block = None;
            self.carry = Vec::new();
        }
        self.output.shrink_to_fit();
        self.writable.shrink_to_fit();
    }

    /// Bytes of memory held, without the connection itself.
    pub fn memory(&self) -> usize {
        let block = self.block.as_ref();
        let lists = self.carry.capacity() + self.output.capacity() + 4 * self.writable.capacity();
        self.streams.memory()
            + self.decoder.memory()
            + self.encoder.memory()
            + self.reader.memory()
            + block.map_or(0, |block| size_of::<Block>() + block.memory())
            + lists
    }
}

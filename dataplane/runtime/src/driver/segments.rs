//! Send queues: lists of segments in one slab per driver, so that an idle connection owns eight
//! bytes.

use penstock_core::buffer::Buffer;

const NONE: u32 = u32::MAX;

/// The segments that one connection has yet to send. Empty it before it is dropped.
#[derive(Debug)]
pub(super) struct Queue {
    head: u32,
    tail: u32,
}

impl Queue {
    pub(super) const EMPTY: Queue = Queue {
        head: NONE,
        tail: NONE,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

struct Node {
    /// Absent while it is lent to the kernel, and in free nodes.
    buffer: Option<Buffer>,
    /// Length of the segment when it was queued.
    bytes: u32,
    next: u32,
}

/// The slab.
#[derive(Default)]
pub(super) struct Segments {
    nodes: Vec<Node>,
    free: Vec<u32>,
}

impl Segments {
    /// Queues a segment behind the others.
    pub(super) fn push(&mut self, queue: &mut Queue, buffer: Buffer) {
        let bytes = buffer.len() as u32;
        let node = self.place(Node {
            buffer: Some(buffer),
            bytes,
            next: NONE,
        });
        match queue.tail {
            NONE => queue.head = node,
            tail => self.nodes[tail as usize].next = node,
        }
        queue.tail = node;
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            return index;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    /// The unsent bytes in order; lent segments are left out.
    pub(super) fn iter(&self, queue: &Queue) -> impl Iterator<Item = &[u8]> {
        let start = (queue.head != NONE).then_some(queue.head);
        std::iter::successors(start, |&index| {
            Some(self.nodes[index as usize].next).filter(|&next| next != NONE)
        })
        .filter_map(|index| {
            self.nodes[index as usize]
                .buffer
                .as_ref()
                .map(Buffer::as_slice)
        })
    }

    /// Lends the first segments to the kernel, as long as `take` accepts them. What is lent comes
    /// back by [`Segments::restore`], or to the pool if the queue was cleared meanwhile.
    pub(super) fn lend(
        &mut self,
        queue: &Queue,
        mut take: impl FnMut(Buffer) -> Result<(), Buffer>,
    ) {
        let mut index = queue.head;
        while let Some(node) = self.nodes.get_mut(index as usize) {
            let Some(buffer) = node.buffer.take() else {
                return;
            };
            if let Err(buffer) = take(buffer) {
                node.buffer = Some(buffer);
                return;
            }
            index = node.next;
        }
    }

    /// True if nothing in the queue is left to lend.
    pub(super) fn all_lent(&self, queue: &Queue) -> bool {
        let last = self.nodes.get(queue.tail as usize);
        last.is_none_or(|node| node.buffer.is_none())
    }

    /// Puts lent segments back, in the order in which they were lent.
    pub(super) fn restore(&mut self, queue: &Queue, buffers: impl Iterator<Item = Buffer>) {
        let mut index = queue.head;
        for buffer in buffers {
            let Some(node) = self.nodes.get_mut(index as usize) else {
                debug_assert!(false, "more segments came back than were lent");
                return;
            };
            node.buffer = Some(buffer);
            index = node.next;
        }
    }

    /// Takes `sent` bytes off the front; `done` gets every segment that is now complete (an empty
    /// one is complete when it stands in front).
    pub(super) fn consume(
        &mut self,
        queue: &mut Queue,
        mut sent: usize,
        mut done: impl FnMut(Buffer, u32),
    ) {
        while let Some(left) = self.front_len(queue) {
            if left > sent {
                self.advance_front(queue, sent);
                return;
            }
            sent -= left;
            if let Some((buffer, bytes)) = self.pop(queue) {
                done(buffer, bytes);
            }
        }
        debug_assert_eq!(sent, 0, "more bytes were sent than were queued");
    }

    /// Drops everything; `back` gets the buffers.
    pub(super) fn clear(&mut self, queue: &mut Queue, mut back: impl FnMut(Buffer)) {
        while !queue.is_empty() {
            if let Some((buffer, _)) = self.pop(queue) {
                back(buffer);
            }
        }
    }

    fn front_len(&self, queue: &Queue) -> Option<usize> {
        let front = self.nodes.get(queue.head as usize)?;
        front.buffer.as_ref().map(Buffer::len)
    }

    fn advance_front(&mut self, queue: &Queue, count: usize) {
        if let Some(buffer) = &mut self.nodes[queue.head as usize].buffer {
            buffer.advance(count);
        }
    }

    fn pop(&mut self, queue: &mut Queue) -> Option<(Buffer, u32)> {
        let index = queue.head;
        let node = &mut self.nodes[index as usize];
        let (buffer, bytes) = (node.buffer.take(), node.bytes);
        queue.head = node.next;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        self.free.push(index);
        buffer.map(|buffer| (buffer, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(text: &str) -> Buffer {
        let mut buffer = Buffer::with_payload(16);
        buffer.fill_from(text.as_bytes());
        buffer
    }

    #[test]
    fn segments_leave_in_order_and_whole() {
        let mut segments = Segments::default();
        let mut queue = Queue::EMPTY;
        for text in ["one", "", "three"] {
            segments.push(&mut queue, buffer(text));
        }
        let mut done = Vec::new();
        segments.consume(&mut queue, 1, |_, bytes| done.push(bytes));
        assert_eq!(done, []);
        assert_eq!(
            segments.iter(&queue).collect::<Vec<_>>().concat(),
            b"nethree"
        );
        segments.consume(&mut queue, 4, |_, bytes| done.push(bytes));
        assert_eq!(done, [3, 0]);
        segments.consume(&mut queue, 3, |_, bytes| done.push(bytes));
        assert_eq!(done, [3, 0, 5]);
        assert!(queue.is_empty());
    }

    #[test]
    fn lent_segments_come_back_to_their_places() {
        let mut segments = Segments::default();
        let mut queue = Queue::EMPTY;
        for text in ["a", "bc", "def"] {
            segments.push(&mut queue, buffer(text));
        }
        let mut lent = Vec::new();
        segments.lend(&queue, |buffer| match lent.len() {
            2 => Err(buffer),
            _ => {
                lent.push(buffer);
                Ok(())
            }
        });
        assert_eq!(segments.iter(&queue).collect::<Vec<_>>(), [b"def"]);
        segments.restore(&queue, lent.into_iter());
        assert_eq!(
            segments.iter(&queue).collect::<Vec<_>>().concat(),
            b"abcdef"
        );
        segments.consume(&mut queue, 6, |_, _| {});
        assert!(queue.is_empty());
    }

    #[test]
    fn nodes_are_used_again() {
        let mut segments = Segments::default();
        let mut queue = Queue::EMPTY;
        let mut back = 0;
        for _ in 0..10 {
            segments.push(&mut queue, buffer("x"));
            segments.push(&mut queue, buffer("y"));
            segments.clear(&mut queue, |_| back += 1);
        }
        assert_eq!((segments.nodes.len(), back), (2, 20));
    }
}

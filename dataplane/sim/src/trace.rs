//! The record of a run: a digest of everything that happened, the first violation, and on demand
//! the lines that a person reads. Two runs of one seed must give the same digest.

use penstock_core::event::Time;

/// What a run leaves behind.
#[derive(Debug)]
pub struct Trace {
    digest: u64,
    marks: u64,
    keep: Keep,
    lines: Vec<String>,
    violation: Option<String>,
}

/// Whether the lines are kept. The digest does not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Only the digest: explores fast.
    Digest,
    /// Every line too.
    Lines,
}

impl Trace {
    /// An empty trace.
    pub fn new(keep: Keep) -> Self {
        Self {
            digest: 0xcbf2_9ce4_8422_2325,
            marks: 0,
            keep,
            lines: Vec::new(),
            violation: None,
        }
    }

    /// Mixes what happened into the digest and keeps the line if somebody reads it.
    pub fn mark(&mut self, time: Time, numbers: &[u64], line: impl FnOnce() -> String) {
        self.marks += 1;
        self.mix(time.0);
        for &number in numbers {
            self.mix(number);
        }
        if self.keep == Keep::Lines {
            self.lines.push(format!("{:>14} {}", stamp(time), line()));
        }
    }

    /// Mixes bytes that crossed the wall into the digest.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.mix(u64::from_le_bytes(padded));
        }
    }

    /// Notes that a rule was broken. The first one counts; the run stops there.
    pub fn violation(&mut self, time: Time, text: String) {
        self.mark(time, &[0xdead], || format!("VIOLATION: {text}"));
        self.violation.get_or_insert(text);
    }

    /// The first broken rule.
    pub fn first_violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Digest of everything so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many things happened.
    pub fn marks(&self) -> u64 {
        self.marks
    }

    /// The lines kept.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    fn mix(&mut self, number: u64) {
        let mixed = (self.digest ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.digest = mixed ^ (mixed >> 29);
    }
}

/// Seconds and microseconds.
fn stamp(time: Time) -> String {
    let micros = time.0 / 1000;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Bytes as a person reads them, shortened.
pub fn printable(bytes: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
    if bytes.len() > SHOWN {
        format!("{text}… ({} bytes)", bytes.len())
    } else {
        text
    }
}

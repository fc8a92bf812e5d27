//! Seeds that once broke a rule, each with the reason. They run first.

/// A seed and what it found.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub reason: &'static str,
}

/// All of them.
pub const REGRESSIONS: &[Regression] = &[
    Regression {
        seed: 122,
        reason: "single bytes held a whole buffer each, and the watermark counted the bytes",
    },
    Regression {
        seed: 2589,
        reason: "a client above its watermark did not hold back the origin of its next exchange",
    },
    Regression {
        seed: 32,
        reason: "a listener removed while draining was closed twice",
    },
    Regression {
        seed: 1738,
        reason: "a request after its listener was removed was reset, and the answer before it",
    },
    Regression {
        seed: 168,
        reason: "a client that half-closed lost the queued end of its answer",
    },
    Regression {
        seed: 13_032,
        reason: "bytes behind an upgrade that was declined would have been parsed as a request",
    },
    Regression {
        seed: 3900,
        reason: "a client in the backlog of a listener that was just removed was refused",
    },
    Regression {
        seed: 1731,
        reason: "requests of a generation whose clusters were renamed found no endpoint",
    },
];

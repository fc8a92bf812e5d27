//! What was recorded, what is counted now, and whether that is worse.

use std::fmt;

/// Change of instructions that is no change: other addresses, another order of inlining.
const TOLERANCE_PERCENT: f64 = 1.0;
/// Further allocations in 1,000 rounds that are no new allocation: a table that grows now and then.
const ALLOCATIONS_SLACK: u64 = 20;

/// What 1,000 rounds of a case took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count {
    pub(super) instructions: u64,
    pub(super) allocations: u64,
}

impl Count {
    /// For people.
    pub(super) fn per_round(self, rounds: u32) -> String {
        let each = |count: u64| count as f64 / f64::from(rounds);
        let (instructions, allocations) = (each(self.instructions), each(self.allocations));
        format!("{instructions:>9.0} instructions {allocations:>5.2} allocations")
    }
}

/// A case and its count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) count: Count,
}

/// The file: the tools it was made with, and its rows in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Recorded {
    pub(super) tools: String,
    pub(super) rows: Vec<Row>,
}

const TOOLS: &str = "tools: ";
const HEADER: &str = "\
# What 1,000 rounds of the hottest cases take under callgrind: case, instructions, allocations.
# Compared by `cargo xtask gate`, written by `cargo xtask gate --update`; a new case is a new line
# with zeros. `count --list` of penstock-bench names all cases.
";

impl Recorded {
    /// Reads the file; `#` begins a comment.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut tools, mut rows) = (String::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            if let Some(named) = line.strip_prefix(TOOLS) {
                named.trim().clone_into(&mut tools);
            } else if !line.starts_with('#') && !line.trim().is_empty() {
                let row = parse_row(line);
                let place = index + 1;
                rows.push(row.ok_or(format!("line {place}: not `case instructions allocations`"))?);
            }
        }
        Ok(Self { tools, rows })
    }
}

fn parse_row(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, instructions, allocations] = words[..] else {
        return None;
    };
    let count = Count {
        instructions: instructions.parse().ok()?,
        allocations: allocations.parse().ok()?,
    };
    let name = name.to_owned();
    Some(Row { name, count })
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}{TOOLS}{}\n\n", self.tools)?;
        for Row { name, count } in &self.rows {
            let Count {
                instructions,
                allocations,
            } = count;
            writeln!(f, "{name:28} {instructions:>10} {allocations:>6}")?;
        }
        Ok(())
    }
}

/// What a count says beside the recorded one. Changes are in per cent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Verdict {
    /// Within the tolerance.
    Same(f64),
    /// Fewer instructions: worth to be recorded, so that it stays.
    Better(f64),
    /// More instructions.
    Worse(f64),
    /// It allocates where it did not.
    Allocates,
    /// Counted with other tools.
    NotJudged,
}

impl Verdict {
    pub(super) fn of(recorded: Count, counted: Count, same_tools: bool) -> Self {
        if counted.allocations > recorded.allocations + ALLOCATIONS_SLACK {
            return Self::Allocates;
        }
        if !same_tools {
            return Self::NotJudged;
        }
        let (before, now) = (recorded.instructions as f64, counted.instructions as f64);
        let change = 100.0 * (now - before) / before.max(1.0);
        match change {
            change if change > TOLERANCE_PERCENT => Self::Worse(change),
            change if change < -TOLERANCE_PERCENT => Self::Better(change),
            change => Self::Same(change),
        }
    }

    pub(super) fn passes(self) -> bool {
        !matches!(self, Self::Worse(_) | Self::Allocates)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(change) => write!(f, "{change:+.1} %"),
            Self::Better(change) => {
                write!(f, "{change:+.1} %  better: cargo xtask gate --update")
            }
            Self::Worse(change) => write!(f, "{change:+.1} %  WORSE"),
            Self::Allocates => write!(f, "WORSE: it allocates more"),
            Self::NotJudged => write!(f, "instructions not judged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Recorded, Row, Verdict};

    fn check(recorded: (u64, u64), counted: (u64, u64), passes: bool) {
        let count = |(instructions, allocations)| Count {
            instructions,
            allocations,
        };
        let verdict = Verdict::of(count(recorded), count(counted), true);
        assert_eq!(verdict.passes(), passes, "{counted:?}: {verdict}");
    }

    #[test]
    fn two_per_cent_more_and_any_new_allocation_are_noticed() {
        check((1_000_000, 0), (1_000_000, 0), true);
        check((1_000_000, 0), (1_009_000, 0), true);
        check((1_000_000, 0), (1_020_000, 0), false);
        check((1_000_000, 0), (500_000, 0), true);
        check((1_000_000, 10), (1_000_000, 12), true);
        check((1_000_000, 10), (1_000_000, 1_010), false);
        check((1_000_000, 0), (500_000, 100), false);
    }

    #[test]
    fn other_tools_are_judged_by_allocations_only() {
        let before = Count {
            instructions: 1000,
            allocations: 0,
        };
        let more = Count {
            instructions: 2000,
            allocations: 0,
        };
        let allocating = Count {
            allocations: 1000,
            ..before
        };
        assert_eq!(Verdict::of(before, more, false), Verdict::NotJudged);
        assert_eq!(Verdict::of(before, allocating, false), Verdict::Allocates);
    }

    #[test]
    fn the_file_survives_being_written_and_read() {
        let count = Count {
            instructions: 17_207_216,
            allocations: 1000,
        };
        let name = "exchange/1k".to_owned();
        let recorded = Recorded {
            tools: "rustc 1, x86_64".into(),
            rows: vec![Row { name, count }],
        };
        assert_eq!(Recorded::parse(&recorded.to_string()), Ok(recorded));
        assert!(Recorded::parse("exchange/1k 12").is_err());
    }
}

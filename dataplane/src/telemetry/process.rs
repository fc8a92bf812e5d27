//! The process as `/proc` shows it: CPU, memory, descriptors. Read per question, never cached.

use std::fs;

use penstock_core::limits;

/// What the usual `process_*` metrics are made of. What `/proc` does not tell is `None`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Process {
    /// User and system time of all threads.
    pub cpu_seconds: Option<f64>,
    /// Descriptors open now.
    pub open_descriptors: Option<u64>,
    /// Soft limit of descriptors.
    pub descriptors_max: Option<u64>,
    /// Address space.
    pub virtual_bytes: Option<u64>,
    /// Memory held.
    pub resident_bytes: Option<u64>,
    /// Memory held that belongs to no file.
    pub anonymous_bytes: Option<u64>,
    /// Data segment, heap included.
    pub data_bytes: Option<u64>,
    /// Start, in seconds since the UNIX epoch.
    pub start_seconds: Option<f64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Process {
    /// Reads `/proc/self`.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (text("/proc/self/stat"), text("/proc/self/status"));
        let tick = fs::read("/proc/self/auxv")
            .ok()
            .and_then(|auxv| ticks_per_second(&auxv));
        Self {
            open_descriptors: open_descriptors(),
            descriptors_max: descriptors_max(&text("/proc/self/limits")),
            ..Self::parse(&stat, &status, &text("/proc/stat"), tick.unwrap_or(100.0))
        }
    }

    fn parse(stat: &str, status: &str, system: &str, tick: f64) -> Self {
        // The command, field 2, may hold anything, parentheses included: count from its end.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let field = |number: usize| -> Option<f64> {
            after.split_whitespace().nth(number - 3)?.parse().ok()
        };
        let boot: Option<f64> = line(system, "btime ").and_then(|value| value.parse().ok());
        let start = field(22).map(|ticks| ticks / tick);
        Self {
            cpu_seconds: field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / tick),
            virtual_bytes: kibibytes(status, "VmSize:"),
            resident_bytes: kibibytes(status, "VmRSS:"),
            anonymous_bytes: kibibytes(status, "RssAnon:"),
            data_bytes: kibibytes(status, "VmData:"),
            start_seconds: boot.zip(start).map(|(boot, start)| boot + start),
            threads: line(status, "Threads:").and_then(|value| value.parse().ok()),
            ..Self::default()
        }
    }
}

/// The limit of descriptors leaves no room for connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the limit of open descriptors is {limit}, and {workers} workers need {need} at least; raise \
     it (ulimit -n 65536, or LimitNOFILE=65536 in the unit) or start fewer workers (--workers)"
)]
pub struct TooFewDescriptors {
    limit: u64,
    workers: usize,
    need: u64,
}

/// Connections that a process with this many descriptors can promise: each may need a second one
/// for its origin, and files, rings and listening sockets need theirs first: what is comfortable,
/// or half of a small limit.
///
/// # Errors
/// If the limit is so small that next to no connection would be left.
pub fn connections_for(
    descriptors: u64,
    workers: usize,
    listeners: usize,
) -> Result<u64, TooFewDescriptors> {
    /// Files, standard streams, admin and DNS sockets: a comfortable number, and the least.
    const PROCESS: (u64, u64) = (128, 24);
    /// Ring or epoll, wake-up, spare, the pipes of its relays; at the least with one listening
    /// socket and without relays, which are left out when descriptors run short.
    const WORKER: (u64, u64) = (8 + 2 * limits::RELAYS_PER_WORKER_MAX as u64, 4);
    const CONNECTIONS_MIN: u64 = 8;
    let workers_count = workers as u64;
    let least = PROCESS.1 + workers_count * WORKER.1;
    let comfortable = PROCESS.0 + workers_count * (WORKER.0 + listeners as u64);
    let need = least + 2 * CONNECTIONS_MIN;
    if descriptors < need {
        return Err(TooFewDescriptors {
            limit: descriptors,
            workers,
            need,
        });
    }
    let reserve = comfortable.min(least.max(descriptors / 2));
    Ok((descriptors - reserve) / 2)
}

fn open_descriptors() -> Option<u64> {
    // One of them is the folder being read.
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(open.saturating_sub(1))
}

fn descriptors_max(limits: &str) -> Option<u64> {
    let soft = line(limits, "Max open files")?.split_whitespace().next()?;
    if soft == "unlimited" {
        Some(u64::MAX)
    } else {
        soft.parse().ok()
    }
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let value: u64 = line(status, name)?
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()?;
    value.checked_mul(1024)
}

/// The rest of the line that begins with `name`.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// `AT_CLKTCK` of the auxiliary vector: pairs of native words.
fn ticks_per_second(auxv: &[u8]) -> Option<f64> {
    const AT_CLKTCK: usize = 17;
    let (words, _) = auxv.as_chunks::<{ size_of::<usize>() }>();
    let (pairs, _) = words.as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| pair.map(usize::from_ne_bytes))
        .find_map(|[kind, value]| (kind == AT_CLKTCK && value > 0).then_some(value as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_understood() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 93 0 0 0 250 50 0 0 20 0 3 0 1200 9 9";
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t 512 kB\nThreads:\t3\n";
        let process = Process::parse(stat, status, "cpu 1\nbtime 1000\n", 100.0);
        let expect = Process {
            cpu_seconds: Some(3.0),
            virtual_bytes: Some(2_097_152),
            resident_bytes: Some(524_288),
            start_seconds: Some(1012.0),
            threads: Some(3),
            ..Process::default()
        };
        assert_eq!(process, expect);
        assert_eq!(Process::parse("", "", "", 100.0), Process::default());
        let limits =
            "Limit  Soft\nMax open files            1024                 4096      files\n";
        assert_eq!(descriptors_max(limits), Some(1024));
    }

    #[test]
    fn this_process_is_known() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.open_descriptors.unwrap() >= 3);
        assert!(process.descriptors_max.unwrap() >= process.open_descriptors.unwrap());
        assert!(process.start_seconds.unwrap() > 1.6e9);
        assert!(process.cpu_seconds.is_some());
        assert!(process.threads.unwrap() >= 1);
    }

    #[test]
    fn connections_follow_from_descriptors() {
        assert_eq!(connections_for(1024, 2, 2), Ok(310));
        assert_eq!(connections_for(1_048_576, 64, 4), Ok(519_744));
        assert_eq!(connections_for(256, 2, 16), Ok(64));
        assert_eq!(connections_for(96, 2, 16), Ok(24));
        assert_eq!(connections_for(48, 2, 16), Ok(8));
    }

    #[test]
    fn more_descriptors_never_mean_fewer_connections() {
        for workers in [1, 2, 16, 64] {
            let counts = (0..4096).map(|limit| connections_for(limit, workers, 16));
            let counts: Vec<u64> = counts.map(|count| count.unwrap_or(0)).collect();
            assert!(counts.is_sorted(), "{workers} workers");
            assert!(counts.iter().all(|count| *count == 0 || *count >= 8));
        }
    }

    #[test]
    fn too_few_descriptors_name_the_limit_the_need_and_the_remedy() {
        let text = connections_for(47, 2, 16).unwrap_err().to_string();
        let expect = "the limit of open descriptors is 47, and 2 workers need 48 at least; raise \
                      it (ulimit -n 65536, or LimitNOFILE=65536 in the unit) or start fewer \
                      workers (--workers)";
        assert_eq!(text, expect);
    }
}

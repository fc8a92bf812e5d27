//! One run with what it belongs to, and the names that all of its files use.

use std::io;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::record::{Campaign, Cell, Latency, Run, Subject};

/// One run, its workload, its subject and its campaign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) campaign: &'a Campaign,
    pub(crate) run: &'a Run,
    pub(crate) cell: &'a Cell,
    pub(crate) subject: &'a Subject,
}

/// Where the time of a request begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// When it should have been sent.
    Corrected,
    /// When it was sent.
    Service,
}

impl Kind {
    /// The value of the label `latency_kind`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Corrected => "corrected",
            Kind::Service => "service_time",
        }
    }
}

/// Where a program and this tree come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Revisions<'a> {
    /// Of the measured program; of the tree if the program says none.
    pub(crate) measured: &'a str,
    /// True if that had changes.
    pub(crate) dirty: bool,
    /// Of the tree, if the measured program comes from another one.
    pub(crate) source: Option<&'a str>,
}

impl<'a> Revisions<'a> {
    /// `abc+dirty` and `abc-dirty` are `abc` with changes.
    pub(crate) fn of(campaign: &'a Campaign, subject: &'a Subject) -> Self {
        let environment = &campaign.environment;
        let tree = environment.git_rev.as_str();
        if subject.revision.is_empty() {
            return Self {
                measured: tree,
                dirty: environment.dirty,
                source: None,
            };
        }
        let revision = subject.revision.as_str();
        let bare = ["+dirty", "-dirty"].map(|end| revision.strip_suffix(end));
        let bare = bare.into_iter().flatten().next();
        let (measured, dirty) = (bare.unwrap_or(revision), bare.is_some());
        // One of them may be cut shorter than the other.
        let is_same = measured.starts_with(tree) || tree.starts_with(measured);
        let is_same = is_same && dirty == environment.dirty && !tree.is_empty();
        Self {
            measured,
            dirty,
            source: (!is_same).then_some(tree),
        }
    }
}

impl<'a> Entry<'a> {
    /// Every run of a campaign.
    ///
    /// # Errors
    /// If a run names a cell or a subject that is not there, or an id is no name of a folder.
    pub(crate) fn all(campaign: &'a Campaign) -> io::Result<Vec<Self>> {
        campaign
            .runs
            .iter()
            .map(|run| Self::of(campaign, run).map_err(io::Error::other))
            .collect()
    }

    fn of(campaign: &'a Campaign, run: &'a Run) -> Result<Self, String> {
        let number = |id: &str| uuid::Uuid::parse_str(id).is_ok();
        if !number(&run.id) {
            return Err(format!("run `{}`: its id is no UUID", run.id));
        }
        let missing = |what, at| format!("run {}: there is no {what} {at}", run.id);
        let cell = campaign.cells.get(run.cell);
        let subject = campaign.subjects.get(run.subject);
        Ok(Self {
            campaign,
            run,
            cell: cell.ok_or_else(|| missing("cell", run.cell))?,
            subject: subject.ok_or_else(|| missing("subject", run.subject))?,
        })
    }

    /// True if the run counts.
    pub(crate) fn is_valid(&self) -> bool {
        self.run.void.is_empty()
    }

    /// Length of the window in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.run.ended.saturating_sub(self.run.started) as f64 / 1e9
    }

    /// What a quantity of the window is in a second.
    pub(crate) fn per_second(&self, quantity: u64) -> f64 {
        if self.seconds() > 0.0 {
            quantity as f64 / self.seconds()
        } else {
            0.0
        }
    }

    /// Bytes of both directions, as the load saw them.
    pub(crate) fn bytes(&self) -> u64 {
        self.run
            .load
            .bytes_in
            .saturating_add(self.run.load.bytes_out)
    }

    /// Requests without a correct answer.
    pub(crate) fn failed(&self) -> u64 {
        self.run.load.failures.iter().map(|(_, count)| count).sum()
    }

    /// The latencies that were taken; the one that counts comes first.
    pub(crate) fn latencies(&self) -> Vec<(Kind, &'a Latency)> {
        let load = &self.run.load;
        let both = [
            (Kind::Corrected, &load.corrected),
            (Kind::Service, &load.service),
        ];
        let taken = both.into_iter().filter(|(_, latency)| latency.count > 0);
        taken.collect()
    }

    /// The latency that counts; service time without a value if nothing was answered.
    pub(crate) fn latency(&self) -> (Kind, &'a Latency) {
        let first = self.latencies().into_iter().next();
        first.unwrap_or((Kind::Service, &self.run.load.service))
    }

    /// Name of the run for people: `keep-alive nginx round 2 there`.
    pub(crate) fn title(&self) -> String {
        let way = if self.run.backwards { "back" } else { "there" };
        format!(
            "{} {} round {} {way}",
            self.cell.name,
            self.subject.name,
            self.run.round + 1
        )
    }

    /// What is measured: `experiment/cell`.
    pub(crate) fn profile(&self) -> String {
        format!("{}/{}", self.campaign.name, self.cell.name)
    }

    /// Where the load sends to. The port is chosen anew for each run and says nothing.
    pub(crate) fn url(&self) -> String {
        match self.cell.protocol.as_str() {
            "tcp" => "tcp://127.0.0.1".to_owned(),
            _ => {
                let coding = if self.cell.chunked { "&chunked=1" } else { "" };
                let size = self.cell.response_bytes;
                format!("http://127.0.0.1/?size={size}{coding}")
            }
        }
    }

    /// True if nothing stands between load and origin.
    pub(crate) fn is_direct(&self) -> bool {
        self.subject.product == "direct"
    }

    /// Of the program that was measured, and of the tree.
    pub(crate) fn revisions(&self) -> Revisions<'a> {
        Revisions::of(self.campaign, self.subject)
    }

    /// Version of the program, with the revision if it is ours.
    pub(crate) fn build(&self) -> String {
        let mut build = self.subject.version.clone();
        if matches!(self.subject.product.as_str(), "penstock" | "relay") {
            let revisions = self.revisions();
            let dirty = if revisions.dirty { "+dirty" } else { "" };
            build += &format!(" {}{dirty}", revisions.measured);
        }
        if !self.subject.driver.is_empty() {
            build += &format!(" {}", self.subject.driver);
        }
        build
    }
}

/// Nanoseconds since 1970 as RFC 3339 in UTC.
pub(crate) fn utc(nanoseconds: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds));
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

/// Nanoseconds as Go writes a duration, in the greatest unit without a fraction.
pub(crate) fn go_duration(nanoseconds: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let fitting = units
        .iter()
        .find(|(unit, _)| nanoseconds.is_multiple_of(*unit));
    let (unit, name) = fitting.unwrap_or(&(1, "ns"));
    format!("{}{name}", nanoseconds / unit)
}

/// Milliseconds from nanoseconds.
pub(crate) fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// The value of a percentile that the record lists.
pub(crate) fn listed(latency: &Latency, percent: f64) -> Option<u64> {
    let mut listed = latency.percentiles.iter();
    let (_, value) = listed.find(|(listed, _)| (listed - percent).abs() < 1e-9)?;
    // The end of a step of the histogram may lie above the greatest value.
    Some((*value).clamp(latency.min, latency.max))
}

#[cfg(test)]
mod tests {
    use super::{go_duration, utc};

    #[test]
    fn durations_and_times_are_written_as_others_read_them() {
        let cases = [
            (0, "0s"),
            (30_000_000_000, "30s"),
            (1_500_000_000, "1500ms"),
            (2_500_000, "2500us"),
            (7, "7ns"),
        ];
        for (nanoseconds, expected) in cases {
            assert_eq!(go_duration(nanoseconds), expected);
        }
        assert_eq!(utc(1_700_000_000_500_000_000), "2023-11-14T22:13:20.5Z");
    }
}

//! Prometheus text: metric by metric, over all resources that have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::catalog::{Metric, metrics};
use super::page::{Labels, Page, Type};
use super::series::write;
use super::{RouteRow, View, routes};

/// Series of one answer.
pub const SERIES_MAX: usize = 200_000;
/// Bytes of one piece, by and large: a piece ends with the resource that reaches it.
const PIECE: usize = 32 * 1024;

/// Series left out since the start, over all answers. Shared by them.
#[derive(Clone, Debug, Default)]
pub struct SeriesDropped(Arc<AtomicU64>);

/// The text of one scrape, piece by piece.
#[derive(Debug)]
pub struct Exposition {
    view: View,
    routes: Vec<RouteRow>,
    metrics: std::vec::IntoIter<Metric>,
    now: Option<(Metric, usize, usize)>,
    page: Page,
    dropped: SeriesDropped,
    ended: bool,
}

impl Exposition {
    /// All of `view`, at most `series_max` series; `used_only` leaves out zeros.
    pub fn new(view: View, series_max: usize, used_only: bool, dropped: SeriesDropped) -> Self {
        Self {
            routes: routes(&view.listeners),
            view,
            metrics: metrics().into_iter(),
            now: None,
            page: Page::new(series_max, used_only),
            dropped,
            ended: false,
        }
    }

    /// Writes what comes next; false at the end.
    fn step(&mut self) -> bool {
        let Some((metric, part, item)) = &mut self.now else {
            return self.next_metric();
        };
        let Some(&source) = metric.parts.get(*part) else {
            self.now = None;
            return true;
        };
        let more = write(
            source,
            &metric.name,
            *item,
            (&self.view, &self.routes),
            &mut self.page,
        );
        (*part, *item) = if more {
            (*part, *item + 1)
        } else {
            (*part + 1, 0)
        };
        true
    }

    fn next_metric(&mut self) -> bool {
        let Some(metric) = self.metrics.next() else {
            return self.end();
        };
        self.page.metric(&metric.name, metric.help, metric.kind);
        self.now = Some((metric, 0, 0));
        true
    }

    /// The last metric says what was left out, so it is always written.
    fn end(&mut self) -> bool {
        if std::mem::replace(&mut self.ended, true) {
            return false;
        }
        let added = self.page.dropped;
        let total = self.dropped.0.fetch_add(added, Relaxed) + added;
        let name = "penstock_exporter_series_dropped_total";
        (self.page.series_left, self.page.used_only) = (1, false);
        let help = "Series left out of answers because of the ceiling.";
        self.page.metric(name, help, Type::Counter);
        self.page.sample(name, Labels::default(), total);
        true
    }
}

impl Iterator for Exposition {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.page.text.len() < PIECE && self.step() {}
        let text = std::mem::take(&mut self.page.text);
        (!text.is_empty()).then_some(text)
    }
}

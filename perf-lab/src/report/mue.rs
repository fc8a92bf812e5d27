//! What was left of what the subject could use, as the shares that MeshMark names, and one number
//! of its style. The published slides contradict each other and there is no implementation: the
//! formula and its weights stand beside the number, and it is compared with nothing foreign.

use serde::Serialize;

use super::entry::Entry;
use super::histogram;
use super::histogram::percentile;
use super::summary::{latency, latency_of};

/// How the number comes about.
pub(crate) const FORMULA: &str =
    "100 * mean over classes c of (sum_i MUE_i * (1 + w_i) / sum_i (1 + w_i))";
/// What has no value on one machine without a control plane.
pub(crate) const MISSING: &str = "mue_nic: loopback has no capacity to take a share of; \
                                  mue_control: there was no control plane";
/// All weights, in [-0.5, +0.5].
const WEIGHT: f64 = 0.0;

/// Shares from 0 to 1 of one run, and the number that they come to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Mue {
    /// 1 - CPU time used / CPU time that the subject's CPUs have.
    pub(crate) mue_cpu: f64,
    /// 1 - resident memory / memory of the machine.
    pub(crate) mue_memory: f64,
    /// 99th percentile without proxy / with proxy; only where `direct` was measured too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mue_latency: Option<f64>,
    pub(crate) missing: &'static str,
    pub(crate) meshmark_style_index: f64,
    formula: &'static str,
    weights: Weights,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Weights {
    cpu: f64,
    memory: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<f64>,
}

impl Mue {
    /// Of a run that counts; nothing of one without a proxy, or whose use is not known.
    pub(crate) fn of(entry: &Entry<'_>) -> Option<Self> {
        let (cost, memory) = (&entry.run.cost, entry.campaign.environment.memory);
        let is_known = cost.on_cpu > 0 && cost.resident > 0 && memory > 0;
        if entry.is_direct() || !entry.is_valid() || !is_known {
            return None;
        }
        let cpus = entry.run.cpus.subject.len().max(1) as f64;
        let mue_cpu = left(entry.per_second(cost.on_cpu) / 1e9 / cpus);
        let mue_memory = left(cost.resident as f64 / memory as f64);
        let mue_latency = mue_latency(entry);
        let compute =
            (mue_cpu * (1.0 + WEIGHT) + mue_memory * (1.0 + WEIGHT)) / (2.0 + 2.0 * WEIGHT);
        let classes: Vec<f64> = [Some(compute), mue_latency].into_iter().flatten().collect();
        let mean = classes.iter().sum::<f64>() / classes.len() as f64;
        Some(Self {
            mue_cpu,
            mue_memory,
            mue_latency,
            missing: MISSING,
            meshmark_style_index: rounded(100.0 * mean),
            formula: FORMULA,
            weights: Weights {
                cpu: WEIGHT,
                memory: WEIGHT,
                latency: mue_latency.map(|_| WEIGHT),
            },
        })
    }
}

fn left(used: f64) -> f64 {
    rounded((1.0 - used).max(0.0))
}

fn mue_latency(entry: &Entry<'_>) -> Option<f64> {
    let subjects = &entry.campaign.subjects;
    let direct = subjects
        .iter()
        .position(|subject| subject.product == "direct")?;
    let without = latency_of(entry.campaign, entry.run.cell, direct)?;
    let with = histogram::decode(latency(entry.run))?;
    let p99 = |all| percentile(all, 99.0) as f64;
    // Chance may put the proxy in front; the share ends at 1.
    Some(rounded((p99(&without) / p99(&with).max(1.0)).min(1.0)))
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

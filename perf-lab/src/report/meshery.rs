//! A run in the camelCase forms of today's Meshery: the test as a file, the result as a record.
//!
//! Unknown keys are refused there, so nothing of ours stands beside the known ones.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, go_duration, utc};
use super::fortio::Fortio;
use super::onepage::word;
use super::smp::labels::Labels;
use super::smp::{GENERATOR, Ids, test_config};

/// The file of a test: what is run, and on which mesh.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestFile {
    pub(crate) test: Test,
    pub(crate) mesh: String,
}

/// `PerformanceTestConfig` of v1beta3.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Test {
    #[serde(default)]
    pub(crate) smp_version: String,
    #[serde(default)]
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) labels: Labels,
    pub(crate) clients: Vec<Client>,
    pub(crate) duration: String,
}

/// `PerformanceTestClient` of v1beta3.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Client {
    #[serde(default)]
    pub(crate) internal: bool,
    #[serde(default)]
    pub(crate) load_generator: String,
    #[serde(default)]
    pub(crate) protocol: String,
    #[serde(default)]
    pub(crate) connections: u64,
    #[serde(default)]
    pub(crate) rps: u64,
    #[serde(default)]
    pub(crate) headers: Labels,
    #[serde(default)]
    pub(crate) cookies: Labels,
    #[serde(default)]
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) content_type: String,
    pub(crate) endpoint_urls: Vec<String>,
    #[serde(default)]
    pub(crate) ssl_certificate: String,
    #[serde(default)]
    pub(crate) additional_options: String,
}

/// The record of a result, new keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) meshery_id: String,
    pub(crate) name: String,
    pub(crate) mesh: String,
    pub(crate) performance_profile: Option<String>,
    pub(crate) test_id: String,
    pub(crate) runner_results: RunnerResults,
    pub(crate) server_metrics: Option<String>,
    pub(crate) server_board_config: Option<String>,
    pub(crate) test_start_time: String,
    pub(crate) owner: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// Fortio's result with what Meshery adds to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RunnerResults {
    #[serde(flatten)]
    pub(crate) fortio: Fortio,
    #[serde(rename = "load-generator")]
    pub(crate) load_generator: String,
}

/// The test of a run.
pub(crate) fn test_file(entry: &Entry<'_>) -> TestFile {
    let test = test_config(entry);
    let sent = test.clients.into_iter().map(|client| Client {
        internal: client.internal,
        load_generator: client.load_generator,
        protocol: word(entry).to_owned(),
        connections: u64::from(entry.cell.connections),
        rps: entry.cell.rate,
        headers: client.headers,
        cookies: client.cookies,
        body: client.body,
        content_type: client.content_type,
        endpoint_urls: client.endpoint_urls,
        ssl_certificate: client.ssl_certificate,
        additional_options: client.additional_options,
    });
    TestFile {
        mesh: entry.subject.product.clone(),
        test: Test {
            smp_version: test.smp_version,
            id: test.id,
            name: test.name,
            labels: test.labels,
            clients: sent.collect(),
            duration: go_duration(entry.campaign.window),
        },
    }
}

/// The record of a run. It belongs to no server, profile or user.
pub(crate) fn record(entry: &Entry<'_>, fortio: Fortio) -> Record {
    Record {
        meshery_id: entry.run.id.clone(),
        name: entry.title(),
        mesh: entry.subject.product.clone(),
        performance_profile: None,
        test_id: Ids::of(entry).test,
        runner_results: RunnerResults {
            fortio,
            load_generator: GENERATOR.to_owned(),
        },
        server_metrics: None,
        server_board_config: None,
        test_start_time: utc(entry.run.started),
        owner: None,
        created_at: utc(entry.run.ended),
        updated_at: utc(entry.run.ended),
    }
}

//! What a run showed. Its JSON is `docs/bench.schema.json`.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run of a load showed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// `fanout`, `publish`, `idle`, `resume`, `churn` or `slow`.
    pub scenario: String,
    /// `sse`, `websocket`, `ndjson` or `poll`.
    pub transport: String,
    /// The address, `{n}` where there were several.
    pub address: String,
    /// How many addresses.
    pub addresses: u32,
    /// Watchers, those that stalled or resumed among them.
    pub watchers: u32,
    /// Connections that published.
    pub publishers: u32,
    /// Events of one publish.
    pub batch: u32,
    /// Bytes of one event.
    pub event_bytes: u64,
    /// Events a second that were asked for; null: as fast as it went.
    pub rate_per_second: Option<f64>,
    /// From the end of the warm-up until every watcher had everything.
    pub seconds: f64,
    /// Events that were acknowledged in this time.
    pub published: u64,
    /// Events that reached watchers, each counted once for each watcher.
    pub deliveries: u64,
    /// Bytes that the watchers read.
    pub bytes: u64,
    /// Acknowledged events a second.
    pub published_per_second: f64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// From when an event was to be sent until a watcher had read it.
    pub latency: Latency,
    /// From when an event was to be sent until it was acknowledged.
    pub acknowledgement: Latency,
    /// From connecting until a watch had begun.
    pub opening: Latency,
    /// `resume`: from connecting until a watcher had all that it had missed.
    pub catch_up: Option<Latency>,
    /// `slow`: what those cost who did not read.
    pub stalled: Option<Stalled>,
    /// Events that a watcher never got.
    pub lost: u64,
    /// Events that a watcher got again.
    pub doubled: u64,
    /// Events that a watcher got after a later one.
    pub reordered: u64,
    /// Frames whose `prev` was not the cursor before, where frames were chained.
    pub broken_links: u64,
    /// Connections that the server ended; their watchers came back with their cursors.
    pub cut_by_server: u64,
    /// Connections that were cut on purpose.
    pub cut_on_purpose: u64,
    /// What it cost the server; null: its process is not known.
    pub server: Option<ServerCost>,
    /// CPU time of the load itself. Near `seconds` it was the load that was slow.
    pub load_cpu_seconds: f64,
    /// How it went, piece by piece.
    pub samples: Vec<Sample>,
}

/// Latencies, in microseconds; all zero if there was none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Half of them were no longer.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
    /// The whole distribution, two points for each halving of what is above.
    pub percentiles: Vec<Point>,
}

/// A point of a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// 0 to 100.
    pub percentile: f64,
    /// So many were no longer than this.
    pub us: u64,
}

/// What a load cost the server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// CPU time, user and system.
    pub cpu_seconds: f64,
    /// CPU time divided by deliveries.
    pub cpu_us_per_delivery: Option<f64>,
    /// CPU time divided by published events; null where most of it went elsewhere.
    pub cpu_us_per_event: Option<f64>,
    /// `churn`: CPU time divided by connections opened meanwhile.
    pub cpu_us_per_connection: Option<f64>,
    /// Proportional set size before any watcher came.
    pub pss_bytes_before: Option<u64>,
    /// Proportional set size at the end, with all watchers.
    pub pss_bytes: Option<u64>,
    /// `idle`: the difference of the two, divided by the watchers that came between. A server that
    /// has had as many before has the memory already, and what this says is too little, or null.
    pub pss_bytes_per_watcher: Option<f64>,
    /// `idle`: by how much the kernel's memory grew meanwhile (slab, and buffers of TCP), divided by the
    /// same watchers. It is that of the whole machine: of both ends where the load is on it.
    pub kernel_bytes_per_watcher: Option<f64>,
}

/// What those cost who did not read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stalled {
    /// How many.
    pub watchers: u32,
    /// The others' latency before they stalled; `latency` is the one meanwhile.
    pub latency_before: Latency,
    /// How the server grew while all read, in half the time.
    pub pss_growth_before_bytes: Option<i64>,
    /// How it grew while they did not, in the other half.
    pub pss_growth_bytes: Option<i64>,
}

/// A piece of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its end, since the end of the warm-up.
    pub seconds: f64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Acknowledged events a second.
    pub published_per_second: f64,
    /// Half of the latencies were no longer.
    pub latency_p50_us: u64,
    /// 99 % were no longer.
    pub latency_p99_us: u64,
    /// CPUs that the server used.
    pub server_cores: Option<f64>,
}

/// The JSON Schema of a report.
pub fn schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Report).to_value())
}

impl Report {
    /// Whether nothing was lost, doubled or reordered, and no link was broken.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.reordered == 0 && self.broken_links == 0
    }
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile).min(histogram.max());
        let points = histogram.iter_quantiles(2).map(|point| Point {
            percentile: point.quantile_iterated_to() * 100.0,
            us: point.value_iterated_to().min(histogram.max()),
        });
        Latency {
            count: histogram.len(),
            mean_us: (histogram.mean() * 10.0).round() / 10.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
            percentiles: points.collect(),
        }
    }
}

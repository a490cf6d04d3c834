//! The same within TLS 1.3, encrypted by the server itself. What the generator spends on it is not
//! counted.

use std::time::Duration;

use tidegate_bench::{Options as Wanted, Pace, Report, Scenario as What, Target, trusting};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::{Running, SSE, Server};
use crate::place::Missing;

const ALONE: (u32, Pace) = (1_000, Pace::PerSecond(50.0));
const IDLE: u32 = 10_000;
/// Where memory alone is looked at.
const SHORT: Duration = Duration::from_secs(3);

pub(super) const TLS: Scenario = Scenario { name: "tls", number: 17, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let strange = |error: rcgen::Error| Missing(error.to_string());
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(strange)?;
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let trust = trusting(certificate.as_bytes()).map_err(|error| Missing(error.to_string()))?;
    let encrypted = |what, wanted: fn(Wanted) -> Wanted| -> Result<Report, Missing> {
        let running = Server::encrypted(&certificate, &key).start(bench.place()?)?;
        let own = self::wanted(bench, &running);
        let target = Target { trust: Some(trust.clone()), ..own.target };
        bench.report(what, &running, &wanted(Wanted { target, ..own }))
    };
    let plain = bench.start(&SSE)?;
    let plain = bench.report(What::Fanout, &plain, &alone(self::wanted(bench, &plain)))?;
    let alone = encrypted(What::Fanout, alone)?;
    let idle = encrypted(What::Idle, |wanted| Wanted { watchers: IDLE, time: SHORT, ..wanted })?;
    let cost = |report: &Report| {
        let cost = report.server.as_ref().and_then(|server| server.cpu_us_per_delivery);
        cost.ok_or_else(|| Missing("delivered nothing".to_owned()))
    };
    let delivery = Finding::new(
        17,
        "TLS, 50,000/s to 1,000, 512 B, Tidegate SSE: CPU a delivery",
        Unit::Us,
        cost(&alone)?,
        Goal::TimesAtMost(2.0),
    );
    let title = "TLS, idle, 10,000 Tidegate SSE: memory of one";
    let bytes = idle.server.and_then(|server| server.pss_bytes_per_watcher);
    Ok(vec![
        delivery.beside("without TLS", cost(&plain)?),
        match bytes {
            Some(bytes) => Finding::new(17, title, Unit::Bytes, bytes, Goal::AtMost(12.0 * 1_024.0)),
            None => Finding::missing(17, title, "its memory cannot be read"),
        },
    ])
}

fn wanted(bench: &Bench<'_>, running: &Running) -> Wanted {
    let wanted = bench.wanted(running);
    Wanted { target: Target { event_bytes: 512, ..wanted.target }, ..wanted }
}

fn alone(wanted: Wanted) -> Wanted {
    let (watchers, pace) = ALONE;
    Wanted { watchers, pace, ..wanted }
}

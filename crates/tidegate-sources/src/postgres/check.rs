//! What a source needs upstream: looked at, never changed.

use tokio_postgres::Client;

use super::catalog::{self, Table};
use super::failure::Failure;
use super::names::plain;
use super::publication::{self, Publication};
use super::serving;
use super::settings::{self, Postgres};
use super::slot::Slot;
use crate::{Finding, Takes, Target};

/// The columns that we read were added to `pg_publication_tables` in this version.
const VERSION_MIN: u32 = 150_000;

/// Everything that is found for a source and its channels.
pub(super) fn findings(postgres: &Postgres, name: &str, targets: &[Target]) -> Vec<Finding> {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::missing(format!("no async runtime: {error}"))],
    };
    let mut findings = Vec::new();
    if let Err(failure) = runtime.block_on(look(postgres, name, targets, &mut findings)) {
        findings.push(match failure {
            Failure::Upstream { what, remedy: Some(remedy) } => Finding::missing(what).remedy(remedy),
            Failure::Upstream { what, remedy: None } => Finding::missing(what),
            other => Finding::missing(format!("{other:?}")),
        });
    }
    findings
}

async fn look(postgres: &Postgres, name: &str, targets: &[Target], findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let endpoint = &postgres.endpoint;
    let client = endpoint.sql().await?;
    let version = serving::server_version(&client).await?;
    let slot = Slot::find(&client, &postgres.slot(name)).await?;
    let slot_needed = slot.is_none() || postgres.temporary;
    findings.extend(server(&client, postgres, version, slot_needed).await?);
    findings.extend(slot_finding(&postgres.slot(name), slot.as_ref()));
    findings.extend(forgotten(&client, postgres, name).await?);
    tables(postgres, &client, name, targets, findings).await?;
    if !targets.iter().any(|target| matches!(target.takes, Takes::DeadLetters(_))) {
        findings.push(
            Finding::warning("no channel takes the rows that have no place: they are counted and logged only").remedy(
                format!("{name}-dead-letters:\n  address: dead-letters/{name}\n  source: {name}\n  dead_letters: true"),
            ),
        );
    }
    Ok(())
}

/// The server, and what we may do there. `slot_needed`: ours is not there yet.
pub(super) async fn server(
    client: &Client,
    postgres: &Postgres,
    version: u32,
    slot_needed: bool,
) -> Result<Vec<Finding>, Failure> {
    let endpoint = &postgres.endpoint;
    let user = plain(endpoint.user());
    let mut findings = vec![Finding::good(format!("connected to {} as {user}", endpoint.place()))];
    if version < VERSION_MIN {
        findings
            .push(Finding::missing(format!("the server is of version {}; 15 or newer is needed", version / 10_000)));
    }
    let row = client
        .query_one(
            "SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size'), pg_is_in_recovery(),
                    current_setting('max_replication_slots')::int8 - (SELECT count(*) FROM pg_replication_slots),
                    current_setting('max_wal_senders')::int8 - (SELECT count(*) FROM pg_stat_replication),
                    (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) OR EXISTS (
                      SELECT FROM pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'USAGE'))",
            &[],
        )
        .await?;
    match row.get::<_, &str>(0) {
        "logical" => findings.push(Finding::good("wal_level is logical")),
        level => findings.push(
            Finding::missing(format!("wal_level is {level}, so the WAL does not say what changed"))
                .remedy("ALTER SYSTEM SET wal_level = logical;  -- then restart the server"),
        ),
    }
    if row.get(2) {
        findings.push(Finding::missing("the server is a standby; connect to the primary"));
    }
    if !row.get::<_, bool>(5) {
        findings.push(
            Finding::missing(format!("{user} may not replicate")).remedy(format!("ALTER ROLE {user} REPLICATION;")),
        );
    }
    let (slots, senders): (i64, i64) = (row.get(3), row.get(4));
    if slots < i64::from(slot_needed) {
        let remedy = "ALTER SYSTEM SET max_replication_slots = 20;  -- then restart the server";
        findings.push(Finding::missing("all replication slots are taken").remedy(remedy));
    } else if slots < i64::from(slot_needed) + 1 {
        let remedy = "ALTER SYSTEM SET max_replication_slots = 20;  -- then restart the server";
        findings.push(
            Finding::warning("no replication slot is left for comparing tables whose schema changes").remedy(remedy),
        );
    }
    if senders < 2 {
        let remedy = "ALTER SYSTEM SET max_wal_senders = 20;  -- then restart the server";
        findings.push(Finding::missing("fewer than two WAL senders are left").remedy(remedy));
    }
    // One that goes with the connection holds nothing back when there is none.
    if row.get::<_, &str>(1) == "-1" && !postgres.temporary {
        findings.push(
            Finding::warning(
                "max_slot_wal_keep_size is not set: while Tidegate is stopped, its slot may fill the disk",
            )
            .remedy("ALTER SYSTEM SET max_slot_wal_keep_size = '20GB';\nSELECT pg_reload_conf();"),
        );
    }
    Ok(findings)
}

/// A slot that other settings of this source made, and that nobody reads any more.
async fn forgotten(client: &Client, postgres: &Postgres, name: &str) -> Result<Option<Finding>, Failure> {
    let earlier = settings::upstream_name(name);
    if !postgres.temporary && postgres.slot(name) == earlier {
        return Ok(None);
    }
    let slot = Slot::find(client, &earlier).await?.filter(|slot| slot.ours && slot.reader.is_none());
    Ok(slot.map(|_| {
        Finding::warning(format!(
            "nobody reads the slot `{earlier}`, which earlier settings made: it holds WAL without end"
        ))
        .remedy(format!("SELECT pg_drop_replication_slot('{earlier}');"))
    }))
}

fn slot_finding(name: &str, slot: Option<&Slot>) -> Option<Finding> {
    match slot? {
        Slot { ours: false, .. } => Some(
            Finding::missing(format!("the slot `{name}` belongs to another database or plugin"))
                .remedy("slot: another_name   # in the config of this source"),
        ),
        Slot { lost: true, .. } => {
            Some(Finding::warning(format!("the slot `{name}` lost its WAL; everything is compared at the next start")))
        }
        Slot { reader: Some(process), .. } => {
            Some(Finding::good(format!("the slot `{name}` is read by process {process}, a Tidegate that runs")))
        }
        _ => Some(Finding::good(format!("the slot `{name}` is there"))),
    }
}

async fn tables(
    postgres: &Postgres,
    client: &Client,
    name: &str,
    targets: &[Target],
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let (mut fit, mut names) = (Vec::new(), Vec::new());
    for target in targets {
        let (Takes::Rows(placement), Some(wanted)) = (&target.takes, &target.table) else { continue };
        let found = catalog::by_name(client, &[wanted.as_str()]).await?.pop().flatten();
        let Some(table) = found else {
            let what = format!("there is no table `{wanted}` in {}", postgres.endpoint.database());
            findings.push(Finding::missing(what));
            continue;
        };
        let title = table.title();
        let key = placement.key.iter().flat_map(|key| key.fields());
        if let Err(unfit) = table.fits(postgres.endpoint.user(), key, placement.template.parameters()) {
            let finding = Finding::missing(format!("{title} cannot be served: {}", unfit.why));
            findings.push(match unfit.remedy {
                Some(remedy) => finding.remedy(remedy),
                None => finding,
            });
            continue;
        }
        findings.push(Finding::good(format!("{title} can be served as `{}`", target.channel)));
        for column in table.nullable(&placement.template) {
            findings.push(
                Finding::warning(format!(
                    "{title}: `{column}` is part of the address and may be null; such rows are dead letters"
                ))
                .remedy(format!("ALTER TABLE {title} ALTER COLUMN {} SET NOT NULL;", plain(&column))),
            );
        }
        for column in table.unpublished() {
            findings.push(Finding::warning(format!(
                "{title}: the column `{}` is generated, and this server does not publish it: it is left out",
                column.name
            )));
        }
        if table.partitioned() {
            findings.push(Finding::warning(format!(
                "{title}: ATTACH, DETACH and TRUNCATE of a single partition are in no publication; the table is compared \
                 within a heartbeat after one"
            )));
        }
        names.push((wanted.clone(), table.oid));
        fit.push(table);
    }
    if fit.is_empty() {
        return Ok(());
    }
    fit.sort_by_key(|table| table.oid);
    fit.dedup_by_key(|table| table.oid);
    let publication = postgres.publication(name);
    let found = Publication::find(client, &publication).await?;
    if found.as_ref().is_some_and(Publication::for_all) {
        findings.push(Finding::warning(format!(
            "the publication `{publication}` is for all tables: updates and deletes fail on each that has no identity"
        )));
    }
    let published = publication::published(client, &publication).await?;
    for target in targets {
        let Takes::Rows(placement) = &target.takes else { continue };
        let table = target.table.as_deref().and_then(|name| names.iter().find(|(own, _)| own == name));
        let Some(columns) = table.and_then(|(_, oid)| published.get(oid)) else { continue };
        if let Some(missing) = columns.lacks(placement) {
            findings.push(Finding::missing(format!(
                "the publication `{publication}` leaves out the column `{missing}`, which `{}` needs",
                target.channel
            )));
        }
    }
    let wanted: Vec<_> = fit.iter().collect();
    findings.push(match wanting(found.as_ref(), &publication, &wanted) {
        None => Finding::good(format!("the publication `{publication}` is as it has to be")),
        Some(_) if publication::is_ours(&publication) && may_publish(client, &wanted).await? => {
            Finding::good(format!("the publication `{publication}` will be made, or brought in step, at the start"))
        }
        Some(sql) => Finding::missing(format!("{} may not make the publication", postgres.endpoint.user())).remedy(sql),
    });
    Ok(())
}

/// The SQL that makes the publication do.
fn wanting(found: Option<&Publication>, name: &str, tables: &[&Table]) -> Option<String> {
    let will_do = !publication::is_ours(name) && found.is_some_and(|found| found.will_do(tables));
    if will_do { None } else { Publication::remedy(found, name, tables) }
}

async fn may_publish(client: &Client, tables: &[&Table]) -> Result<bool, Failure> {
    let may = client.query_one("SELECT has_database_privilege(current_database(), 'CREATE')", &[]).await?;
    Ok(may.get::<_, bool>(0) && tables.iter().all(|table| table.owned))
}

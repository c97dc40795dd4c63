//! [`Snapshot`] and [`Status`] → Prometheus text (contract section 4).

use crate::datapath::snapshot::{Row, Snapshot};
use crate::datapath::tallies::Tally;
use crate::status::Status;
use gate25_common::abi::{FLOW_CAPACITY, SUSPECT_CAPACITY};
use gate25_common::verdict::EventKind;
use prometheus::{Encoder, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};

type Result<T> = prometheus::Result<T>;

const PACKETS: [&str; 7] = ["interface", "direction", "family", "zone", "verdict", "reason", "enforced"];

/// Renders all metrics. Counters come from the kernel, so each scrape starts an empty registry and fills it.
pub fn render(status: &Status, snapshot: &Snapshot) -> Result<String> {
    let page = Page(Registry::new());
    page.packets(status, snapshot)?;
    page.rules(status, snapshot)?;
    page.events(status, snapshot)?;
    page.controller(status)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.0.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

struct Page(Registry);

impl Page {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn packets(&self, status: &Status, snapshot: &Snapshot) -> Result<()> {
        let packets = self.counter("gate25_packets_total", "Packets by verdict.", &PACKETS)?;
        let bytes = self.counter("gate25_bytes_total", "Octets of frames by verdict.", &PACKETS)?;
        let attempts = self.counter("gate25_attempts_total", "New SMTP connections by verdict.", &PACKETS)?;
        let zones = status.installed.as_ref().map(|installed| &installed.zones);
        for row in &snapshot.packets {
            let zone = zones.and_then(|zones| zones.get(&row.zone)).map_or("", String::as_str);
            let labels = labels(row, zone);
            packets.with_label_values(&labels).inc_by(row.count.packets);
            bytes.with_label_values(&labels).inc_by(row.count.bytes);
            attempts.with_label_values(&labels).inc_by(row.count.attempts);
        }
        let actions =
            self.counter("gate25_actions_total", "Blocks carried out, by action.", &["interface", "action"])?;
        for (interface, action, count) in &snapshot.actions {
            actions.with_label_values(&[interface, action.label()]).inc_by(*count);
        }
        let events = self.counter(
            "gate25_flow_events_total",
            "What happened to redirected connections.",
            &["interface", "event"],
        )?;
        for (interface, event, count) in &snapshot.flow_events {
            events.with_label_values(&[interface, event.label()]).inc_by(*count);
        }
        Ok(())
    }

    fn rules(&self, status: &Status, snapshot: &Snapshot) -> Result<()> {
        let labels = ["rule", "kind"];
        let packets =
            self.counter("gate25_rule_packets_total", "Packets for which a rule was named.", &labels)?;
        let attempts = self.counter(
            "gate25_rule_attempts_total",
            "New SMTP connections for which a rule was named.",
            &labels,
        )?;
        let until =
            self.gauge("gate25_rule_until_timestamp_seconds", "When a rule ends, in Unix time.", &["rule"])?;
        let Some(installed) = &status.installed else { return Ok(()) };
        for (number, rule) in &installed.rules {
            let count = snapshot.rules.get(number).copied().unwrap_or_default();
            let labels = [rule.id.as_str(), rule.kind.label()];
            packets.with_label_values(&labels).inc_by(count.packets);
            attempts.with_label_values(&labels).inc_by(count.attempts);
            if let Some(end) = rule.until {
                until.with_label_values(&[&rule.id]).set(end.as_duration().as_secs_f64());
            }
        }
        Ok(())
    }

    fn events(&self, status: &Status, snapshot: &Snapshot) -> Result<()> {
        let told = self.counter("gate25_events_total", "Events that were told, by kind.", &["kind"])?;
        for (kind, tally) in [
            (EventKind::Blocked, Tally::EventsBlocked),
            (EventKind::Suspect, Tally::EventsSuspect),
            (EventKind::Policy, Tally::EventsPolicy),
        ] {
            told.with_label_values(&[kind.label()]).inc_by(status.tallies.get(tally));
        }
        self.counter("gate25_events_lost_total", "Events that could not be told, or not be written.", &[])?
            .with_label_values::<&str>(&[])
            .inc_by(snapshot.events_lost + status.tallies.get(Tally::EventsLost));
        self.gauge("gate25_suspects", "Subscribers over the thresholds of attempts and remotes.", &[])?
            .with_label_values::<&str>(&[])
            .set(status.suspects.suspects as f64);
        Ok(())
    }

    fn controller(&self, status: &Status) -> Result<()> {
        self.gauge("gate25_build_info", "The version that runs; always 1.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        let reloads =
            self.counter("gate25_policy_reloads_total", "Reloads of the policy, by result.", &["result"])?;
        reloads.with_label_values(&["ok"]).inc_by(status.reloads_done);
        reloads.with_label_values(&["refused"]).inc_by(status.reloads_refused);
        let attached = self.gauge(
            "gate25_attached",
            "Whether the program is on the interface.",
            &["interface", "mode"],
        )?;
        for interface in &status.interfaces {
            let labels = [interface.name.as_str(), interface.mode.label()];
            attached.with_label_values(&labels).set(f64::from(u8::from(interface.attached)));
        }
        let flag = |value| f64::from(u8::from(value));
        for (name, help, value) in [
            (
                "gate25_policy_refused",
                "1 while what is at the policy's path was refused, and the one before is in force.",
                flag(status.is_refused),
            ),
            (
                "gate25_policy_from_state",
                "1 while the policy in force is the last good one, since its path could not be read.",
                flag(status.kept_since.is_some()),
            ),
            (
                "gate25_clock_behind_seconds",
                "How far the wall clock is behind the newest time seen.",
                status.clock_behind,
            ),
        ] {
            self.gauge(name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        }
        let writes =
            self.counter("gate25_state_writes_total", "Writes into `state`, by result.", &["result"])?;
        writes.with_label_values(&["ok"]).inc_by(status.state_writes.done);
        writes.with_label_values(&["failed"]).inc_by(status.state_writes.failed);
        self.counter("gate25_clock_steps_total", "How often the wall clock was set.", &[])?
            .with_label_values::<&str>(&[])
            .inc_by(status.clock_steps);
        let redirect = self.gauge(
            "gate25_redirect_up",
            "Whether what a zone's blocked connections are redirected to answers; if not, they are reset.",
            &["zone", "action", "family"],
        )?;
        for found in &status.redirects {
            let labels = [found.zone.as_str(), found.action.label(), found.family.label()];
            redirect.with_label_values(&labels).set(f64::from(u8::from(found.is_up)));
        }
        self.names(status)?;
        let Some(installed) = &status.installed else { return Ok(()) };
        self.gauge("gate25_policy_info", "The policy in force; always 1.", &["digest"])?
            .with_label_values(&[&installed.digest])
            .set(1.0);
        self.gauge("gate25_policy_generation", "Policies installed since the tables were made.", &[])?
            .with_label_values::<&str>(&[])
            .set(f64::from(installed.active.generation()));
        let loaded = installed.loaded.map_or(0.0, |loaded| loaded.as_duration().as_secs_f64());
        self.gauge(
            "gate25_policy_loaded_timestamp_seconds",
            "When the policy in force was loaded, in Unix time.",
            &[],
        )?
        .with_label_values::<&str>(&[])
        .set(loaded);
        let entries = self.gauge("gate25_table_entries", "Entries of a table in force.", &["table"])?;
        let capacity = self.gauge("gate25_table_capacity", "Entries that a table can have.", &["table"])?;
        let flows = ("flows", status.flows, FLOW_CAPACITY as usize);
        let suspects = ("suspects", status.suspects.entries, SUSPECT_CAPACITY as usize);
        for (table, used, room) in installed.tables.iter().chain([&flows, &suspects]) {
            entries.with_label_values(&[table]).set(*used as f64);
            capacity.with_label_values(&[table]).set(*room as f64);
        }
        Ok(())
    }

    /// Names of the policy in force.
    fn names(&self, status: &Status) -> Result<()> {
        let labels = ["rule", "key", "name"];
        let addresses =
            self.gauge("gate25_name_addresses", "Addresses that a name of a rule stands for.", &labels)?;
        let failing = self.gauge(
            "gate25_name_failing",
            "Whether the last question for a name had no good answer; what it had before is kept for a time.",
            &labels,
        )?;
        for row in &status.names {
            let labels = [row.rule.as_str(), row.name.key.label(), row.name.text.as_str()];
            addresses.with_label_values(&labels).set(row.addresses.len() as f64);
            failing.with_label_values(&labels).set(f64::from(u8::from(row.failure.is_some())));
        }
        let resolutions = self.counter(
            "gate25_name_resolutions_total",
            "Questions to name servers, by result.",
            &["result"],
        )?;
        resolutions.with_label_values(&["ok"]).inc_by(status.name_resolutions.good);
        resolutions.with_label_values(&["failed"]).inc_by(status.name_resolutions.failed);
        Ok(())
    }
}

fn labels<'a>(row: &'a Row, zone: &'a str) -> [&'a str; 7] {
    [
        row.interface.as_str(),
        row.direction.label(),
        row.family.label(),
        zone,
        row.decision.label(),
        row.reason.label(),
        if row.enforced { "true" } else { "false" },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Redirect;
    use gate25_common::verdict::{Action, Family};

    #[test]
    fn redirects_are_up_or_not() {
        let redirect = |action, family, address: &str, is_up| Redirect {
            slot: 1,
            zone: "west".into(),
            action,
            family,
            address: address.parse().unwrap(),
            is_up,
        };
        let redirects = vec![
            redirect(Action::Notice, Family::Ipv4, "192.0.2.26:2525", true),
            redirect(Action::Notice, Family::Ipv6, "[2001:db8::1]:2525", false),
        ];
        let text = render(&Status { redirects, ..Status::default() }, &Snapshot::default()).unwrap();
        for wanted in [
            "gate25_redirect_up{action=\"notice\",family=\"ipv4\",zone=\"west\"} 1\n",
            "gate25_redirect_up{action=\"notice\",family=\"ipv6\",zone=\"west\"} 0\n",
        ] {
            assert!(text.contains(wanted), "{wanted} not in:\n{text}");
        }
    }
}

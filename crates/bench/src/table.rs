//! The report as a table.

use std::fmt::{self, Display, Formatter};

use crate::report::{
    Announcement, Connects, Deliveries, Generator, Gets, Latency, Load, Publishes, Report, Server,
    Step, Storm,
};

type Line<'a> = (&'a str, String);

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut lines = load(&self.load);
        lines.extend(connects("connected", &self.connects));
        lines.extend(self.publishes.iter().flat_map(publishes));
        lines.extend(self.deliveries.iter().flat_map(deliveries));
        lines.extend(self.gets.iter().map(gets));
        lines.extend(self.storm.iter().flat_map(storm));
        lines.extend(self.announcement.iter().map(announcement));
        lines.extend(self.server.iter().flat_map(server));
        lines.extend(self.generator.iter().map(generator));
        lines.extend(self.steps.iter().map(step));
        if self.lost_streams > 0 {
            let early = if self.ended_early {
                ": all of them, so the run ended early"
            } else {
                ""
            };
            lines.push(("STREAMS LOST", format!("{}{early}", self.lost_streams)));
        }
        lines.extend(self.warnings.iter().map(|text| ("WARNING", text.clone())));
        lines
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "{name:<22}{value}"))
    }
}

fn load(load: &Load) -> Vec<Line<'_>> {
    let Load {
        subscribers,
        topics,
        rate,
        seconds,
        payload_bytes,
        batch,
        sequential,
        ..
    } = load;
    let mut batched = if *batch > 1 {
        format!(" in POSTs of {batch}")
    } else {
        String::new()
    };
    if *sequential {
        batched.push_str(" one after the other");
    }
    vec![
        ("server", load.url.clone()),
        (
            "load",
            format!(
                "{subscribers} subscribers, {topics} topics, {rate:.1} events/s{batched}, {payload_bytes} bytes, {seconds} s"
            ),
        ),
    ]
}

fn connects<'a>(name: &'a str, connects: &Connects) -> Vec<Line<'a>> {
    let Connects {
        connected,
        failed,
        seconds,
        per_second,
        ..
    } = connects;
    let mut lines = vec![(
        name,
        format!("{connected} in {seconds:.3} s ({per_second:.0}/s)"),
    )];
    if *failed > 0 {
        let cause = connects.first_failure.as_deref().unwrap_or("");
        lines.push(("NOT CONNECTED", format!("{failed}, the first: {cause}")));
    }
    lines
}

fn publishes(publishes: &Publishes) -> Vec<Line<'_>> {
    let Publishes {
        accepted,
        accepted_per_second,
        refused,
        unanswered,
        unsent,
        late,
        ..
    } = publishes;
    let mut lines = vec![
        (
            "published",
            format!(
                "{accepted} ({accepted_per_second:.1}/s), refused {refused}, unanswered {unanswered}, unsent {unsent}, late {late}"
            ),
        ),
        ("POST to answer, ms", percentiles(&publishes.answer)),
    ];
    let problem = publishes.first_problem.iter();
    lines.extend(problem.map(|problem| ("FIRST PROBLEM", problem.clone())));
    lines
}

fn deliveries(deliveries: &Deliveries) -> Vec<Line<'_>> {
    let Deliveries {
        due,
        delivered,
        per_second,
        missing,
        repeated,
        ..
    } = deliveries;
    let Deliveries {
        out_of_order,
        interleaved,
        misrouted,
        ..
    } = deliveries;
    vec![
        (
            "delivered",
            format!("{delivered} of {due} due ({per_second:.0}/s)"),
        ),
        ("POST to receipt, ms", percentiles(&deliveries.latency)),
        (
            "faults",
            format!(
                "missing {missing}, repeated {repeated}, out of order {out_of_order}, misrouted {misrouted} (interleaved {interleaved})"
            ),
        ),
    ]
}

fn percentiles(latency: &Latency) -> String {
    if latency.max_ms == 0.0 {
        return "not measured".to_owned();
    }
    let Latency {
        p50_ms,
        p90_ms,
        p99_ms,
        p999_ms,
        max_ms,
    } = latency;
    format!(
        "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2}"
    )
}

fn storm(storm: &Storm) -> Vec<Line<'_>> {
    let Storm {
        caught_up_seconds,
        p50_ms,
        p99_ms,
        events_per_second,
        ..
    } = storm;
    let mut lines = connects("reconnected", &storm.reconnects);
    lines.push(("all caught up after", format!(
        "{caught_up_seconds:.3} s (p50 {p50_ms:.0} ms, p99 {p99_ms:.0} ms), {events_per_second:.0} events/s"
    )));
    lines
}

fn server(server: &Server) -> Vec<Line<'_>> {
    let line = |each: Option<f64>, share: f64, bytes: Option<f64>| {
        let each = each.map_or(String::new(), |us| format!("{us:.2} us CPU a delivery, "));
        let bytes = bytes.map_or(String::new(), |b| {
            format!(", {b:.0} bytes a connection (PSS)")
        });
        format!("{each}{share:.2} cores{bytes}")
    };
    let Server {
        cpu_us_per_delivery,
        cpu_share,
        bytes_per_connection,
        ..
    } = *server;
    let mut lines = vec![(
        "server process",
        line(cpu_us_per_delivery, cpu_share, bytes_per_connection),
    )];
    if let Some(share) = server.tree_cpu_share {
        let (each, bytes) = (
            server.tree_cpu_us_per_delivery,
            server.tree_bytes_per_connection,
        );
        lines.push(("with its descendants", line(each, share, bytes)));
    }
    let kernel = server.kernel_bytes_per_connection;
    lines.extend(kernel.map(|bytes| ("kernel, one end", format!("{bytes:.0} bytes a connection"))));
    lines
}

fn gets(gets: &Gets) -> Line<'_> {
    let Gets {
        path,
        answered,
        failed,
        latency,
    } = gets;
    let (p50, p99, max) = (latency.p50_ms, latency.p99_ms, latency.max_ms);
    (
        "GETs meanwhile",
        format!(
            "{path}: {answered} answered, {failed} not: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms"
        ),
    )
}

fn announcement(announcement: &Announcement) -> Line<'_> {
    let Announcement {
        receipts,
        p50_ms,
        p99_ms,
        last_ms,
    } = announcement;
    (
        "one event to all",
        format!(
            "{receipts} receipts: p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, last {last_ms:.1} ms"
        ),
    )
}

fn generator(generator: &Generator) -> Line<'_> {
    ("generator", format!("{:.2} cores", generator.cpu_share))
}

fn step(step: &Step) -> Line<'_> {
    let Step {
        rate,
        per_second,
        p99_ms,
        fault,
    } = step;
    let verdict = fault.unwrap_or("kept up");
    (
        "step",
        format!("{rate:.1} events/s, {per_second:.0} deliveries/s, p99 {p99_ms:.1} ms: {verdict}"),
    )
}

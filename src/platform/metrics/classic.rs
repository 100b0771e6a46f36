//! The older text format of Prometheus, for those who do not ask for `OpenMetrics`.

const HELP: &str = "# HELP ";
const TYPE: &str = "# TYPE ";
const COUNTER: &str = " counter";

/// The same samples. A family of counters has the name of its samples, and there is no end.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 4_096);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let is_of_counters =
            line.starts_with(HELP) && lines.peek().copied().is_some_and(is_counter);
        if is_of_counters || is_counter(line) {
            let (start, rest) = line.split_at(HELP.len());
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            text.extend([start, name, "_total ", rest, "\n"]);
        } else if line != "# EOF" {
            text.extend([line, "\n"]);
        }
    }
    text
}

fn is_counter(line: &str) -> bool {
    line.starts_with(TYPE) && line.ends_with(COUNTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_counters_have_the_names_of_their_samples() {
        let counters = "# HELP a Some.\n# TYPE a counter\na_total{b=\"c\"} 1\n";
        let gauges = "# HELP d Others.\n# TYPE d gauge\nd 2\n";
        let expected = "# HELP a_total Some.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
        let text = format!("{counters}{gauges}{counters}# EOF\n");
        assert_eq!(classic(&text), format!("{expected}{gauges}{expected}"));
    }
}

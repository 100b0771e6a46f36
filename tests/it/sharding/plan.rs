//! Which brokerages a plan of Postgres can touch, by the conditions on the columns `broker_id`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::PgConnection;

const COLUMN: &str = "broker_id";

/// The tables with a brokerage in each row, and the place of its column.
pub struct Tables(BTreeMap<String, usize>);

impl Tables {
    pub async fn read(sql: &mut PgConnection) -> Self {
        let columns = sqlx::query_as::<_, (String, String)>(
            "select c.relname::text, a.attname::text from pg_class c
             join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             where c.relnamespace = 'porchlight'::regnamespace and c.relkind = 'r'
             order by c.relname, a.attnum",
        );
        let mut places = BTreeMap::<_, usize>::new();
        let mut tables = BTreeMap::new();
        for (table, column) in columns.fetch_all(sql).await.expect("columns") {
            let place = places.entry(table.clone()).or_default();
            if column == COLUMN {
                tables.insert(table, *place);
            }
            *place += 1;
        }
        assert!(tables.len() > 15, "{tables:?}");
        Self(tables)
    }

    fn has(&self, table: &Value) -> bool {
        table
            .as_str()
            .is_some_and(|table| self.0.contains_key(table))
    }
}

/// A column `broker_id`, or a value that it is compared with.
type Source = String;
type Sources = BTreeSet<Source>;

#[derive(Debug, Default)]
pub struct Plan {
    /// The brokerages of rows that are read and written.
    touched: Sources,
    /// Those whose rows meet in a join, or are inserted because of each other.
    meeting: Vec<Sources>,
    /// Pairs that are equal.
    equal: Vec<[Source; 2]>,
    /// Common table expressions that touch brokerages.
    expressions: BTreeSet<String>,
}

impl Plan {
    pub fn read(node: &Value, tables: &Tables) -> Self {
        let mut plan = Self::default();
        let meeting = plan.add(node, tables);
        plan.meeting.extend(meeting);
        plan
    }

    /// Adds a part of the plan. Gives what may meet with the rest of the plan: a set for each branch of a union.
    fn add(&mut self, node: &Value, tables: &Tables) -> Vec<Sources> {
        let is_separate = |part: &&Value| part["Parent Relationship"] == "InitPlan";
        let parts: Vec<_> = node["Plans"].as_array().into_iter().flatten().collect();
        let (separate, parts): (Vec<&Value>, Vec<_>) = parts.into_iter().partition(is_separate);
        for part in separate {
            self.add_separate(part, tables);
        }
        self.add_conditions(node);
        let mut meeting = vec![self.own(node, tables)];
        let is_union = ["Append", "Merge Append"]
            .iter()
            .any(|kind| node["Node Type"] == *kind);
        let mut branches = Vec::new();
        for part in parts {
            let sets = self.add(part, tables);
            self.name_output(node, part);
            if is_union {
                branches.extend(sets);
            } else {
                meeting = product(&meeting, &sets);
            }
        }
        if is_union {
            product(&meeting, &branches)
        } else {
            meeting
        }
    }

    /// What is computed before, such as a common table expression.
    fn add_separate(&mut self, part: &Value, tables: &Tables) {
        let meeting = self.add(part, tables);
        let name = part["Subplan Name"]
            .as_str()
            .and_then(|name| name.strip_prefix("CTE "));
        if let Some(name) = name.filter(|_| meeting.iter().any(|set| !set.is_empty())) {
            self.expressions.insert(name.to_owned());
        }
        for value in columns_of(part) {
            self.equal
                .push([format!("CTE {}.{COLUMN}", name.unwrap_or_default()), value]);
        }
        self.meeting.extend(meeting);
    }

    /// The brokerages that this node itself touches.
    fn own(&mut self, node: &Value, tables: &Tables) -> Sources {
        let source = if tables.has(&node["Relation Name"]) && node["Operation"] == "Insert" {
            // What the statement returns has the name of the table.
            self.equal.push([column(node), inserted(node, tables)]);
            inserted(node, tables)
        } else if tables.has(&node["Relation Name"]) && node["Operation"].is_null() {
            column(node)
        } else if let Some(name) = node["CTE Name"]
            .as_str()
            .filter(|name| self.expressions.contains(*name))
        {
            self.equal
                .push([column(node), format!("CTE {name}.{COLUMN}")]);
            return Sources::from([column(node)]);
        } else {
            return Sources::new();
        };
        self.touched.insert(source.clone());
        Sources::from([source])
    }

    /// A subquery's column `broker_id` is that of the rows that it reads.
    fn name_output(&mut self, node: &Value, part: &Value) {
        if node["Node Type"] == "Subquery Scan" {
            for value in columns_of(part) {
                self.equal.push([column(node), value]);
            }
        }
    }

    fn add_conditions(&mut self, node: &Value) {
        let all = node.as_object().expect("a node").iter();
        let is_condition = |name: &str| name.ends_with("Cond") || name.ends_with("Filter");
        for (_, condition) in all.filter(|(name, _)| is_condition(name)) {
            self.add_condition(condition.as_str().expect("a condition"));
        }
    }

    fn add_condition(&mut self, condition: &str) {
        for (at, equals) in condition.match_indices(" = ") {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "._$'\"*".contains(c);
            let before = &condition[..at];
            let left = &before[before.rfind(|c| !is_part(c)).map_or(0, |end| end + 1)..];
            let after = &condition[at + equals.len()..];
            let right = &after[..after.find(|c| !is_part(c)).unwrap_or(after.len())];
            if is_column(left) || is_column(right) {
                self.equal.push([plain(left), plain(right)]);
            }
        }
    }

    /// All columns and values that are equal to this one.
    fn equal_to(&self, source: &Source) -> Sources {
        let mut all = Sources::from([source.clone()]);
        loop {
            let before = all.len();
            for pair in &self.equal {
                if pair.iter().any(|side| all.contains(side)) {
                    all.extend(pair.iter().cloned());
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Whether the rows that it touches are of one brokerage, whatever the parameters are.
    pub fn is_of_one_brokerage(&self) -> bool {
        let is_one = |source: &Source| self.equal_to(source).iter().any(|equal| is_value(equal));
        self.touched.iter().all(is_one)
    }

    /// Whether rows that meet are of the same brokerage.
    pub fn keeps_brokerages_apart(&self) -> bool {
        let is_same = |sources: &Sources| {
            let first = sources.first();
            first.is_none_or(|first| sources.is_subset(&self.equal_to(first)))
        };
        self.meeting.iter().all(is_same)
    }
}

fn column(node: &Value) -> Source {
    format!("{}.{COLUMN}", node["Alias"].as_str().expect("an alias"))
}

/// The value of the column in inserted rows.
fn inserted(node: &Value, tables: &Tables) -> Source {
    let place = tables.0[node["Relation Name"].as_str().expect("a table")];
    let is_outer = |part: &&Value| part["Parent Relationship"] == "Outer";
    let rows = node["Plans"]
        .as_array()
        .and_then(|parts| parts.iter().find(is_outer));
    let values = rows
        .and_then(|rows| rows["Output"].as_array())
        .expect("rows");
    plain(values[place].as_str().expect("a value"))
}

/// The columns `broker_id` that a part of a plan returns.
fn columns_of(part: &Value) -> Vec<Source> {
    let values = part["Output"].as_array().into_iter().flatten();
    let values = values.filter_map(Value::as_str);
    values.filter(|value| is_column(value)).map(plain).collect()
}

fn plain(text: &str) -> Source {
    text.replace('"', "")
}

fn is_column(text: &str) -> bool {
    text.strip_suffix(COLUMN)
        .is_some_and(|rest| rest.ends_with('.'))
}

/// A parameter or a constant.
fn is_value(text: &str) -> bool {
    text.starts_with(['$', '\''])
}

/// Each set of the one list with each of the other.
fn product(some: &[Sources], others: &[Sources]) -> Vec<Sources> {
    let pairs = some
        .iter()
        .flat_map(|one| others.iter().map(move |other| one | other));
    let all: Vec<_> = pairs.collect();
    if others.is_empty() {
        some.to_vec()
    } else {
        all
    }
}

//! Texts with placeholders, parsed once and filled in for each request.

/// A text with placeholders. Other braces stay as they are, because JSON needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Topic,
    Subscriber,
    Token,
    ServiceToken,
    Payload,
    Events,
}

const FIELDS: [(&str, Field); 6] = [
    ("{topic}", Field::Topic),
    ("{subscriber}", Field::Subscriber),
    ("{token}", Field::Token),
    ("{service_token}", Field::ServiceToken),
    ("{payload}", Field::Payload),
    ("{events}", Field::Events),
];

/// The values of the placeholders. A value that a request does not have is empty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Values<'a> {
    pub topic: &'a str,
    pub subscriber: &'a str,
    pub token: &'a str,
    pub service_token: &'a str,
    pub payload: &'a [u8],
    pub events: &'a [u8],
}

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((at, name, field)) = first_field(rest) {
            parts.push(Part::Text(rest[..at].to_owned()));
            parts.push(Part::Field(field));
            rest = &rest[at + name.len()..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Self(parts)
    }

    pub(crate) fn mentions(&self, field: Field) -> bool {
        self.0.contains(&Part::Field(field))
    }

    /// Appends the filled-in text to `out`.
    pub(crate) fn fill(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            out.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Field(field) => values.of(*field),
            });
        }
    }
}

impl Values<'_> {
    fn of(&self, field: Field) -> &[u8] {
        match field {
            Field::Topic => self.topic.as_bytes(),
            Field::Subscriber => self.subscriber.as_bytes(),
            Field::Token => self.token.as_bytes(),
            Field::ServiceToken => self.service_token.as_bytes(),
            Field::Payload => self.payload,
            Field::Events => self.events,
        }
    }
}

fn first_field(text: &str) -> Option<(usize, &'static str, Field)> {
    let found = |(name, field)| text.find(name).map(|at| (at, name, field));
    FIELDS.into_iter().filter_map(found).min_by_key(|f| f.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_placeholders_are_filled_in() {
        let template = Template::new(r#"{"a":{"team":"{topic}"},"p":"{payload}","x":{topics}}"#);
        let values = Values {
            topic: "t-1",
            payload: b"xyz",
            ..Values::default()
        };
        let mut out = Vec::new();
        template.fill(&values, &mut out);
        assert_eq!(out, br#"{"a":{"team":"t-1"},"p":"xyz","x":{topics}}"#);
        assert!(template.mentions(Field::Payload) && !template.mentions(Field::Token));
    }
}

//! The requests of subscribers and publishers.

use crate::args::{BenchArgs, Peer};
use crate::error::BenchError;
use crate::template::{Field, Template, Values};

pub(crate) struct Requests {
    stream: Template,
    publish: Template,
    event: Template,
    batch: Option<Template>,
}

/// The templates of a server, for options that are not set.
struct Preset {
    subscribe_path: &'static str,
    subscribe_headers: &'static [&'static str],
    publish_path: &'static str,
    publish_headers: &'static [&'static str],
    publish_body: &'static str,
}

const PORCHLIGHT: Preset = Preset {
    subscribe_path: "/stream/team",
    subscribe_headers: &["Authorization: Bearer {token}"],
    publish_path: "/events",
    publish_headers: &[
        "Authorization: Bearer {service_token}",
        "Content-Type: application/json",
    ],
    publish_body: r#"{"type":"bench:tick","audience":{"team":"{topic}"},"data":{"p":"{payload}"}}"#,
};

const NCHAN: Preset = Preset {
    subscribe_path: "/sub?id={topic}",
    subscribe_headers: &[],
    publish_path: "/pub?id={topic}",
    publish_headers: &["Content-Type: text/plain"],
    publish_body: "{payload}",
};

/// The buffers for requests, which are used again and again.
#[derive(Default)]
pub(crate) struct Buffers {
    pub payload: Vec<u8>,
    pub events: Vec<u8>,
    body: Vec<u8>,
    pub request: Vec<u8>,
}

/// The parts of a URL: the path is put before every path of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerUrl<'a> {
    pub authority: &'a str,
    pub base: &'a str,
}

impl<'a> ServerUrl<'a> {
    pub(crate) fn parse(url: &'a str) -> Result<Self, BenchError> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            let problem = "must begin with http:// (load the server itself, not its TLS proxy)";
            BenchError::option("url", problem)
        })?;
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let base = base.trim_end_matches('/');
        Ok(Self { authority, base })
    }
}

impl Requests {
    pub(crate) fn new(
        args: &BenchArgs,
        stream_at: ServerUrl<'_>,
        publish_at: ServerUrl<'_>,
    ) -> Result<Self, BenchError> {
        let preset = match args.peer {
            Peer::Porchlight => PORCHLIGHT,
            // The same paths.
            Peer::Nchan | Peer::Raw => NCHAN,
        };
        let or = |given: &Option<String>, preset: &str| given.clone().unwrap_or(preset.to_owned());
        let subscribe_path = or(&args.subscribe_path, preset.subscribe_path);
        let headers = headers(&args.subscribe_header, preset.subscribe_headers);
        let ServerUrl { authority, base } = stream_at;
        let stream = format!(
            "GET {base}{subscribe_path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/event-stream\r\n{headers}"
        );
        let publish_path = or(&args.publish_path, preset.publish_path);
        let headers = self::headers(&args.publish_header, preset.publish_headers);
        let method = &args.publish_method;
        let ServerUrl { authority, base } = publish_at;
        let publish =
            format!("{method} {base}{publish_path} HTTP/1.1\r\nHost: {authority}\r\n{headers}");
        let requests = Self {
            stream: Template::new(&stream),
            publish: Template::new(&publish),
            event: Template::new(&or(&args.publish_body, preset.publish_body)),
            batch: (args.batch > 1).then(|| Template::new(&args.batch_body)),
        };
        requests.check()
    }

    fn check(self) -> Result<Self, BenchError> {
        let (event, path) = (&self.event, &self.publish);
        if !event.mentions(Field::Payload) && !path.mentions(Field::Payload) {
            let problem = "must hold {payload}, or --publish-path must";
            return Err(BenchError::option("publish-body", problem));
        }
        match &self.batch {
            Some(batch) if !batch.mentions(Field::Events) || !event.mentions(Field::Payload) => {
                let problem = "must hold {events}, and --publish-body must hold {payload}";
                Err(BenchError::option("batch-body", problem))
            }
            _ => Ok(self),
        }
    }

    pub(crate) fn show_service_token(&self) -> bool {
        [&self.stream, &self.publish, &self.event]
            .into_iter()
            .any(|t| t.mentions(Field::ServiceToken))
    }

    /// Whether each subscriber shows a token of its own.
    pub(crate) fn show_subscriber_tokens(&self) -> bool {
        self.stream.mentions(Field::Token)
    }

    /// Whether each topic has a publisher with a token of its own.
    pub(crate) fn show_publisher_tokens(&self) -> bool {
        [&self.publish, &self.event]
            .into_iter()
            .any(|t| t.mentions(Field::Token))
    }

    /// The request that opens a stream, after `cursor` if there is one.
    pub(crate) fn stream(&self, values: &Values<'_>, cursor: Option<&[u8]>) -> Vec<u8> {
        let mut request = Vec::new();
        self.stream.fill(values, &mut request);
        if let Some(cursor) = cursor {
            request.extend_from_slice(b"Last-Event-ID: ");
            request.extend_from_slice(cursor);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }

    /// Adds the event with the payload in `buffers` to its events.
    pub(crate) fn add_event(&self, values: &Values<'_>, buffers: &mut Buffers) {
        if !buffers.events.is_empty() {
            buffers.events.push(b',');
        }
        let payload = &buffers.payload;
        self.event
            .fill(&Values { payload, ..*values }, &mut buffers.events);
    }

    /// Writes the request that publishes the events in `buffers`.
    pub(crate) fn publish(&self, values: &Values<'_>, buffers: &mut Buffers) {
        let Buffers {
            payload,
            events,
            body,
            request,
        } = buffers;
        let values = Values {
            payload,
            events,
            ..*values
        };
        body.clear();
        match &self.batch {
            Some(batch) => batch.fill(&values, body),
            None => body.extend_from_slice(events),
        }
        request.clear();
        self.publish.fill(&values, request);
        request.extend_from_slice(b"Content-Length: ");
        request.extend_from_slice(body.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
    }
}

fn headers(given: &[String], preset: &[&str]) -> String {
    let line = |header: &str| format!("{header}\r\n");
    if given.is_empty() {
        preset.iter().map(|header| line(header)).collect()
    } else {
        given.iter().map(|header| line(header)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_authority_and_a_path_before_every_path() {
        let parsed = |url| ServerUrl::parse(url).map(|url| (url.authority, url.base));
        assert_eq!(parsed("http://a:1").unwrap(), ("a:1", ""));
        assert_eq!(parsed("http://a:1/").unwrap(), ("a:1", ""));
        assert_eq!(parsed("http://a/x/y/").unwrap(), ("a", "/x/y"));
        assert!(parsed("https://a").is_err());
    }
}

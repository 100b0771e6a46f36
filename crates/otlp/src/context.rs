//! Which span of which trace, and the header `traceparent` of W3C Trace Context.

use std::fmt;

/// The length of the header in the version that is sent.
const HEADER_LEN: usize = 55;
const SAMPLED: u8 = 1;

/// Not all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Not all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// Defines what both kinds of ids have.
macro_rules! ids {
    ($($name:ident: $len:literal),+) => {$(
        impl $name {
            /// `None`: zeros are no id.
            #[must_use]
            pub fn of(bytes: [u8; $len]) -> Option<Self> {
                (bytes != [0; $len]).then_some(Self(bytes))
            }

            fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; $len];
                hex(text, &mut bytes)?;
                Self::of(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

ids!(TraceId: 16, SpanId: 8);

/// A span that is sampled. Its text is a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    pub trace: TraceId,
    pub span: SpanId,
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{SAMPLED:02x}", self.trace, self.span)
    }
}

/// What a request says about the span that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    pub context: SpanContext,
    pub is_sampled: bool,
}

impl Traceparent {
    /// `None`: the header is not valid, and counts as missing. It allocates nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.get(..HEADER_LEN)?;
        let more = &text[HEADER_LEN..];
        let mut parts = known.split('-');
        let [version, trace, span, flags] = std::array::from_fn(|_| parts.next());
        let (mut version_byte, mut flags_byte) = ([0], [0]);
        hex(version?, &mut version_byte)?;
        // A later version may have more parts.
        let is_known = match version_byte {
            [0] => more.is_empty(),
            [0xff] => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        if !is_known || parts.next().is_some() {
            return None;
        }
        hex(flags?, &mut flags_byte)?;
        Some(Self {
            context: SpanContext {
                trace: TraceId::parse(trace?)?,
                span: SpanId::parse(span?)?,
            },
            is_sampled: flags_byte[0] & SAMPLED == SAMPLED,
        })
    }
}

/// Reads exactly as many bytes, in small letters.
fn hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_names_a_span_and_says_whether_it_is_sampled() {
        let parsed = Traceparent::parse(VALID).unwrap();
        assert!(parsed.is_sampled);
        assert_eq!(parsed.context.to_string(), VALID);
        assert_eq!(parsed.context.span.to_string(), "00f067aa0ba902b7");
        for (flags, is_sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let text = format!("{}{flags}", &VALID[..53]);
            assert_eq!(Traceparent::parse(&text).unwrap().is_sampled, is_sampled);
        }
    }

    #[test]
    fn a_later_version_may_have_more_parts_and_this_one_not() {
        let later = VALID.replacen("00", "cc", 1);
        let of = |text: &str| Traceparent::parse(text).map(|parsed| parsed.context);
        assert_eq!(of(&later), of(VALID));
        assert_eq!(of(&format!("{later}-what-comes")), of(VALID));
        assert_eq!(of(&format!("{later}x")), None);
        assert_eq!(of(&format!("{VALID}-what-comes")), None);
    }

    #[test]
    fn what_is_no_header_is_none() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-",
            " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47\u{fc}-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\u{fc}",
        ] {
            assert_eq!(Traceparent::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,80}") {
            let _ = Traceparent::parse(&text);
        }

        #[test]
        fn a_span_reads_back_as_it_was_written(trace in any::<[u8; 16]>(), span in any::<[u8; 8]>()) {
            let (Some(trace), Some(span)) = (TraceId::of(trace), SpanId::of(span)) else {
                return Ok(());
            };
            let context = SpanContext { trace, span };
            let is_sampled = true;
            let read = Traceparent::parse(&context.to_string());
            prop_assert_eq!(read, Some(Traceparent { context, is_sampled }));
        }
    }
}

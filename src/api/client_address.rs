//! The address of a client, also behind proxies.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest};

use super::{Context, Problem};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where the client of a request is, if that is known.
pub(super) struct Client(pub(super) Option<IpAddr>);

impl FromRequest for Client {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = Context::of(request);
        ready(context.map(|context| Self(context.services.limits.rates.client(request))))
    }
}

/// The address of the connection, or the one that the outermost trusted proxy has seen.
pub(super) fn client_address(request: &HttpRequest, trusted_proxies: usize) -> IpAddr {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let forwarded = request.headers().get_all(FORWARDED_FOR);
    // As bytes: what a client sent before may be anything, and must not hide what a proxy added.
    let forwarded = forwarded.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let addresses: Vec<_> = forwarded.collect();
    let at = addresses.len().checked_sub(trusted_proxies);
    let client = at.filter(|_| trusted_proxies > 0);
    let client = client.and_then(|at| forwarded_address(addresses[at]));
    client.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// An address as proxies write it: some add the port of the client.
fn forwarded_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// One customer of a provider has many addresses of IPv6, which share their first 64 bits.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other @ IpAddr::V4(_) => other,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_address_is_the_one_that_the_trusted_proxy_has_seen() {
        let peer = "10.0.0.1:5";
        // Each line is a header.
        for (forwarded, proxies, client) in [
            ("", 1, "10.0.0.1"),
            ("8.8.8.8", 0, "10.0.0.1"),
            ("8.8.8.8", 1, "8.8.8.8"),
            ("1.1.1.1, 8.8.8.8", 1, "8.8.8.8"),
            ("1.1.1.1, 8.8.8.8", 2, "1.1.1.1"),
            ("8.8.8.8", 2, "10.0.0.1"),
            ("1.1.1.1\n8.8.8.8", 1, "8.8.8.8"),
            ("unknown", 1, "10.0.0.1"),
            // As some proxies write them.
            ("8.8.8.8:4711", 1, "8.8.8.8"),
            ("[2001:db8::1]:4711", 1, "2001:db8::1"),
            ("[2001:db8::1]", 1, "2001:db8::1"),
            // What a client sends itself does not hide the rest.
            ("\u{fc}, 8.8.8.8", 1, "8.8.8.8"),
        ] {
            let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
            for value in forwarded.lines() {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                request = request.append_header((FORWARDED_FOR, value));
            }
            let address = client_address(&request.to_http_request(), proxies);
            assert_eq!(address.to_string(), client, "{forwarded:?} {proxies}");
        }
    }
}

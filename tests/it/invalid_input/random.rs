//! Random requests, the same in each run.

use serde_json::Value;

use super::{json_body, with};
use crate::support::{Answer, Service, Token};

#[tokio::test]
async fn whatever_is_asked_and_sent_at_random_is_never_a_fault_of_the_service() {
    let service = Service::start().await;
    let mut chance = Chance(0x5eed);
    let token = Token::user("u", &["a"]);
    for _ in 0..400 {
        let body = chance.mutated(&with(
            "data",
            r#"{"a":[1,2.50,"\u0041",null],"b":{"c":true}}"#,
        ));
        let answer = Answer::to(json_body(&service, body.clone())).await;
        let what = String::from_utf8_lossy(&body).into_owned();
        assert!(
            matches!(answer.status, 201 | 400),
            "{what}: {}",
            answer.text
        );
        if answer.status == 400 {
            let code = answer.json()["code"].as_str().expect("a code").to_owned();
            answer.refused(400, &code, &what);
        }
        let query =
            chance.mutated("types=escrow:*,t&records=a/b&limit=7&after=0&scope=team&team=a");
        let query: String = query
            .iter()
            .map(|byte| match byte {
                b' '..=b'~' if !b"#\"<>% ".contains(byte) => char::from(*byte).to_string(),
                byte => format!("%{byte:02x}"),
            })
            .collect();
        let answer = Answer::to(service.get(&format!("/events?{query}"), &token)).await;
        assert!(
            matches!(answer.status, 200 | 400 | 404 | 410),
            "{query}: {}",
            answer.text
        );
    }
    let page = service.list("/events?limit=1000", &token).await;
    let listed: Vec<&Value> = page["events"].as_array().expect("events").iter().collect();
    assert!(listed.iter().all(|event| event["type"].is_string()));
}

/// Random numbers, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a number") % n
    }

    /// The text with a few bytes changed, left out, doubled or put elsewhere.
    fn mutated(&mut self, text: &str) -> Vec<u8> {
        const ODD: &[u8] = b"{}[]\",:\\/-+.eE019 \0\n\r\xff\xc3\x80ntf&=%";
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let (at, other) = (self.below(bytes.len()), self.below(bytes.len()));
            match self.below(5) {
                0 => bytes[at] = ODD[self.below(ODD.len())],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, ODD[self.below(ODD.len())]),
                3 => bytes.swap(at, other),
                _ => bytes.extend_from_within(at..),
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        bytes
    }
}

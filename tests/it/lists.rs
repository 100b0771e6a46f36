//! Lists: the cost of a page does not depend on the number and size of all rows.

mod bytes;
mod costs;
mod joined;
mod unread;

use serde_json::Value;

use crate::support::sql::run;
use crate::support::{Answer, Service, Token};

/// How a list is paged: by which parameter, and where the first page begins.
#[derive(Clone, Copy, Debug)]
struct List<'a> {
    path: &'a str,
    name: &'a str,
    parameter: &'a str,
    /// Ends when a page is empty, and not when nothing is next.
    is_endless: bool,
}

impl<'a> List<'a> {
    fn new(path: &'a str, name: &'a str) -> Self {
        Self {
            path,
            name,
            parameter: "cursor",
            is_endless: false,
        }
    }

    /// The texts of all pages, from a given position on.
    async fn pages_from(&self, service: &Service, who: &Token, mut at: String) -> Vec<String> {
        let mut pages = Vec::new();
        loop {
            let and = if self.path.contains('?') { '&' } else { '?' };
            let path = format!("{}{and}{at}", self.path);
            let answer = Answer::to(service.get(&path, who)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            let page = answer.json();
            let is_empty = page[self.name].as_array().expect("a list").is_empty();
            if !(self.is_endless && is_empty) {
                pages.push(answer.text);
            }
            match page["next"].as_str() {
                Some(next) if !(self.is_endless && is_empty) => {
                    at = format!("{}={next}", self.parameter);
                }
                _ => return pages,
            }
        }
    }

    /// The items of a page.
    fn items(&self, page: &str) -> Vec<Value> {
        let page: Value = serde_json::from_str(page).expect("JSON");
        page[self.name].as_array().expect("a list").clone()
    }
}

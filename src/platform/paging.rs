//! Pages of lists, limited in items and in bytes.

/// Space for the other fields of a page.
const ENVELOPE_BYTES: usize = 512;

#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    items: usize,
    bytes: usize,
}

impl PageLimit {
    /// At least one item may be on a page, even if it has more bytes.
    #[must_use]
    pub fn new(items: usize, bytes: usize) -> Self {
        Self {
            items: items.max(1),
            bytes: bytes.saturating_sub(ENVELOPE_BYTES),
        }
    }

    /// The most items, for SQL.
    #[must_use]
    pub fn rows(self) -> i64 {
        i64::try_from(self.items).unwrap_or(i64::MAX)
    }

    /// The most bytes of all items, for SQL.
    #[must_use]
    pub fn bytes(self) -> i64 {
        i64::try_from(self.bytes).unwrap_or(i64::MAX)
    }
}

/// The items of a page as JSON.
#[derive(Debug)]
pub struct PageItems {
    limit: PageLimit,
    count: usize,
    json: String,
}

impl PageItems {
    #[must_use]
    pub fn new(limit: PageLimit) -> Self {
        Self {
            limit,
            count: 0,
            json: String::new(),
        }
    }

    /// Adds an item if there is space for it. There always is for the first one.
    #[must_use = "an item that was not added belongs to the next page"]
    pub fn push(&mut self, item: &str) -> bool {
        let bytes = self.json.len() + 1 + item.len();
        let has_space = self.count < self.limit.items && bytes <= self.limit.bytes;
        if self.count > 0 && !has_space {
            return false;
        }
        if self.count > 0 {
            self.json.push(',');
        }
        self.json.push_str(item);
        self.count += 1;
        true
    }

    /// Adds items while there is space.
    pub fn fill<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        json: impl Fn(&T) -> String,
    ) -> Filled<T> {
        let mut last = None;
        for item in items {
            if !self.push(&json(&item)) {
                let has_more = true;
                return Filled { last, has_more };
            }
            last = Some(item);
        }
        let has_more = false;
        Filled { last, has_more }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items with commas between them.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

#[derive(Debug)]
pub struct Filled<T> {
    /// The last item of the page.
    pub last: Option<T>,
    /// Whether some items were left out.
    pub has_more: bool,
}

impl<T> Filled<T> {
    /// The item after which the next page starts, if there is a next page.
    pub fn goes_on_after(self) -> Option<T> {
        self.last.filter(|_| self.has_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(items: &[String], limit: PageLimit) -> Vec<String> {
        let (mut pages, mut rest) = (Vec::new(), items);
        loop {
            let mut page = PageItems::new(limit);
            let filled = page.fill(rest.iter().enumerate(), |(_, item)| (*item).clone());
            pages.push(page.json().to_owned());
            match filled.goes_on_after() {
                Some((n, _)) => rest = &rest[n + 1..],
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_of_any_limit_join_to_the_whole_list() {
        let items: Vec<_> = (0..40).map(|n| "x".repeat(n * 7 % 23)).collect();
        let whole = pages(&items, PageLimit::new(1_000, 1 << 20));
        assert_eq!(whole, [items.join(",")]);
        for most in [1, 2, 3, 39, 40, 41] {
            for bytes in [0, 1, 10, 23, 24, 47, 100, 1_000] {
                let pages = pages(&items, PageLimit::new(most, ENVELOPE_BYTES + bytes));
                assert_eq!(pages.join(","), whole[0], "{most} {bytes}");
                for page in pages {
                    let count = page.split(',').count();
                    assert!(count <= most, "{most} {bytes}");
                    assert!(page.len() <= bytes || count == 1, "{most} {bytes}");
                }
            }
        }
    }

    #[test]
    fn an_empty_list_has_one_empty_page() {
        assert_eq!(pages(&[], PageLimit::new(0, 0)), [""]);
    }
}

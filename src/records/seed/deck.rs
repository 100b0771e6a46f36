//! Draws rows in random order: each once before any is drawn again.

use crate::platform::Dice;

/// The indexes of the rows that were not drawn yet.
#[derive(Debug, Default)]
pub(super) struct Deck(Vec<usize>);

impl Deck {
    /// The index of one of `rows` rows.
    pub(super) fn draw(&mut self, dice: &Dice, rows: usize) -> usize {
        if self.0.is_empty() {
            self.0 = (0..rows).collect();
        }
        let at = usize::try_from(dice.whole(1, i64::try_from(self.0.len()).unwrap_or(1)));
        self.0.swap_remove(at.unwrap_or(1) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_drawn_once_before_any_is_drawn_again() {
        let (dice, mut deck) = (Dice::seeded(7), Deck::default());
        for _ in 0..3 {
            let mut drawn: Vec<_> = (0..9).map(|_| deck.draw(&dice, 9)).collect();
            drawn.sort_unstable();
            assert!(drawn.into_iter().eq(0..9));
        }
    }
}

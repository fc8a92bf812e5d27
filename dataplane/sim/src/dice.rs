//! Seeded dice: the core's generator with the throws that a world needs.

use penstock_core::chance::Chance;

/// Throws that repeat by seed.
#[derive(Clone, Debug)]
pub struct Dice(Chance);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(Chance::new(seed))
    }

    /// Dice of their own, so that throws made there do not shift throws made here.
    pub fn fork(&mut self) -> Self {
        Self::new(self.0.bits())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    /// True once in `count` throws.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    /// True in `percent` of 100 throws.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.below(choices.len() as u64) as usize]
    }

    /// A size up to `high` that is small more often than large: every order of magnitude is equally
    /// likely.
    pub fn skewed(&mut self, high: u64) -> u64 {
        let digits = u64::from(64 - high.leading_zeros());
        let digit = self.below(digits + 1);
        self.below((1 << digit).min(high + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skewed_stays_below_its_bound() {
        let mut dice = Dice::new(1);
        assert!((0..1000).all(|_| dice.skewed(300) <= 300));
        assert!((0..1000).all(|_| dice.skewed(0) == 0));
    }
}

//! What is measured: names, and how to make the function that is called again and again.

mod access_log;
mod exchange;
mod h1;
mod headers;
mod picks;
mod pool;
pub mod route;
mod timers;

/// One round of a case. State that a case keeps between rounds is steady: the thousandth call costs
/// what the tenth cost.
pub type Iteration = Box<dyn FnMut()>;

/// A named piece of work.
pub struct Case {
    name: String,
    setup: Box<dyn Fn() -> Iteration>,
}

impl Case {
    /// A case; `setup` is not measured and also checks that the work is done right.
    fn new<S, I>(name: impl Into<String>, setup: S) -> Self
    where
        S: Fn() -> I + 'static,
        I: FnMut() + 'static,
    {
        Self {
            name: name.into(),
            setup: Box::new(move || Box::new(setup())),
        }
    }

    /// Family first, as in `h1/request/typical`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes what is measured.
    pub fn setup(&self) -> Iteration {
        (self.setup)()
    }
}

/// All cases, in the order in which a request meets them.
pub fn cases() -> Vec<Case> {
    let families = [
        exchange::cases(),
        h1::cases(),
        route::cases(),
        headers::cases(),
        picks::cases(),
        pool::cases(),
        timers::cases(),
        access_log::cases(),
    ];
    families.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::cases;

    #[test]
    fn every_case_runs_again_and_again() {
        let cases = cases();
        let names: HashSet<&str> = cases.iter().map(|case| case.name()).collect();
        assert_eq!(names.len(), cases.len(), "two cases have one name");
        // Ten thousand regular expressions take seconds to compile unoptimized, and are no other
        // code than a thousand.
        let huge = |name: &str| name.starts_with("route/regex") && name.ends_with("10000");
        for case in cases.iter().filter(|case| !huge(case.name())) {
            let mut iteration = case.setup();
            (0..100).for_each(|_| iteration());
        }
    }
}

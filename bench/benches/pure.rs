//! Wall time of every case. `cargo bench -p penstock-bench --bench pure -- FILTER` takes some.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn measure(criterion: &mut Criterion) {
    for case in penstock_bench::cases() {
        // Set up only if it is wanted: some cases build large tables.
        criterion.bench_function(case.name(), |bencher| bencher.iter(case.setup()));
    }
}

criterion_group! {
    name = pure;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots();
    targets = measure
}
criterion_main!(pure);

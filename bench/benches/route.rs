//! The first and the last route of tables of three sizes, side by side.
//!
//! The promise is that both cost the same CPU per request within 5 %; here only the lookup is
//! measured, which is a small part of a request, so the difference shows enlarged. First and last
//! take turns and the fastest round of each counts, so that a busy machine disturbs both alike.

use std::hint::black_box;
use std::time::Instant;

use penstock_bench::route::{KINDS, SIZES, request, table};
use penstock_core::chance::Chance;
use penstock_core::http::RequestHead;
use penstock_core::route::RouteTable;

/// Prints both places side by side: nanoseconds of the fastest round, and the ratio.
fn main() {
    println!("side by side, nanoseconds per lookup: kind, routes, first, last, last / first");
    for kind in &KINDS {
        for size in SIZES {
            let table = table(kind, size);
            let requests = [request(kind, 0), request(kind, size - 1)];
            let mut fastest = [f64::INFINITY; 2];
            for _ in 0..ROUNDS {
                for (place, request) in requests.iter().enumerate() {
                    fastest[place] = fastest[place].min(round(&table, request));
                }
            }
            let [first, last] = fastest;
            let ratio = last / first;
            println!(
                "{:8} {size:6} {first:7.1} {last:7.1} {ratio:6.3}",
                kind.name
            );
        }
    }
}

const ROUNDS: u32 = 1000;
const LOOKUPS_PER_ROUND: u32 = 500;

/// Nanoseconds per lookup.
fn round(table: &RouteTable, request: &RequestHead) -> f64 {
    let mut chance = Chance::new(1);
    let start = Instant::now();
    for _ in 0..LOOKUPS_PER_ROUND {
        black_box(table.find(black_box(request), &mut chance));
    }
    start.elapsed().as_nanos() as f64 / f64::from(LOOKUPS_PER_ROUND)
}

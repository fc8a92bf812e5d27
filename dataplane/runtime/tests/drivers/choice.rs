//! Which driver is chosen, how it says so, and that io_uring works with any of its features
//! switched off.

use std::fs;
use std::thread;

use penstock_runtime::driver::uring::caps::Feature;
use penstock_runtime::{Choice, Options, Placement, Preference, UringOptions, driver};

use crate::support::{Duty, echo, start_with};

fn options(driver: Preference, uring: UringOptions) -> Options {
    let placement = Placement {
        cpus: vec![0],
        pinned: false,
    };
    Options {
        driver,
        uring,
        ..Options::new(placement)
    }
}

/// True if this machine lets us use io_uring at all.
fn uring_works() -> bool {
    let choice = driver::choose(Preference::Auto, &UringOptions::default()).unwrap();
    println!("auto chooses {choice}");
    matches!(choice, Choice::Uring(_))
}

#[test]
fn every_feature_has_a_way_without() {
    if !uring_works() {
        return;
    }
    for feature in Feature::ALL {
        let uring = UringOptions::default().without(feature);
        let options = options(Preference::Uring, uring);
        let world = start_with(options, Duty::Echo, 64);
        let text = world.runtime.driver().to_string();
        let (used, off) = text.split_once("; off: ").unwrap();
        assert!(
            off.contains(feature.name()) && !used.contains(feature.name()),
            "{text}"
        );
        for seed in 0..4 {
            echo(&world.client(), seed, 300_000);
        }
        world.end();
    }
}

#[test]
fn few_buffers_without_a_ring_of_them() {
    if !uring_works() {
        return;
    }
    let uring = UringOptions::default().without(Feature::BufferRing);
    let world = start_with(options(Preference::Uring, uring), Duty::Echo, 4);
    thread::scope(|scope| {
        for seed in 0..8 {
            let world = &world;
            scope.spawn(move || echo(&world.client(), seed, 300_000));
        }
    });
    world.settle();
    world.end();
}

#[test]
fn denied_io_uring_falls_back_to_epoll_and_says_why() {
    // The filter cannot be taken off again; it holds for this thread and the workers it starts.
    let confined = thread::spawn(|| {
        fastpath_sys::confine::deny_io_uring().unwrap();
        let options = options(Preference::Auto, UringOptions::default());
        let world = start_with(options, Duty::Echo, 64);
        let choice = world.runtime.driver().to_string();
        assert!(choice.starts_with("epoll (io_uring is "), "{choice}");
        echo(&world.client(), 1, 300_000);
        world.end();
        let error = driver::choose(Preference::Uring, &UringOptions::default()).unwrap_err();
        assert!(
            error.ends_with("; the drivers auto and epoll do without"),
            "{error}"
        );
    });
    confined.join().unwrap();
}

#[test]
fn no_kernel_worker_thread_appears_under_load() {
    let options = options(Preference::Auto, UringOptions::default());
    let world = start_with(options, Duty::Echo, 256);
    thread::scope(|scope| {
        for seed in 0..16 {
            let world = &world;
            scope.spawn(move || echo(&world.client(), seed, 2_000_000));
        }
        for _ in 0..200 {
            assert_eq!(kernel_workers(), Vec::<String>::new());
            thread::yield_now();
        }
    });
    assert_eq!(kernel_workers(), Vec::<String>::new());
    world.settle();
    world.end();
}

fn kernel_workers() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("iou-wrk")).collect()
}

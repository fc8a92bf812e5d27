//! Exit codes, and what is said with them.

use std::net::TcpListener;
use std::process::Output;

use crate::process::{ALL, ANY, File, configuration, penstock};

#[track_caller]
fn check(arguments: &[&str], code: i32, said: &[&str]) {
    let Output {
        status,
        stdout,
        stderr,
    } = penstock().args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "{arguments:?}: {text}");
    for said in said {
        assert!(
            text.contains(said),
            "{arguments:?} does not say {said:?}: {text}"
        );
    }
}

#[test]
fn usage_is_2() {
    check(&["run"], 2, &["--config"]);
    check(&["fly"], 2, &["unrecognized subcommand"]);
    check(
        &["run", "-c", "a", "--driver", "dpdk"],
        2,
        &["auto, uring or epoll"],
    );
    check(&["--help"], 0, &["run", "check", "demo", "version"]);
    check(
        &["version", "--json"],
        0,
        &["\"version\":", "\"epoll\":{\"works\":true"],
    );
}

#[test]
fn a_good_file_is_0() {
    let file = File::new(&configuration(ANY, "", ALL).replace("port_value: 0", "port_value: 1"));
    check(&["check", "-c", file.path()], 0, &["configuration OK"]);
    check(&["-t", "-c", file.path()], 0, &["configuration OK"]);
}

#[test]
fn a_bad_file_is_78_and_everything_wrong_is_said() {
    let text = configuration(ANY, "no_such_field: 1", ALL)
        .replace("type: STATIC", "type: NO_SUCH_TYPE")
        .replace("cluster: origin", "clutser: origin");
    let file = File::new(&text);
    let said = [
        "no_such_field",
        "NO_SUCH_TYPE",
        "clutser",
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config",
        file.path(),
    ];
    check(&["check", "-c", file.path()], 78, &said);
    check(&["run", "-c", file.path()], 78, &said);
    check(&["check", "-c", "/no/such/file"], 78, &["/no/such/file"]);
}

#[test]
fn an_occupied_address_is_1() {
    let taken = TcpListener::bind(ANY).unwrap();
    let port = taken.local_addr().unwrap().port();
    // The listener's address is the first one behind its name.
    let (head, tail) = configuration(([127, 0, 0, 1], 1).into(), "", ALL)
        .split_once("name: main")
        .map(|(head, tail)| (head.to_owned(), tail.to_owned()))
        .unwrap();
    let tail = tail.replacen("port_value: 0", &format!("port_value: {port}"), 1);
    let file = File::new(&format!("{head}name: main{tail}"));
    let said = [format!("127.0.0.1:{port}"), "in use".to_owned()];
    check(&["run", "-c", file.path()], 1, &[&said[0], &said[1]]);
    check(
        &[
            "demo",
            "--once",
            "--port",
            &port.to_string(),
            "--admin-port",
            "0",
        ],
        1,
        &[&said[0], "--port"],
    );
}

#[test]
fn the_demo_shows_itself() {
    let arguments = ["demo", "--once", "--port", "0", "--admin-port", "0"];
    check(&arguments, 0, &["Every answer was the expected one."]);
}

//! The commands work: each measures what it says, on a pipeline that is a process of its own. No figure is judged.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::process::Command;

use serde_json::Value;

/// Runs a case in its short form, and reads its JSON.
#[track_caller]
fn measure(arguments: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hook-bench"));
    command.args(arguments).args(["--quick", "--json", "--dir"]).arg(directory.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "something was left behind");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} is missing in {report:#}"))
}

/// Numbers that went through JSON may differ in their last digit.
#[track_caller]
fn check_close(measured: f64, expected: f64) {
    assert!((measured - expected).abs() < 1e-9, "{measured} is not {expected}");
}

#[test]
fn the_idle_case_counts_every_event_and_holds_it_against_its_bound() {
    let report = measure(&["idle", "--body", "1KiB"]);
    assert_eq!(number(&report, "/bodies/0/idle/latency/count"), 100.0);
    assert!(number(&report, "/bodies/0/idle/latency/p50_ms") > 0.0);
    assert!(number(&report, "/bodies/0/idle/memory/resident_kib") > 0.0);
    check_close(number(&report, "/bounds/0/measured"), number(&report, "/bodies/0/idle/latency/p50_ms"));
    let allowed = number(&report, "/bounds/0/bound").max(3.0 * number(&report, "/fsync/p99_ms"));
    check_close(number(&report, "/bounds/0/allowed"), allowed);
}

#[test]
fn ingest_is_compared_with_the_echo_of_the_same_round() {
    let report = measure(&["ingest", "--body", "1KiB", "--seconds", "0.3"]);
    let (echo, ingest) = (number(&report, "/bodies/0/echo/per_second"), number(&report, "/bodies/0/ingest/per_second"));
    check_close(number(&report, "/bodies/0/ingest_to_echo"), ingest / echo);
    // A body of 1 KiB is on the disk at least once for each event that was acknowledged.
    assert!(number(&report, "/bodies/0/ingest/disk_bytes_each") > 1024.0);
}

#[test]
fn every_client_of_a_broadcast_gets_every_event_in_one_order() {
    let report = measure(&["broadcast", "--clients", "20", "--stalled", "0"]);
    // Twenty events a second for three seconds, at twenty clients.
    let latencies = number(&report, "/run/latency/count");
    assert!((1000.0..=1220.0).contains(&latencies), "{latencies}");
    assert!(number(&report, "/run/latency/p99_ms") > 0.0);
}

#[test]
fn an_unusable_directory_is_said() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hook-bench"));
    let output = command.args(["fsync", "--quick", "--dir", "/dev/null/none"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not make a file"));
}

#[test]
fn travel_sends_a_whole_backlog_again_and_looks_at_the_memory() {
    let report = measure(&["travel", "--events", "2000"]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["events"].as_u64().unwrap()).collect::<Vec<_>>(), [1000, 2000]);
    for run in ["dry_run", "replay", "redrive"] {
        assert!(number(&rows[1], &format!("/{run}/peak_kib")) > 0.0);
    }
}

//! A mount namespace of its own, so that a small file system can be mounted without leaving anything behind.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

/// Says that this process is in a namespace, or that none can be had.
const ENTERED: &str = "HOOK_FAULTS_NAMESPACE";
/// As root, and as anybody else where the kernel lets users have namespaces.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// Becomes this same program in a mount namespace of its own (`unshare(1)`). Where none can be had it goes on without: the
/// scenario that mounts says so.
pub(super) fn enter() {
    let Ok(this) = std::env::current_exe() else { return };
    if std::env::var_os(ENTERED).is_some() {
        return;
    }
    for way in WAYS.into_iter().filter(|way| is_possible(way)) {
        let mut command = Command::new("unshare");
        command.args(way).arg("--").arg(&this).args(std::env::args_os().skip(1)).env(ENTERED, "1");
        // Returns only where it failed.
        let _ = command.exec();
    }
}

fn is_possible(way: &[&str]) -> bool {
    // A namespace is not enough: some systems give one in which nothing may be mounted.
    let mount = ["--", "mount", "-t", "tmpfs", "hook-faults", "/mnt"];
    let tried = Command::new("unshare").args(way).args(mount).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

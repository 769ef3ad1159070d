//! Tells the service manager how the process is (the protocol of `sd_notify`): a datagram to the socket that `NOTIFY_SOCKET`
//! names. Without one nothing is said, and nothing is missed.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::environment::variables;

/// What the manager learns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    /// Events are taken.
    Ready,
    /// What has begun is being finished.
    Stopping,
}

/// Tells it. A manager that cannot be told is no reason to end.
pub(crate) fn tell(state: State) {
    let text = match state {
        State::Ready => "READY=1",
        State::Stopping => "STOPPING=1",
    };
    if let Some(socket) = std::env::var_os(variables::NOTIFY_SOCKET)
        && let Err(error) = send(&socket, text)
    {
        warn!(%error, text, "the service manager could not be told");
    }
}

/// Says again and again that the process lives, where the manager asks for that, and otherwise nothing. As long as this future is
/// polled, the runtime moves.
pub(crate) async fn keep_alive() {
    let limit = std::env::var(variables::WATCHDOG_USEC).ok().and_then(|text| text.parse::<u64>().ok());
    let (Some(limit), Some(socket)) = (limit.filter(|&limit| limit > 1), std::env::var_os(variables::NOTIFY_SOCKET))
    else {
        return;
    };
    let mut ticks = interval(Duration::from_micros(limit) / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = send(&socket, "WATCHDOG=1");
    }
}

fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    // The manager may be busy; we are, too.
    from.set_nonblocking(true)?;
    from.send_to_addr(text.as_bytes(), &address(socket)?).map(drop)
}

/// A path, or with `@` a name that is in no directory.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
        return <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
    }
    SocketAddr::from_pathname(OsString::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_at_a_path_and_at_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = OsString::from(format!("@hook-test-{}", std::process::id()));
        for socket in [path.as_os_str(), name.as_os_str()] {
            let manager = UnixDatagram::bind_addr(&address(socket).unwrap()).unwrap();
            send(socket, "READY=1").unwrap();
            let mut heard = [0; 32];
            let length = manager.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
        assert!(send(OsStr::new("/nowhere/notify"), "READY=1").is_err());
    }
}

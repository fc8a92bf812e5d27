//! Word to the service manager that started us (`sd_notify(3)`): one datagram per message.
//!
//! Without `NOTIFY_SOCKET` there is nobody to tell and nothing happens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's socket, or nobody.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// Opens the way to `address`, the value of `NOTIFY_SOCKET`: a path, or `@name` in the abstract
    /// name space.
    ///
    /// # Errors
    /// If the address is neither, or no socket can be had.
    pub fn new(address: Option<&OsStr>) -> io::Result<Self> {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not stop us.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Some((socket, address)),
        })
    }

    /// Listeners are bound and every worker has its configuration.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=serving");
    }

    /// A drain has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// One line for `systemctl status`. Line ends become spaces: each line is an assignment.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace(['\n', '\r'], " ")));
    }

    /// Every worker has completed a turn since the last call.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(fault) = socket.send_to_addr(message.as_bytes(), address)
        {
            tracing::warn!(%fault, "the service manager could not be told {message:?}");
        }
    }
}

/// How often [`Notify::watchdog`] is to be called: half of `WATCHDOG_USEC`, if `WATCHDOG_PID` is
/// unset or names this process.
pub fn watchdog_period(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
        return None;
    }
    let limit: u64 = usec?.parse().ok()?;
    (limit > 0).then(|| Duration::from_micros(limit) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn abstract_names_and_paths_are_reached() {
        let name = format!("penstock-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let path = std::env::temp_dir().join(&name);
        let sockets = [
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{name}"),
            ),
            (
                UnixDatagram::bind(&path).unwrap(),
                path.display().to_string(),
            ),
        ];
        for (socket, address) in &sockets {
            let notify = Notify::new(Some(OsStr::new(address))).unwrap();
            notify.ready();
            assert_eq!(received(socket), "READY=1\nSTATUS=serving");
            notify.status("two\nREADY=1");
            assert_eq!(received(socket), "STATUS=two READY=1");
            notify.stopping();
            assert_eq!(received(socket), "STOPPING=1\nSTATUS=draining");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn nobody_is_told_nothing() {
        Notify::new(None).unwrap().ready();
        Notify::new(Some(OsStr::new(""))).unwrap().ready();
    }

    #[test]
    fn the_watchdog_gets_half_the_time() {
        let own = std::process::id().to_string();
        let period = |usec, pid| watchdog_period(usec, pid);
        assert_eq!(period(Some("10000000"), None), Some(Duration::from_secs(5)));
        assert_eq!(
            period(Some("2000"), Some(own.as_str())),
            Some(Duration::from_millis(1))
        );
        assert_eq!(period(Some("2000"), Some("0")), None);
        assert_eq!(period(Some("0"), None), None);
        assert_eq!(period(None, None), None);
    }
}

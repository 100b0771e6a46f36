//! What systemd is told: that the service is ready, alive, or stopping.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The socket of a service manager (`sd_notify`). Without one, messages go nowhere.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// One that listens at `address` (of `NOTIFY_SOCKET`), and that ends the process after `watchdog` without a sign of
    /// life.
    pub fn connect(address: &OsStr, watchdog: Option<Duration>) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&socket_address(address)?)?;
        // A manager that does not read must not hold the service up.
        socket.set_nonblocking(true)?;
        let socket = Some(socket);
        Ok(Self { socket, watchdog })
    }

    /// How long the manager waits for a sign of life.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub fn tell_ready(&self, addr: std::net::SocketAddr) {
        self.tell(&format!("READY=1\nSTATUS=Serves http://{addr}"));
    }

    pub fn tell_alive(&self) {
        self.tell("WATCHDOG=1");
    }

    pub fn tell_stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Ends its streams");
    }

    fn tell(&self, message: &str) {
        let Some(socket) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, message, "the service manager could not be told");
        }
    }
}

/// A path, or after `@` a name without a file.
fn socket_address(address: &OsStr) -> std::io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    if address.as_bytes().starts_with(b"/") {
        return SocketAddr::from_pathname(address);
    }
    Err(std::io::Error::other(
        "NOTIFY_SOCKET must begin with / or @",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 128];
        let count = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn a_manager_with_a_path_is_told_each_state() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let watchdog = Some(Duration::from_secs(30));
        let manager = ServiceManager::connect(path.as_os_str(), watchdog).expect("a manager");
        assert_eq!(manager.watchdog(), watchdog);
        manager.tell_ready(([127, 0, 0, 1], 8080).into());
        let ready = "READY=1\nSTATUS=Serves http://127.0.0.1:8080";
        assert_eq!(received(&socket), ready);
        manager.tell_alive();
        assert_eq!(received(&socket), "WATCHDOG=1");
        manager.tell_stopping();
        assert!(received(&socket).starts_with("STOPPING=1\n"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_manager_without_a_file_is_told_too() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("porchlight-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        let name = format!("@{name}");
        let manager = ServiceManager::connect(OsStr::new(&name), None).expect("a manager");
        manager.tell_alive();
        assert_eq!(received(&socket), "WATCHDOG=1");
    }

    #[test]
    fn another_kind_of_address_is_refused() {
        for address in ["", "vsock:2:1234", "run/notify", "/no/such/socket"] {
            let refused = ServiceManager::connect(OsStr::new(address), None);
            assert!(refused.is_err(), "{address}");
        }
    }
}

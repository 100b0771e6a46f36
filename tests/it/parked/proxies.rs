//! A stream through each of the proxies that most deployments have: its events come at once, and its end is
//! told from a broken connection. All of them are packages of Debian.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use super::client::{RawClient, request};
use crate::support::ends::user;
use crate::support::{Service, eventually, for_team};

/// Ends with the test.
struct Proxy {
    process: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx and HAProxy end their children on SIGTERM only.
        let id = nix::unistd::Pid::from_raw(self.process.id().try_into().expect("an id"));
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

impl Proxy {
    /// `None` when the program is not installed.
    async fn start(name: &str, service: SocketAddr) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        drop(listener);
        let file = dir.path().join("config");
        std::fs::write(&file, config(name, dir.path(), addr, service)).expect("a file");
        let mut command = Command::new(name);
        match name {
            "nginx" => command.arg("-p").arg(dir.path()).arg("-c").arg(&file),
            "haproxy" => command.arg("-db").arg("-f").arg(&file),
            _ => command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(&file),
        };
        let command = command.env("HOME", dir.path());
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().ok()?;
        let proxy = Self {
            process,
            addr,
            _dir: dir,
        };
        let answers = async || TcpStream::connect(addr).await.ok();
        eventually(name, answers).await;
        Some(proxy)
    }
}

fn config(name: &str, dir: &Path, addr: SocketAddr, service: SocketAddr) -> String {
    let dir = dir.display();
    match name {
        "nginx" => format!(
            "daemon off; user root; pid {dir}/pid; error_log {dir}/errors; worker_processes 1; events {{}}
             http {{
                 access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
                 fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
                 server {{
                     listen {addr};
                     location / {{
                         proxy_pass http://{service}; proxy_http_version 1.1; proxy_set_header Connection '';
                     }}
                 }}
             }}"
        ),
        "haproxy" => format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend all\n bind {addr}\n default_backend service\n\
             backend service\n server one {service}\n"
        ),
        _ => format!(
            "{{\n admin off\n auto_https off\n}}\nhttp://{addr} {{\n bind {}\n reverse_proxy {service}\n}}\n",
            addr.ip()
        ),
    }
}

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "a proxy that was left out must be seen"
)]
async fn a_stream_goes_through_proxies_and_its_end_is_a_clean_one() {
    let service = Service::start().await;
    let (mut proxies, mut clients) = (Vec::new(), Vec::new());
    for name in ["nginx", "haproxy", "caddy"] {
        let Some(proxy) = Proxy::start(name, service.addr).await else {
            eprintln!("not run: {name} is not installed");
            continue;
        };
        let mut client = RawClient::connect(proxy.addr).await;
        let host = format!("Host: {}\r\n", proxy.addr);
        let asked = request("1.1", &user(1), "").replace("Host: x\r\n", &host);
        client.send(asked).await;
        client.until("locks:snapshot").await;
        proxies.push(proxy);
        clients.push(client);
    }
    for n in 0..3 {
        service.publish(&for_team("a", n)).await;
        for client in &mut clients {
            // Nothing else comes after it, so no proxy holds it back for more.
            client.until(&format!("\"n\":{n}")).await;
        }
    }
    service.begin_stop();
    for client in &mut clients {
        client.until("stream:closing").await;
        // The last chunk: a connection that breaks has none.
        client.until("\r\n0\r\n\r\n").await;
    }
}

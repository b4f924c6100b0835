//! A bucket of an object store that speaks S3 (moto's server), and what may go wrong on the way to it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::port::Port;
use crate::process::{run, run_in};
use crate::scratch::Scratch;
use crate::server::{cache_dir, cache_lock};
use crate::wait::wait_until;

/// What is installed.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.1", "flask==3.1.3", "flask-cors==6.0.5"];

/// The bucket.
const NAME: &str = "bucket1";

/// Moto wants a signature, and does not check it.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=t/20261128/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// What the proxy does with the next request that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this code, and the store learns of nothing.
    Answers(u16),
    /// It answers so, with a reason, and repeats what the request is signed with; the store learns of nothing.
    Repeats(u16, &'static str),
    /// It closes the connection, and the store learns of nothing.
    Closes,
    /// The store does what was asked, and its answer is lost.
    LosesAnswer,
    /// The answer is cut in the middle of its body.
    CutsBody,
    /// The store is asked without `If-None-Match`, as one that does not know it.
    IgnoresCondition,
    /// The request waits until [`Bucket::release`], and is asked then.
    Holds,
}

/// A rule: the method, a piece of the path or of the range that is asked for, what happens, and how often.
#[derive(Debug)]
struct Rule {
    method: &'static str,
    path: &'static str,
    fault: Fault,
    left: usize,
}

#[derive(Debug, Default)]
struct Proxy {
    rules: Mutex<Vec<Rule>>,
    /// The number of requests that are held, and whether they may go on.
    held: Mutex<(usize, bool)>,
    changed: Condvar,
    /// The newest requests: method and path.
    seen: Mutex<VecDeque<String>>,
    ends: AtomicBool,
}

/// A running store with one bucket, and a proxy before it; they end with this value.
#[derive(Debug)]
pub struct Bucket {
    child: Child,
    store: Port,
    front: Port,
    proxy: Arc<Proxy>,
    _scratch: Scratch,
}

impl Bucket {
    /// Starts a store with an empty bucket.
    ///
    /// # Panics
    ///
    /// If it cannot be installed or started.
    #[must_use]
    pub fn start() -> Self {
        let scratch = Scratch::new();
        let (store, front) = (Port::take(), Port::take());
        let log = File::create(scratch.path().join("moto.log")).expect("make a log");
        let child = Command::new(installed())
            .args(["-H", "127.0.0.1", "-p", &store.number().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start moto's server");
        let proxy = Arc::new(Proxy::default());
        let bucket = Self {
            child,
            store,
            front,
            proxy,
            _scratch: scratch,
        };
        wait_until("the store to answer", Duration::from_secs(120), || {
            bucket
                .try_ask("PUT", "", b"")
                .is_some_and(|(code, _)| code == 200)
        });
        let listener = TcpListener::bind(("127.0.0.1", bucket.front.number())).expect("bind");
        let (proxy, port) = (Arc::clone(&bucket.proxy), bucket.store.number());
        thread::spawn(move || proxy.serve(&listener, port));
        bucket
    }

    /// The lines of a `[[subscriber]]` whose archive lies in this bucket.
    #[must_use]
    pub fn lines(&self, prefix: &str, options: &str) -> String {
        format!(
            "archive = \"s3://{NAME}/{prefix}\"\n\
             archive_options = {{ endpoint = \"{}\", allow_http = true, region = \"us-east-1\"{options} }}",
            self.endpoint()
        )
    }

    /// The address of the store, by way of the proxy.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.front.number())
    }

    /// Has a fault befall the next `times` requests of a method whose path, or the range that is asked for, has this
    /// piece.
    pub fn fault(&self, method: &'static str, path: &'static str, fault: Fault, times: usize) {
        if fault == Fault::Holds {
            *self.proxy.held.lock().expect("a lock") = (0, false);
        }
        self.proxy.rules.lock().expect("a lock").push(Rule {
            method,
            path,
            fault,
            left: times,
        });
    }

    /// How many requests the faults still wait for.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        let rules = self.proxy.rules.lock().expect("a lock");
        rules.iter().map(|rule| rule.left).sum()
    }

    /// No fault is left.
    pub fn heal(&self) {
        self.proxy.rules.lock().expect("a lock").clear();
    }

    /// Waits until a request is held.
    pub fn wait_held(&self) {
        wait_until("a request to be held", Duration::from_secs(120), || {
            self.proxy.held.lock().expect("a lock").0 > 0
        });
    }

    /// Lets held requests go on.
    pub fn release(&self) {
        self.proxy.held.lock().expect("a lock").1 = true;
        self.proxy.changed.notify_all();
    }

    /// The newest requests, each with method and path.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.proxy
            .seen
            .lock()
            .expect("a lock")
            .iter()
            .cloned()
            .collect()
    }

    /// The names of all objects, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let (_, body) = self.ask("GET", "?list-type=2&max-keys=1000", b"");
        let text = String::from_utf8(body).expect("XML");
        assert!(text.contains("<IsTruncated>false</IsTruncated>"), "{text}");
        let keys = text.split("<Key>").skip(1);
        let keys = keys.filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    /// An object's bytes.
    #[must_use]
    pub fn get(&self, name: &str) -> Vec<u8> {
        self.ask("GET", &format!("/{name}"), b"").1
    }

    /// Makes an object, or writes over it.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.ask("PUT", &format!("/{name}"), bytes);
    }

    /// Removes an object.
    pub fn delete(&self, name: &str) {
        self.ask("DELETE", &format!("/{name}"), b"");
    }

    #[track_caller]
    fn ask(&self, method: &str, what: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let (code, body) = self.try_ask(method, what, body).expect("the store answers");
        assert!((200..300).contains(&code), "{method} {what}: {code}");
        (code, body)
    }

    /// Asks the store itself.
    fn try_ask(&self, method: &str, what: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let port = self.store.number();
        let head = format!(
            "{method} /{NAME}{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{SIGNED}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = forwarded(port, head.as_bytes(), body)?;
        let end = head_end(&answer)?;
        let text = String::from_utf8_lossy(&answer[..end]);
        let code = text.split(' ').nth(1)?.parse().ok()?;
        Some((code, answer[end..].to_vec()))
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.proxy.ends.store(true, Ordering::Relaxed);
        self.release();
        let _ = TcpStream::connect(("127.0.0.1", self.front.number()));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn serve(self: Arc<Self>, listener: &TcpListener, port: u16) {
        for stream in listener.incoming() {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let proxy = Arc::clone(&self);
            // A request that ends badly is what the tests are about.
            thread::spawn(move || proxy.one(stream, port));
        }
    }

    /// One request, and the end of the connection.
    fn one(&self, mut stream: TcpStream, port: u16) -> Option<()> {
        let (head, body) = request(&mut stream)?;
        let line = head.lines().next()?.to_owned();
        let (method, path) = line.split_once(' ')?;
        let path = path.split(' ').next()?;
        {
            let mut seen = self.seen.lock().ok()?;
            seen.push_back(format!("{method} {path}"));
            if seen.len() > 1000 {
                seen.pop_front();
            }
        }
        let header = |wanted: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map_or("", |(_, value)| value.trim())
        };
        let fault = self.fault_of(method, &format!("{path} {}", header("range")));
        match fault {
            Some(Fault::Repeats(code, reason)) => {
                let body = format!(
                    "<Error><Code>{reason}</Code><Message>No</Message><AWSAccessKeyId>{}</AWSAccessKeyId>\
                     <Token-0>{}</Token-0></Error>",
                    header("authorization"),
                    header("x-amz-security-token")
                );
                let text = format!(
                    "HTTP/1.1 {code} Fault\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                return stream.write_all(text.as_bytes()).ok();
            }
            Some(Fault::Answers(code)) => {
                let text = format!(
                    "HTTP/1.1 {code} Fault\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                );
                return stream.write_all(text.as_bytes()).ok();
            }
            Some(Fault::Closes) => return None,
            Some(Fault::Holds) => self.hold()?,
            Some(Fault::LosesAnswer | Fault::CutsBody | Fault::IgnoresCondition) | None => {}
        }
        let mut lines: Vec<&str> = head.trim_end().lines().collect();
        lines.retain(|line| {
            let name = line.split(':').next().unwrap_or("").to_ascii_lowercase();
            name != "connection"
                && !(name == "if-none-match" && fault == Some(Fault::IgnoresCondition))
        });
        if !head.to_ascii_lowercase().contains("\nauthorization:") {
            lines.push(SIGNED);
        }
        let head = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
        let answer = forwarded(port, head.as_bytes(), &body)?;
        match fault {
            Some(Fault::LosesAnswer) => None,
            Some(Fault::CutsBody) => {
                let end = head_end(&answer)?;
                stream
                    .write_all(&answer[..end + (answer.len() - end) / 2])
                    .ok()
            }
            Some(
                Fault::Answers(_)
                | Fault::Repeats(..)
                | Fault::Closes
                | Fault::IgnoresCondition
                | Fault::Holds,
            )
            | None => stream.write_all(&answer).ok(),
        }
    }

    /// The fault of a request.
    fn fault_of(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().ok()?;
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && rule.method == method && path.contains(rule.path))?;
        rule.left -= 1;
        Some(rule.fault)
    }

    fn hold(&self) -> Option<()> {
        let mut held = self.held.lock().ok()?;
        held.0 += 1;
        while !held.1 {
            held = self.changed.wait(held).ok()?;
        }
        Some(())
    }
}

/// Where the body begins.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Reads a request: its head, and its body.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    let end = loop {
        if let Some(end) = head_end(&bytes) {
            break end;
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    let mut body = bytes[end..].to_vec();
    while body.len() < length {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => body.extend_from_slice(&buffer[..count]),
        }
    }
    Some((head, body))
}

/// Asks the store, and gives all of its answer.
fn forwarded(port: u16, head: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let mut to = TcpStream::connect(("127.0.0.1", port)).ok()?;
    to.write_all(head).ok()?;
    to.write_all(body).ok()?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).ok()?;
    Some(answer)
}

/// Moto's server, installed at the first use.
fn installed() -> PathBuf {
    let home = cache_dir().join("moto-5.2.1");
    let (program, complete) = (home.join("bin/moto_server"), home.join("complete"));
    if complete.exists() {
        return program;
    }
    let _lock = cache_lock("moto-5.2.1");
    if complete.exists() {
        return program;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&home)).ok();
    run_in(
        Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES),
        Duration::from_secs(600),
    )
    .ok();
    std::fs::write(complete, "").expect("mark the cache as complete");
    program
}

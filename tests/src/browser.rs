//! A headless Chromium, driven over its own pipe: pages at a given width and theme, what went wrong while they were
//! loaded, and what a script finds on them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::scratch::Scratch;

/// How long the browser may take for one answer.
const LIMIT: Duration = Duration::from_secs(120);

/// What is read by no colour-blind machine: texts whose contrast to what is behind them is too small, by the formula of
/// WCAG 2: 4.5, or 3 for large letters.
const FAINT: &str = r##"(() => {
  const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => { const l = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const behind = (node) => { const layers = []; for (; node; node = node.parentElement) layers.push(parse(getComputedStyle(node).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walk.nextNode());) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.getClientRects().length || node.closest("script,style,title,.skip")) continue;
    const style = getComputedStyle(node);
    if (style.visibility === "hidden") continue;
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ground = behind(node.closest("svg") ? node.closest("svg").parentElement : node);
    const ink = over(parse(node.closest("svg") ? style.fill : style.color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < (large ? 3 : 4.5)) found.push(`${contrast.toFixed(2)}: ${text.data.trim().slice(0, 60)}`);
  }
  return found;
})()"##;

/// Elements that stand out to the right of the window.
const TOO_WIDE: &str = r##"(() => {
  const width = document.documentElement.clientWidth;
  const scrolls = document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} wide`] : [];
  const out = [...document.body.querySelectorAll("*")].filter((one) => !one.closest(".wide table, .skip") && one.getBoundingClientRect().right > width + 1);
  return scrolls.concat(out.map((one) => `${one.tagName} ${one.className.baseVal ?? one.className}`));
})()"##;

/// Controls and pictures without a name, and tables without headers.
const UNNAMED: &str = r##"[...document.querySelectorAll("a,summary,svg[role=img],progress,[role=region],nav,th,section:not([hidden])")].filter((one) => {
  const by = one.getAttribute("aria-labelledby");
  const name = one.getAttribute("aria-label") || (by && document.getElementById(by)?.textContent) || one.textContent;
  return !name || !name.trim();
}).map((one) => one.outerHTML.slice(0, 80))"##;

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    asked: u64,
    problems: Vec<String>,
    _folder: Scratch,
}

impl Browser {
    /// Starts Debian's `chromium`.
    pub fn start() -> Browser {
        let folder = Scratch::new();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            mkfifo(&path, Mode::S_IRWXU).expect("a pipe for the browser");
            // For both ways, so that opening waits for nobody.
            let file = OpenOptions::new().read(true).write(true).open(&path);
            (path, file.expect("open the browser's pipe"))
        };
        let ((in_path, to), (out_path, out)) = (pipe("in"), pipe("out"));
        let child = Command::new("bash")
            .arg("-c")
            .arg(
                "exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                 --disable-extensions --disable-background-networking --disable-component-update --disable-sync \
                 --user-data-dir=\"$2\" --remote-debugging-pipe about:blank 3<\"$0\" 4>\"$1\"",
            )
            .arg(&in_path)
            .arg(&out_path)
            .arg(folder.path().join("profile"))
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromium");
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(out);
            let mut bytes = Vec::new();
            while lines.read_until(0, &mut bytes).is_ok_and(|count| count > 0) {
                bytes.pop();
                let Ok(value) = serde_json::from_slice(&bytes) else {
                    return;
                };
                if sender.send(value).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        let mut browser = Browser {
            child,
            to,
            from,
            session: None,
            asked: 0,
            problems: Vec::new(),
            _folder: folder,
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.ask(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in [
            "Page.enable",
            "Runtime.enable",
            "Log.enable",
            "Network.enable",
        ] {
            browser.ask(domain, json!({}));
        }
        browser
    }

    /// Sends a header with each request from now on.
    pub fn send_header(&mut self, name: &str, value: &str) {
        self.ask(
            "Network.setExtraHTTPHeaders",
            json!({"headers": {name: value}}),
        );
    }

    /// Opens a page in a window of this width, and waits until it is there.
    pub fn open(&mut self, url: &str, width: u32, dark: bool) {
        self.problems.clear();
        let theme = if dark { "dark" } else { "light" };
        self.ask(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": theme}]}),
        );
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
        self.ask("Page.navigate", json!({"url": url}));
        let until = Instant::now() + LIMIT;
        while self.evaluate("document.readyState === 'complete' && location.href !== 'about:blank'")
            != json!(true)
        {
            assert!(Instant::now() < until, "{url} is not there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a script's last expression is.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let answer = self.ask(
            "Runtime.evaluate",
            json!({"expression": script, "returnByValue": true, "awaitPromise": true}),
        );
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{script}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Presses Enter.
    pub fn press_enter(&mut self) {
        let key =
            json!({"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        for kind in ["keyDown", "keyUp"] {
            let mut event = key.clone();
            event["type"] = json!(kind);
            self.ask("Input.dispatchKeyEvent", event);
        }
    }

    /// What went wrong since the page was opened: errors of the console, requests that failed, what stands out of the
    /// window, texts that are too faint, and what has no name for a screen reader.
    pub fn problems(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for (what, script) in [
            ("too wide", TOO_WIDE),
            ("faint", FAINT),
            ("unnamed", UNNAMED),
        ] {
            let found = self.evaluate(script);
            let found = found.as_array().expect("a list");
            all.extend(found.iter().map(|one| format!("{what}: {one}")));
        }
        all.append(&mut self.problems);
        all
    }

    /// Writes a picture of the whole page.
    pub fn picture(&mut self, file: &Path) {
        let size = self.evaluate(
            "[document.documentElement.clientWidth, document.documentElement.scrollHeight]",
        );
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let answer = self.ask(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        let bytes = STANDARD
            .decode(answer["data"].as_str().expect("a picture"))
            .expect("base64");
        std::fs::write(file, bytes).expect("write the picture");
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).expect("JSON");
        bytes.push(0);
        self.to.write_all(&bytes).expect("tell the browser");
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let said = self.from.recv_timeout(left);
            let said =
                said.unwrap_or_else(|error| panic!("chromium does not answer {method}: {error}"));
            if said["id"] == json!(self.asked) {
                assert!(said.get("error").is_none(), "{method}: {said}");
                return said["result"].clone();
            }
            self.hear(&said);
        }
    }

    /// Notes an event that tells of a problem.
    fn hear(&mut self, said: &Value) {
        let params = &said["params"];
        let is_bad = match said["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" | "Network.loadingFailed" => true,
            "Runtime.consoleAPICalled" => {
                ["error", "warning"].contains(&params["type"].as_str().unwrap_or_default())
            }
            "Log.entryAdded" => ["error", "warning"]
                .contains(&params["entry"]["level"].as_str().unwrap_or_default()),
            "Network.responseReceived" => params["response"]["status"]
                .as_u64()
                .is_some_and(|code| code >= 400),
            _ => false,
        };
        if is_bad {
            self.problems.push(said.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

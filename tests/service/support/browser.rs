//! A real browser: Chromium, driven through chromedriver by the W3C WebDriver protocol.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::wait_until;

/// Keys that are no characters, as the protocol writes them.
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

/// A browser with one empty window.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
}

impl Browser {
    /// Starts one; `None`, and says so, where there is no Chromium with its driver.
    pub fn start() -> Option<Self> {
        let (Some(chromium), Some(driver)) = (find("chromium"), find("chromedriver")) else {
            eprintln!(
                "SKIPPED: chromium and chromedriver are not installed (Debian: chromium, \
                 chromium-driver; tests/run installs them where it may)"
            );
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let config = config.timeout_global(Some(Duration::from_secs(60)));
        let mut browser = Self {
            driver,
            agent: config.build().into(),
            session: format!("http://127.0.0.1:{port}"),
        };
        wait_until("the driver answers", || {
            browser.try_get("/status").is_some()
        });
        let arguments = [
            "--headless=new",
            // Chromium runs as root only without its sandbox.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1280,900",
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let begun = browser.post(
            "/session",
            &json!({ "capabilities": { "alwaysMatch": wanted } }),
        );
        let id = begun["sessionId"].as_str().unwrap().to_owned();
        browser.session += &format!("/session/{id}");
        Some(browser)
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// The path of the page that is open.
    pub fn path(&self) -> String {
        let url = self.get("/url");
        let path = url.as_str().unwrap().splitn(4, '/').nth(3).unwrap();
        format!("/{path}")
    }

    /// The text of the page, as it is seen.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText")
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let pressed = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let keyboard =
            json!({ "type": "key", "id": "keyboard", "actions": Vec::from_iter(pressed) });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Goes on with the tab key until what has the focus is what a CSS selector means, and can be seen to
    /// have it.
    pub fn tab_to(&self, selector: &str) {
        let is_there = format!("return document.activeElement.matches({})", json!(selector));
        for _ in 0..100 {
            self.press(TAB);
            if self.run(&is_there) == true {
                let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                assert_eq!(
                    self.run(outline),
                    "solid",
                    "the focus on {selector} is not seen"
                );
                return;
            }
        }
        panic!("the tab key does not reach {selector}");
    }

    /// What a script returns that is run beside the page's policy.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Cookies as the browser keeps them.
    pub fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").as_array().unwrap().clone()
    }

    /// What the pages have complained of since it was asked for last, without the statuses of answers.
    pub fn complaints(&self) -> Vec<Value> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let all = log.as_array().cloned().unwrap_or_default().into_iter();
        all.filter(|entry| entry["source"] != "network").collect()
    }

    /// As a phone, or dark, or both, or neither.
    pub fn appear(&self, is_phone: bool, is_dark: bool) {
        let (width, height) = if is_phone { (390, 844) } else { (1280, 900) };
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": feature }),
        );
    }

    /// Keeps a picture in the folder that `TOKENKEEP_TEST_SCREENSHOTS` names, if it names one.
    pub fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("TOKENKEEP_TEST_SCREENSHOTS") else {
            return;
        };
        let taken = self.get("/screenshot");
        let picture = STANDARD.decode(taken.as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        );
    }

    fn try_get(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.session);
        let text = self
            .agent
            .get(&url)
            .call()
            .ok()?
            .body_mut()
            .read_to_string()
            .ok()?;
        Some(serde_json::from_str::<Value>(&text).ok()?["value"].clone())
    }

    fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self
            .agent
            .post(&url)
            .header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {text}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; its driver knows no other way.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found.find(|file| file.is_file())
}

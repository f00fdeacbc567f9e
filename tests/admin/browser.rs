//! A headless Chromium, by WebDriver.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docreader::embedded::die_with_parent;
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{BrowserLogEntry, LoggingPrefsLogLevel};

use crate::common::{App, PATIENCE, TestApp};
use crate::person::{PASSWORD, origin};

/// Width and height of the pages, in CSS pixels.
pub const DESK: (u32, u32) = (1280, 800);
pub const PHONE: (u32, u32) = (390, 844);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// One window with a profile of its own; all of it ends when dropped.
pub struct Browser {
    chromedriver: Child,
    driver: WebDriver,
    pub origin: String,
}

impl Browser {
    pub async fn start(app: &TestApp, server: &App) -> Self {
        // Short, since sockets are made in there.
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = app.folder.path().join(&name[..6]);
        std::fs::create_dir(&folder).unwrap();
        let (chromedriver, port) = start_chromedriver(&folder).await;
        let mut wanted = DesiredCapabilities::chrome();
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        // By a pipe, Chromium ends as soon as chromedriver does.
        let args = ["--headless=new", "--remote-debugging-pipe", "--hide-scrollbars", "--disable-dev-shm-usage"];
        for arg in args.into_iter().chain([profile.as_str()]) {
            wanted.add_arg(arg).unwrap();
        }
        if nix::unistd::Uid::effective().is_root() {
            wanted.add_arg("--no-sandbox").unwrap();
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let driver =
            WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.expect("a session of chromedriver");
        driver.set_script_timeout(PATIENCE).await.unwrap();
        let browser = Self { chromedriver, driver, origin: origin(server) };
        browser.resize(DESK).await;
        browser
    }

    /// By the form.
    pub async fn logged_in(app: &TestApp, server: &App, username: &str) -> Self {
        let browser = Self::start(app, server).await;
        browser.log_in(username, PASSWORD, "/admin/account/").await;
        browser.at("/admin/account/").await;
        browser
    }

    pub async fn log_in(&self, username: &str, password: &str, next: &str) {
        self.go(&format!("/admin/login/?next={next}")).await;
        self.fill("#username", username).await;
        self.fill("#password", password).await;
        self.click("main button[type=submit]").await;
    }

    pub async fn go(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.origin)).await.unwrap();
    }

    /// Waits for a page's path.
    pub async fn at(&self, path: &str) {
        self.until(&format!("location.pathname + location.search === {}", json!(path))).await;
    }

    pub async fn js<T: DeserializeOwned>(&self, script: &str) -> T {
        self.js_with(script, vec![]).await
    }

    pub async fn js_with<T: DeserializeOwned>(&self, script: &str, args: Vec<Value>) -> T {
        let returned = self.driver.execute(script, args).await.unwrap_or_else(|error| panic!("{script}: {error}"));
        returned.convert().unwrap()
    }

    /// What a script gives to its last argument, a function.
    pub async fn js_later<T: DeserializeOwned>(&self, script: &str, args: Vec<Value>) -> T {
        let returned =
            self.driver.execute_async(script, args).await.unwrap_or_else(|error| panic!("{script}: {error}"));
        returned.convert().unwrap()
    }

    /// Waits until an expression is true, on whatever page is there by then.
    pub async fn until(&self, expression: &str) {
        let started = Instant::now();
        let script = format!("return Boolean({expression})");
        loop {
            // While a page goes and another comes there may be no answer.
            if let Ok(returned) = self.driver.execute(script.as_str(), vec![]).await
                && returned.json() == &json!(true)
            {
                return;
            }
            if started.elapsed() > PATIENCE {
                let page: String = self.js("return location.href + '\\n' + document.body.innerText").await;
                panic!("never true: {expression}, on {page}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits for an element that can be seen.
    pub async fn find(&self, css: &str) -> WebElement {
        self.until(&format!("document.querySelector({})?.checkVisibility()", json!(css))).await;
        self.driver.find(By::Css(css)).await.unwrap()
    }

    pub async fn count(&self, css: &str) -> usize {
        self.js_with("return document.querySelectorAll(arguments[0]).length", vec![json!(css)]).await
    }

    /// As a person does, with the mouse; what covers the element fails the test.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// Presses a key so often, in one go.
    pub async fn press(&self, key: Key, times: usize) {
        let keys = String::from(char::from(key)).repeat(times);
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    pub async fn resize(&self, (width, height): (u32, u32)) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub async fn prefer(&self, scheme: Scheme) {
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": value},
            // Nothing moves while it is looked at.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What the browser complains of since it was asked last: scripts' errors, and what a page's policy forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        let is_complaint = |entry: &BrowserLogEntry| matches!(entry.level.as_str(), "SEVERE" | "WARNING");
        log.into_iter().filter(is_complaint).map(|entry| entry.message).collect()
    }
}

/// On a free port.
async fn start_chromedriver(folder: &Path) -> (Child, u16) {
    let log = folder.join("chromedriver.log");
    let file = File::create(&log).unwrap();
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").env("HOME", folder).env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    die_with_parent(&mut command, Signal::SIGKILL);
    let mut child = command.spawn().expect("chromedriver, which `make test` installs");
    let started = Instant::now();
    loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some((_, rest)) = said.split_once("successfully on port ")
            && let Some((port, _)) = rest.split_once('.')
        {
            return (child, port.parse().unwrap());
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() && started.elapsed() < PATIENCE, "chromedriver: {said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its session ends with it; WebDriver's own way would ask it first.
        let _ = self.driver.clone().leak();
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
        // The browser writes to its profile until the end.
        let pid = self.driver.capabilities().get("goog:processID").and_then(Value::as_i64);
        let started = Instant::now();
        while pid.is_some_and(is_running) && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A zombie that nobody has collected yet does not count.
fn is_running(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

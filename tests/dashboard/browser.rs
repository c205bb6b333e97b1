//! A headless browser with a temporary profile.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::client::Site;
use crate::common::ignored;

/// How long to wait for a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// ChromeDriver with one browser.
pub struct Browser {
    pub client: Client,
    _driver: Driver,
    _profile: TempDir,
}

/// ChromeDriver's command for reading the browser's logs.
#[derive(Debug)]
struct ReadLog(&'static str);

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}

/// A ChromeDriver process that is killed on drop, even in a panic.
struct Driver {
    child: Child,
    port: u16,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser is in its group, and would survive it otherwise.
        let group = Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Driver {
    fn start() -> std::io::Result<Self> {
        let mut command = Command::new("chromedriver");
        let mut child = command.arg("--port=0").process_group(0).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        // Later output is discarded, so that it never blocks.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, port: port.expect("chromedriver says its port") })
    }
}

impl Browser {
    /// Starts a browser; `None`, reported as IGNORED, if there is none and none is required.
    pub async fn start() -> Option<Self> {
        let driver = match Driver::start() {
            Ok(driver) => driver,
            Err(error) => {
                let is_required =
                    std::env::var_os("PROCSTATE_REQUIRE_CHROMIUM").is_some_and(|set| set == "1");
                assert!(!is_required, "chromedriver cannot be started: {error}");
                ignored(&format!("this test needs chromium and chromedriver ({error})"));
                return None;
            }
        };
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            &folder,
        ];
        let capabilities: Capabilities = serde_json::from_value(json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }))
        .unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("the browser starts");
        Some(Self { client, _driver: driver, _profile: profile })
    }

    pub async fn open(&self, site: &Site, path: &str) {
        self.client.goto(&format!("http://{}{path}", site.address())).await.unwrap();
    }

    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.find(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn click_link(&self, text: &str) {
        let link = self.client.find(Locator::LinkText(text)).await;
        link.unwrap_or_else(|error| panic!("{text:?}: {error}")).click().await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Replaces the text of a field.
    pub async fn type_into(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Waits until an element shows a text.
    pub async fn sees(&self, css: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut shown = String::new();
        while Instant::now() < deadline {
            // The element may be replaced during the request.
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && let Ok(now) = element.text().await
            {
                if now.contains(text) {
                    return;
                }
                shown = now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{css} never showed {text:?}, but {shown:?}");
    }

    /// Waits until a condition in JavaScript holds.
    pub async fn comes_true(&self, condition: &str) {
        let deadline = Instant::now() + PATIENCE;
        let script = format!("return {condition};");
        while self.client.execute(&script, Vec::new()).await.unwrap() != json!(true) {
            assert!(Instant::now() < deadline, "never: {condition}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Marks the page, to detect reloads.
    pub async fn mark(&self) {
        self.client.execute("window.marked = true;", Vec::new()).await.unwrap();
    }

    pub async fn is_marked(&self) -> bool {
        self.client.execute("return window.marked === true;", Vec::new()).await.unwrap() == json!(true)
    }

    /// Returns new entries of one of the browser's logs.
    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let entries = self.client.issue_cmd(ReadLog(kind)).await.unwrap();
        entries.as_array().unwrap().clone()
    }

    /// Ends the browser; fails on console messages other than `expected`, and on requests to any
    /// server but `site`.
    pub async fn end(self, site: &Site, expected: &[&str]) {
        let complaints: Vec<String> = self
            .log("browser")
            .await
            .iter()
            .map(Value::to_string)
            .filter(|entry| !expected.iter().any(|text| entry.contains(text)))
            .collect();
        assert!(complaints.is_empty(), "console messages: {complaints:#?}");
        let own = format!("http://{}/", site.address());
        let mut asked = 0;
        for entry in self.log("performance").await {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (method, request) = (&message["message"]["method"], &message["message"]["params"]);
            // Requests of the browser's own pages do not matter.
            let is_of_page = request["documentURL"].as_str().is_some_and(|url| url.starts_with(&own));
            if method == "Network.requestWillBeSent" && is_of_page {
                let url = request["request"]["url"].as_str().unwrap();
                assert!(url.starts_with(&own), "a page requested {url}");
                asked += 1;
            }
        }
        assert!(asked > 3, "only {asked} requests were seen");
        self.client.close().await.unwrap();
    }
}

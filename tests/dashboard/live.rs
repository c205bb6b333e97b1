//! Tests of the dashboard in a browser while a process runs.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use procstate::text::visible;
use procstate::{Params, ProcessHandle, Runner, RunnerBuilder, WorkContext, WorkResult, Worker};

use super::browser::Browser;
use super::site::{NAMES, process};
use crate::client::Site;

/// A worker that ends each item as the test tells it.
struct Told {
    ends: Mutex<Receiver<WorkResult>>,
}

impl Worker for Told {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        work.add_stat("bytes", 1.5);
        let ends = self.ends.lock().unwrap();
        loop {
            match ends.recv_timeout(Duration::from_millis(50)) {
                Ok(end) => return end,
                Err(_) if work.should_stop() => return Ok(()),
                Err(_) => {}
            }
        }
    }
}

fn controlled_runner(site: &Site) -> (RunnerBuilder, Sender<WorkResult>) {
    let (sender, ends) = channel();
    let runner = Runner::builder(&site.store, "gckeys")
        .every(Duration::from_secs(24 * 3600))
        .progress_interval(Duration::from_millis(50))
        .worker(Told { ends: Mutex::new(ends) });
    (runner, sender)
}

fn gckeys(site: &Site, items: usize) -> ProcessHandle {
    let process = site.store.process("gckeys").unwrap();
    process.register_all((0..items).map(|n| (format!("project-{n:02}"), Params::new()))).unwrap();
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_watched_from_its_start_to_its_end() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::new();
    gckeys(&site, 20);
    browser.open(&site, "/").await;
    browser.sees("#processes tbody", "never ran").await;
    browser.sees("#connection", "live").await;
    browser.mark().await;
    let (runner, ends) = controlled_runner(&site);
    let runner = runner.spawn().unwrap();
    browser.sees("#processes tbody", "active").await;
    (0..10).for_each(|_| ends.send(Ok(())).unwrap());
    browser.sees("#processes tbody", "10 of 20").await;
    assert!(browser.is_marked().await, "the page was reloaded");

    browser.click_link("gckeys").await;
    browser.sees("#now", "10 of 20").await;
    browser.sees("#connection", "live").await;
    browser.mark().await;
    browser.sees("#item-list", "queued: 9").await;
    (0..9).for_each(|_| ends.send(Ok(())).unwrap());
    browser.sees("#now", "19 of 20").await;
    browser.sees("#now", "Time left").await;
    browser.sees("#history", "No run has finished yet").await;
    ends.send(Ok(())).unwrap();
    browser.sees("#now", "completed").await;
    browser.sees("#history", "The last 1 runs as a table").await;
    browser.sees("#totals", "work.bytes").await;
    assert!(browser.is_marked().await, "the page was reloaded");
    drop(runner);
    browser.end(&site, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_fails_and_is_retried() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::new();
    gckeys(&site, 3);
    let (runner, ends) = controlled_runner(&site);
    let runner = runner.spawn().unwrap();
    browser.open(&site, "/processes/gckeys").await;
    browser.sees("#connection", "live").await;
    ends.send(Ok(())).unwrap();
    ends.send(Err("the bucket <b>is</b> gone\u{202e}".into())).unwrap();
    ends.send(Ok(())).unwrap();
    browser.sees("#now", "incomplete").await;
    browser.sees("#item-list", "the bucket <b>is</b> gone\\u{202e}").await;
    browser.click_link("project-01").await;
    browser.sees("#now", "incomplete").await;
    browser.sees("#problems", "the bucket <b>is</b> gone\\u{202e}").await;
    browser.click_link("Retry").await;
    browser.sees("main", "Retry this item?").await;
    browser.click("form.confirm button").await;
    browser.sees(".notice", "Queued again.").await;
    browser.sees("#connection", "live").await;
    browser.mark().await;
    browser.sees("#now", "active").await;
    ends.send(Ok(())).unwrap();
    browser.sees("#now", "completed").await;
    assert!(browser.is_marked().await, "the page was reloaded");
    drop(runner);
    browser.end(&site, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_paused_and_resumed() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::new();
    let process = gckeys(&site, 4);
    let (runner, ends) = controlled_runner(&site);
    let runner = runner.spawn().unwrap();
    browser.open(&site, "/processes/gckeys").await;
    browser.click_link("Pause").await;
    browser.click("form.confirm button").await;
    browser.sees("#now", "paused").await;
    browser.sees(".notice", "The process is paused.").await;
    assert!(process.is_paused().unwrap());
    // The item in progress completes.
    ends.send(Ok(())).unwrap();
    browser.sees("#now", "1 of 4").await;
    browser.click_link("Resume").await;
    browser.click("form.confirm button").await;
    (0..3).for_each(|_| ends.send(Ok(())).unwrap());
    browser.sees("#now", "4 of 4").await;
    browser.sees("#now", "completed").await;
    drop(runner);
    browser.end(&site, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_edits_of_settings_conflict() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::new();
    let process = gckeys(&site, 1);
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap().handle;
    for tab in [&first, &second] {
        browser.client.switch_to_window(tab.clone()).await.unwrap();
        browser.open(&site, "/processes/gckeys/settings").await;
    }
    for (tab, every, params) in [(&first, "1h", "size = 1"), (&second, "2h", "size = 2")] {
        browser.client.switch_to_window(tab.clone()).await.unwrap();
        browser.type_into("#every", every).await;
        browser.type_into("#params", params).await;
        browser.click("form.edit button").await;
    }
    browser.sees("#conflict-title", "These settings have changed").await;
    browser.sees("section.problem", "size = 1").await;
    assert_eq!(browser.find("#params").await.prop("value").await.unwrap().unwrap(), "size = 2");
    assert_eq!(process.settings().unwrap().params, Params::new().int("size", 1));
    browser.click("form.edit button").await;
    browser.sees("#settings", "size = 2").await;
    browser.client.switch_to_window(first).await.unwrap();
    browser.sees("#settings", "every 2h").await;
    assert_eq!(process.settings().unwrap().params, Params::new().int("size", 2));
    // Chromium logs each page with such a status.
    browser.end(&site, &["409 (Conflict)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_arbitrary_text() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::new();
    for name in NAMES {
        process(&site, name);
    }
    for name in NAMES {
        browser.open(&site, "/").await;
        browser.click_link(&visible(name)).await;
        browser.sees("h1", &visible(name)).await;
        browser.sees("#connection", "live").await;
        browser.mark().await;
        // The script applies the change, and identifies the process by name.
        site.store.process(name).unwrap().set_params(Params::new().string(name, name)).unwrap();
        browser.sees("#settings", " = \"").await;
        assert!(browser.is_marked().await, "the page was reloaded");
        browser.click_link(&visible(NAMES[7])).await;
        browser.sees("h1", &visible(NAMES[7])).await;
    }
    let alerts = browser.client.get_alert_text().await;
    assert!(alerts.is_err(), "{alerts:?}");
    browser.end(&site, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_phones_do() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::new();
    process(&site, "p");
    browser.client.set_window_size(390, 844).await.unwrap();
    for path in ["/", "/processes/p", "/processes/p/work/plain", "/processes/p/settings"] {
        browser.open(&site, path).await;
        // No wider than the screen.
        browser.comes_true("document.documentElement.scrollWidth <= innerWidth").await;
        // The first link that the Tab key reaches skips the page header.
        let body = browser.client.active_element().await.unwrap();
        body.send_keys("\u{E004}").await.unwrap();
        let link = browser.client.active_element().await.unwrap();
        let text = link.prop("textContent").await.unwrap();
        assert_eq!(text.as_deref(), Some("Skip to the content"), "{path}");
    }
    browser.end(&site, &[]).await;
}

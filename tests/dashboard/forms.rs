//! Tests of the forms.

use std::time::Duration;

use procstate::http::Options;
use procstate::{Effect, List, Params, Store};

use super::site::{NAMES, Page, follow, post, post_from, process};
use crate::client::Site;
use crate::common::eager;

#[test]
fn actions_require_confirmation() {
    let site = Site::new();
    let process = process(&site, "a/b");
    let act = |button: &str| {
        let page = Page::get(&site, "/processes/a%2Fb");
        let asked = Page::get(&site, &page.link(button));
        let action = asked.attributes("action").remove(0);
        follow(&site, &post(&site, &action, &[]))
    };
    let paused = act("Pause");
    assert!(paused.shows("The process is paused.") && process.is_paused().unwrap());
    assert!(act("Resume").shows("The process is resumed.") && !process.is_paused().unwrap());
    let failed = process.summary().unwrap().failed;
    assert!(failed > 0);
    assert!(act("Retry failed").shows(&format!("{failed} queued again.")));
    assert!(act("Run now").shows("A run is due now."));
    assert!(act("Release").shows("The process no longer has an owner."));
    assert_eq!(process.summary().unwrap().instance, "");
}

#[test]
fn a_live_owner_is_not_released() {
    let site = Site::new();
    let process = site.store.process("p").unwrap();
    process.register("w", Params::new()).unwrap();
    let run = process.claim_with(&procstate::Instance::new(), &eager()).unwrap();
    let page = Page::get(&site, "/processes/p");
    assert!(!page.shows(">Release<"), "{}", page.html);
    let answer = post(&site, "/processes/p/do/release", &[]);
    assert_eq!(answer.status, 409);
    assert!(Page::of("", &answer).shows("This is not possible now"), "{}", answer.text());
    drop(run);
}

#[test]
fn work_is_registered_changed_retried_and_unregistered() {
    let site = Site::new();
    let params = "size = 8\r\n\"two words\" = \"line\\nbreak\"\r\n";
    let fields = [("process", "new/one"), ("work", "<b>w</b>"), ("params", params)];
    let item = follow(&site, &post(&site, "/register", &fields));
    assert!(item.shows("The work is registered.") && item.shows("\"two words\" = \"line\\nbreak\""));
    let process = site.store.process("new/one").unwrap();
    let params = || process.work("<b>w</b>").unwrap().details.unwrap().params.unwrap();
    assert_eq!(params(), Params::new().int("size", 8).string("two words", "line\nbreak"));

    let edit = Page::get(&site, &item.link("Change parameters"));
    let version = version_of(&edit);
    let fields = [("params", "size = 9"), ("version", version.as_str())];
    follow(&site, &post(&site, &edit.path, &fields));
    assert_eq!(params(), Params::new().int("size", 9));
    let stale = post(&site, &edit.path, &fields);
    assert_eq!(stale.status, 409);
    assert!(Page::of("", &stale).shows("Nothing was saved"));

    let taken = post(&site, "/processes/new%2Fone/register", &[("work", "<b>w</b>"), ("params", "")]);
    assert_eq!(taken.status, 409);
    assert!(Page::of("", &taken).shows("Work of that name already exists"));
    assert_eq!(params(), Params::new().int("size", 9));

    let item = Page::get(&site, &item.path.replace("?done=register", ""));
    for button in ["Retry", "Unregister"] {
        let asked = Page::get(&site, &item.link(button));
        follow(&site, &post(&site, &asked.attributes("action")[0], &[]));
    }
    assert_eq!(process.list(List::Cleanup, None, 9).unwrap().items[0].name, "<b>w</b>");
}

fn version_of(page: &Page) -> String {
    let rest = page.html.split("name=\"version\" value=\"").nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn invalid_input_is_explained_and_kept() {
    let site = Site::new();
    let process = process(&site, "p");
    for (path, fields, why) in [
        ("/processes/p/register", [("work", "w"), ("params", "a = <eu>")], "line 1 of the parameters"),
        ("/processes/p/register", [("work", ""), ("params", "a = \"<eu>\"")], "name"),
        ("/processes/p/settings", [("version", "0"), ("params", "x = \"<eu>\"\nx")], "line 2"),
    ] {
        let answer = post(&site, path, &fields);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let page = Page::of(path, &answer);
        assert!(page.shows(why) && page.shows("<eu>"), "{path}: {}", page.html);
    }
    let wrong = [("version", "0"), ("every", "5 apples")];
    assert!(Page::of("", &post(&site, "/processes/p/settings", &wrong)).shows("Every:"));
    let both = [("version", "0"), ("every", "1h"), ("cron", "30 2 * * * UTC")];
    assert!(Page::of("", &post(&site, "/processes/p/settings", &both)).shows("one schedule"));
    let cron = [("version", "0"), ("cron", "61 2 * * * UTC")];
    assert_eq!(post(&site, "/processes/p/settings", &cron).status, 400);
    assert_eq!(process.settings().unwrap().schedule, None);
}

#[test]
fn concurrent_changes_of_settings_are_not_overwritten() {
    let site = Site::new();
    let process = process(&site, "p");
    process.set_params(Params::new().int("size", 8).string(NAMES[7], NAMES[8])).unwrap();
    let form = Page::get(&site, "/processes/p/settings");
    let text = form.html.split("<textarea").nth(1).unwrap().split_once('>').unwrap().1;
    let text = super::site::unescaped(text.split("</textarea>").next().unwrap().trim_start_matches('\n'));
    let version = version_of(&form);

    // Saving it unchanged loses nothing.
    let fields = [("every", "1h 30m"), ("offset", "60"), ("params", text.as_str()), ("version", &version)];
    let saved = follow(&site, &post(&site, "/processes/p/settings", &fields));
    assert!(
        saved.shows("The settings are changed.") && saved.shows("every 1h 30m, 1m later"),
        "{}",
        saved.html
    );
    let settings = process.settings().unwrap();
    assert_eq!(settings.schedule, Some(Duration::from_secs(5400)));
    assert_eq!(settings.params, Params::new().int("size", 8).string(NAMES[7], NAMES[8]));

    // The other tab sees the conflict.
    let fields = [("every", "2h"), ("params", "size = 10"), ("version", version.as_str())];
    let answer = post(&site, "/processes/p/settings", &fields);
    assert_eq!(answer.status, 409, "{}", answer.text());
    let page = Page::of("", &answer);
    assert!(page.shows("These settings have changed") && page.shows("every 1h 30m"));
    assert!(page.shows("size = 8") && page.shows("size = 10"), "{}", page.html);
    assert_eq!(process.settings().unwrap(), settings);

    // Saving again overwrites it.
    let version = version_of(&page);
    let fields = [("every", "2h"), ("params", "size = 10"), ("version", version.as_str())];
    follow(&site, &post(&site, "/processes/p/settings", &fields));
    assert_eq!(process.settings().unwrap().params, Params::new().int("size", 10));
}

#[test]
fn forms_of_other_sites_change_nothing() {
    let site = Site::new();
    let process = process(&site, "p");
    for headers in [
        ["Origin: http://elsewhere.example", "Accept: text/html"],
        ["Origin: null", "Accept: text/html"],
        ["Sec-Fetch-Site: cross-site", "Origin: http://localhost"],
        ["Sec-Fetch-Site: same-site", "Origin: http://localhost"],
    ] {
        let answer = post_from(&site, "/processes/p/do/pause", &[], &headers);
        assert_eq!(answer.status, 403, "{headers:?}: {}", answer.text());
    }
    assert!(!process.is_paused().unwrap());
}

#[test]
fn a_read_only_dashboard_has_no_buttons() {
    let store = Store::in_memory();
    let writable = Site::with(store.clone(), Options::new());
    let process = process(&writable, "p");
    let site = Site::with(store, Options::new().read_only(true));
    for path in ["/", "/processes/p", "/processes/p/work/plain"] {
        let page = Page::get(&site, path);
        assert!(page.shows("read-only") && !page.shows("Pause") && !page.shows("/register"), "{}", page.html);
        assert!(!page.shows("method=\"post\"") && !page.shows("/do/"), "{}", page.html);
    }
    for path in
        ["/processes/p/do/pause", "/processes/p/settings", "/register", "/processes/p/work/plain/do/retry"]
    {
        let answer = post(&site, path, &[("version", "0"), ("process", "p"), ("work", "w")]);
        assert_eq!(answer.status, 403, "{path}");
        assert!(Page::of(path, &answer).shows("served read-only; nothing was changed"), "{}", answer.text());
    }
    assert_eq!(process.pause().unwrap(), Effect::Changed);
}

//! The console in a real browser: what the pages promise to those who use it by keyboard, on a phone and
//! in the dark, and that the policy in their headers stops nothing of their own.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::settings::Role;

use crate::support::browser::{Browser, ENTER, TAB};
use crate::support::build::{CARD, NUMBER_1, plain, refresh_with, status};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{App, Backend, START, wait_until};

/// A service with a notification that could not be opened when it came, and can be now.
fn with_a_held_notification(folder: &KeyFolder, backend: Backend) -> App {
    let mut app = folder.spawn(backend);
    let late = LateKey::new("late-2026");
    let payment = json!({ "paymentToken": {
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }});
    app.deliver(&plain(&[
        refresh_with(CARD, START - 9_000, &late.jwe(&payment)),
        status("another", Some(START - 8_000), "ACTIVE"),
    ]));
    app.stop();
    folder.put(late.kid, &late.pem);
    // Without a processor: it would take the new key up by itself.
    app.settings.roles = vec![Role::Receive];
    app.start();
    app
}

#[rstest]
fn a_held_notification_is_found_explained_and_replayed_by_keyboard_alone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = KeyFolder::copy();
    let app = with_a_held_notification(&folder, backend);
    let key = app.new_key(AccessRole::Ops, "night-shift");
    let arrived = |part: &str| wait_until(part, || browser.path().contains(part));

    browser.open(&app.api_url("/console"));
    assert_eq!(browser.path(), "/console/sign-in");
    browser.press(&format!("tk_ops_wrong{ENTER}"));
    wait_until("it is refused", || {
        browser.text().contains("unknown or revoked")
    });
    // The field has the focus from the beginning.
    browser.press(&format!("{key}{ENTER}"));
    wait_until("the overview", || browser.path() == "/console");
    let cookie = &browser.cookies()[0];
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"], &cookie["path"]),
        (&json!(true), &json!("Strict"), &json!("/console"))
    );
    assert_eq!(browser.run("return document.cookie"), "");

    // Past the navigation, to the first thing that needs a human.
    let text = browser.text();
    assert!(
        text.contains("Notifications quarantined, unknown-key: 1"),
        "{text}"
    );
    browser.press(&format!("{TAB}{ENTER}{TAB}{ENTER}"));
    arrived("verdict=quarantined");
    browser.tab_to("tbody a");
    browser.press(ENTER);
    arrived("/console/notifications/");
    let text = browser.text();
    for shown in [
        "quarantined (unknown-key)",
        "How it was decided",
        "get_card",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    browser.tab_to("a[href$='/replay']");
    browser.press(ENTER);
    arrived("/replay");
    let text = browser.text();
    assert!(
        text.contains("Nothing is changed yet") && text.contains("token.number"),
        "{text}"
    );
    browser.tab_to("#reason");
    browser.press(&format!("the key is here now{ENTER}"));
    arrived("replayed=yes");
    let text = browser.text();
    for shown in [
        "It was judged anew.",
        "applied",
        "the key is here now",
        "night-shift",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains(NUMBER_1), "{text}");
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

#[test]
fn pages_fit_a_phone_and_have_enough_contrast_in_light_and_dark() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = KeyFolder::copy();
    let app = with_a_held_notification(&folder, Backend::Sqlite);
    let key = app.new_key(AccessRole::Ops, "night-shift");
    browser.open(&app.api_url("/console/sign-in"));
    browser.press(&format!("{key}{ENTER}"));
    wait_until("the overview", || browser.path() == "/console");
    let item = app.notifications(CARD)[0].id.clone();
    let pages = [
        ("overview", "/console".to_owned()),
        ("cards", "/console/cards".to_owned()),
        ("card", format!("/console/cards/{CARD}")),
        ("notifications", "/console/notifications".to_owned()),
        ("notification", format!("/console/notifications/{item}")),
        ("replay", format!("/console/notifications/{item}/replay")),
        ("outbox", "/console/outbox".to_owned()),
        ("keys", "/console/keys".to_owned()),
    ];
    let mut least = f64::MAX;
    for (name, path) in &pages {
        browser.open(&app.api_url(path));
        for (is_phone, is_dark) in [(false, false), (false, true), (true, false), (true, true)] {
            browser.appear(is_phone, is_dark);
            browser.picture(&format!(
                "{name}-{}{}",
                if is_phone { "phone" } else { "desk" },
                if is_dark { "-dark" } else { "" }
            ));
            let wide =
                browser.run("return document.documentElement.scrollWidth - window.innerWidth");
            assert!(
                wide.as_i64().unwrap() <= 0,
                "{name} is wider than its window by {wide}"
            );
            let contrast = browser.run(CONTRAST).as_f64().unwrap();
            assert!(
                contrast >= 4.5,
                "{name}: text of a contrast of {contrast} only"
            );
            least = least.min(contrast);
        }
    }
    assert_eq!(browser.complaints(), Vec::<Value>::new());
    println!(
        "{} pages of the console fit, the least contrast is {least:.1}",
        pages.len()
    );
}

/// The least contrast of text with what is behind it, as WCAG 2 counts it.
const CONTRAST: &str = r"
const numbers = (color) => color.match(/[\d.]+/g).map(Number);
const light = (color) => {
  const [r, g, b] = numbers(color).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    const parts = numbers(color);
    if (parts.length < 4 || parts[3] > 0) return color;
  }
  return 'rgb(255, 255, 255)';
};
let least = 21;
for (const element of document.querySelectorAll('body *')) {
  const has = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!has || !element.getClientRects().length) continue;
  const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
  least = Math.min(least, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
}
return least;";

//! On the desktops of who is logged in: over the bus of each one's session, which nobody else may use, root included.
//!
//! Source: Desktop Notifications Specification 1.3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zbus::Connection;
use zbus::Variant;
use zbus::connection::Builder;

use super::Surroundings;
use crate::notify::{Kind, Parcel, SendError, Sent, harmless};

/// Characters of a text; what is longer is cut off by desktops, each at another place.
const TEXT_LEN_MAX: usize = 1200;
/// Who shows notices.
const SERVICE: &str = "org.freedesktop.Notifications";
const OBJECT: &str = "/org/freedesktop/Notifications";

/// Somebody's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desktop {
    /// Whose.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The address of its bus.
    pub bus: String,
}

/// What is to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Popup {
    /// The heading.
    pub subject: String,
    /// The text below it, as it is: not markup.
    pub text: String,
    /// The icon's name.
    pub icon: String,
    /// 0 to 2: low, normal, critical. A critical one stays until it is clicked away.
    pub urgency: u8,
    /// What it takes the place of, if that is still there.
    pub replaces: Option<Shown>,
}

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number there.
    pub id: u32,
    /// Who showed it: numbers begin anew with each.
    pub by: String,
}

/// What is remembered from one message to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Receipt {
    /// What each user sees, by the user's number.
    #[serde(default)]
    shown: BTreeMap<u32, Shown>,
    /// Who has seen the message that not all have seen yet.
    #[serde(default)]
    had: BTreeSet<u32>,
    /// Which one that is.
    #[serde(default)]
    message: String,
}

/// Shows the message to those it is for.
pub(super) fn send(
    users: &[String],
    parcel: &Parcel,
    surroundings: &dyn Surroundings,
    limit: Duration,
) -> Result<Sent, SendError> {
    let desktops = surroundings.desktops();
    let mut receipt = remembered(parcel);
    let wanted = wanted(users, parcel);
    let everybody = wanted.is_empty();
    let mut reasons = Vec::new();
    for name in wanted
        .iter()
        .filter(|name| desktops.iter().all(|desktop| desktop.user != **name))
    {
        reasons.push(format!(
            "{name} is not logged in, or cannot be reached from this account"
        ));
    }
    let mut reached = false;
    for desktop in &desktops {
        if !everybody && !wanted.contains(&desktop.user) {
            continue;
        }
        if receipt.had.contains(&desktop.uid) {
            reached = true;
            continue;
        }
        let popup = popup(parcel, receipt.shown.get(&desktop.uid).cloned());
        match surroundings.show(desktop, &popup, limit) {
            Ok(shown) => {
                receipt.shown.insert(desktop.uid, shown);
                receipt.had.insert(desktop.uid);
                reached = true;
            }
            Err(reason) => reasons.push(format!("{}: {reason}", desktop.user)),
        }
    }
    if everybody && !reached && reasons.is_empty() {
        reasons.push("nobody is logged in".to_owned());
    }
    // Where it is for everybody, sessions without a desktop are nothing to wait for.
    if reasons.is_empty() || (everybody && reached) {
        receipt.had.clear();
        receipt.message.clear();
        return Ok(Sent {
            receipt: Some(written(&receipt)),
        });
    }
    Err(SendError {
        reason: harmless::line(&reasons.join("; "), 400),
        receipt: Some(written(&receipt)),
    })
}

/// Whom it is for; nobody by name: all who are logged in.
fn wanted(users: &[String], parcel: &Parcel) -> Vec<String> {
    if !users.is_empty() {
        return users.to_vec();
    }
    let owner = parcel.message.user.clone();
    owner.filter(|user| user != "root").into_iter().collect()
}

fn remembered(parcel: &Parcel) -> Receipt {
    let notice = &parcel.message.notice;
    let message = format!("{} {}", notice.kind.name(), notice.at);
    let text = parcel.receipt.as_deref().unwrap_or_default();
    let mut receipt: Receipt = serde_json::from_str(text).unwrap_or_default();
    if receipt.message != message {
        receipt.had.clear();
        receipt.message = message;
    }
    receipt
}

fn written(receipt: &Receipt) -> String {
    serde_json::to_string(receipt).expect("numbers and texts can be written")
}

fn popup(parcel: &Parcel, replaces: Option<Shown>) -> Popup {
    let message = &parcel.message;
    let (icon, urgency) = match message.notice.kind {
        Kind::Failure => ("dialog-error", 2),
        Kind::Silence => ("dialog-warning", 2),
        Kind::Warning => ("dialog-warning", 1),
        Kind::Started | Kind::Success | Kind::Recovery | Kind::Test => ("dialog-information", 1),
    };
    let text = match parcel.notifier.body {
        Some(_) => &message.body,
        None => &message.short,
    };
    let mut text: String = text.trim_end().chars().take(TEXT_LEN_MAX + 1).collect();
    if text.chars().count() > TEXT_LEN_MAX {
        text.pop();
        text.push('…');
    }
    Popup {
        subject: message.subject.clone(),
        text,
        icon: icon.to_owned(),
        urgency,
        replaces,
    }
}

/// Shows it on the desktop of the session whose bus this is. That bus has to be this user's own.
///
/// # Errors
/// There is no bus, it does not answer, or nobody on it shows notices.
pub fn show(bus: &str, popup: &Popup, limit: Duration) -> Result<Shown, String> {
    let (done, result) = mpsc::channel();
    let (bus, popup) = (bus.to_owned(), popup.clone());
    // The library waits for a bus that has not greeted yet as long as it takes.
    let talking = thread::Builder::new().name("desktop".to_owned());
    let started = talking.spawn(move || {
        let outcome = zbus::block_on(shown(&bus, &popup, limit));
        // Nobody may be waiting any more.
        let _ = done.send(outcome.map_err(|error| reason(&error)));
    });
    started.map_err(|error| error.to_string())?;
    let outcome = result.recv_timeout(limit);
    outcome.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

fn reason(error: &zbus::Error) -> String {
    let text = error.to_string();
    if text.starts_with("org.freedesktop.DBus.Error.ServiceUnknown") {
        return "no desktop in this session shows notices".to_owned();
    }
    harmless::line(&text, 300)
}

async fn shown(bus: &str, popup: &Popup, limit: Duration) -> zbus::Result<Shown> {
    let connection = Builder::address(bus).method_timeout(limit).build().await?;
    let capabilities: Vec<String> = call(&connection, "GetCapabilities", &()).await?;
    let by = shower(&connection).await?;
    let text = if capabilities.iter().any(|can| can == "body-markup") {
        harmless::markup(&popup.text)
    } else {
        popup.text.clone()
    };
    let replaces = popup.replaces.as_ref().filter(|shown| shown.by == by);
    let mut hints = HashMap::from([("urgency", Variant::from(popup.urgency))]);
    hints.insert("category", Variant::from("transfer"));
    let actions: [&str; 0] = [];
    let wait = -1_i32;
    let words = (
        "IronBorg",
        replaces.map_or(0, |shown| shown.id),
        popup.icon.as_str(),
        popup.subject.as_str(),
        text.as_str(),
        actions.as_slice(),
        hints,
        wait,
    );
    let id = call(&connection, "Notify", &words).await?;
    Ok(Shown { id, by })
}

async fn call<B, R>(connection: &Connection, method: &str, words: &B) -> zbus::Result<R>
where
    B: Serialize + zbus::zvariant::DynamicType,
    R: for<'de> Deserialize<'de> + zbus::zvariant::Type,
{
    let reply = connection
        .call_method(Some(SERVICE), OBJECT, Some(SERVICE), method, words)
        .await?;
    reply.body().deserialize()
}

/// Who shows notices: the bus and the connection to it, both of which have names that are never used again.
async fn shower(connection: &Connection) -> zbus::Result<String> {
    let bus = "org.freedesktop.DBus";
    let reply = connection
        .call_method(
            Some(bus),
            "/org/freedesktop/DBus",
            Some(bus),
            "GetNameOwner",
            &SERVICE,
        )
        .await?;
    let owner: String = reply.body().deserialize()?;
    Ok(format!("{} {owner}", connection.server_guid()))
}

//! `jobs notify-desktop`: shows a notice in somebody's session, as that user. The order is on standard input; what is
//! remembered of it goes to standard output.

use ironborg_jobs::notify::ways::LIMIT;
use ironborg_jobs::notify::ways::desktop::{self, Popup};
use ironborg_source::named_file;
use rustix::stdio;
use serde_json::Value;

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::sys;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct NotifyDesktopArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct NotifyDesktopOptions {}

impl NotifyDesktopArgs {
    /// Nothing is typed.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // As the other commands have it.
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<NotifyDesktopOptions, ParseError> {
        Ok(NotifyDesktopOptions {})
    }
}

impl Run for NotifyDesktopOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let (uid, bus, popup) = order().ok_or_else(|| CliError::generic("this is not an order"))?;
        let user = sys::user_by_id(uid)
            .ok_or_else(|| CliError::generic(format!("there is no user {uid}")))?;
        sys::become_user(&user).map_err(|error| CliError::generic(error.to_string()))?;
        let shown = desktop::show(&bus, &popup, LIMIT).map_err(CliError::generic)?;
        let line = serde_json::to_string(&shown).expect("a number and a text can be written");
        let mut stdout = Stdout::new();
        stdout.text(&line)?;
        stdout.finish()
    }
}

fn order() -> Option<(u32, String, Popup)> {
    let order = named_file::read_descriptor(stdio::stdin()).ok()?;
    let order: Value = serde_json::from_slice(&order).ok()?;
    let uid = order.get("uid")?.as_u64()?.try_into().ok()?;
    let bus = order.get("bus")?.as_str()?.to_owned();
    let popup = serde_json::from_value(order.get("popup")?.clone()).ok()?;
    Some((uid, bus, popup))
}

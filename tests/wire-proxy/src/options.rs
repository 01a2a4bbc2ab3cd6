//! What was asked for on the command line.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::gate::{Cut, Moment, Request};
use crate::line::LineOptions;

/// Printed for `--help`.
pub(crate) const USAGE: &str = "\
Usage: wire-proxy [OPTION…] -- [-p PORT] HOST WORD…

Takes the place of ssh: starts the words as a command on this machine, whatever HOST is, and passes on what the two ends
have to say to each other, but as over a worse line.

  --delay-ms D              every byte is D ms on its way, in either direction
  --rate N                  N bytes a second pass in either direction
  --queue N                 bytes waiting to get onto the narrow line before the sender has to (default 262144)
  --cut-to-server-after N   cuts the connection after N bytes to the server
  --cut-to-client-after N   … after N bytes to the client
  --cut-every N             … after N bytes in all, the second one after 2 N, the third one after 3 N …; needs --state
  --cut-at-message K[:WHEN] … at the K-th request
  --cut-method M:N[:WHEN]   … at the N-th request of method M
                            WHEN: before (default), inside, after, unanswered, half-answered, answered
  --state FILE              counts connections: each adds a byte to FILE, and has it locked (shared) until its server ends
  --cut-dials N,…           the cut named last is for these connections only (default: all); needs --state.
                            Each cut may have its own connections, and the first cut for one counts
  --refuse-dials N,…        these are not even made; needs --state
  --hold S                  a cut leaves the server waiting for S seconds, as behind a connection nobody knows to be dead
  --server COMMAND          starts this command; what was asked for is in SSH_ORIGINAL_COMMAND
  --log FILE                appends a line for every message:
                            connection, > request or < reply, microseconds, bytes, id, method or error";

/// Everything this run is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) line: LineOptions,
    pub(crate) cuts: Vec<CutRule>,
    pub(crate) refuse_dials: Vec<u64>,
    pub(crate) hold: Duration,
    pub(crate) state: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
    pub(crate) server: Option<String>,
    /// The remote command.
    pub(crate) command: String,
}

/// Where connections are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutRule {
    cut: Cut,
    /// After so many bytes for each connection there was, instead of at the same place.
    grows: bool,
    /// Connections it is for; None for all.
    dials: Option<Vec<u64>>,
}

impl Options {
    /// None: help was asked for.
    pub(crate) fn from_args(
        mut args: impl Iterator<Item = String>,
    ) -> Result<Option<Self>, String> {
        let mut options = Self {
            line: LineOptions {
                delay: Duration::ZERO,
                rate: None,
                queue: 256 << 10,
            },
            cuts: Vec::new(),
            refuse_dials: Vec::new(),
            hold: Duration::ZERO,
            state: None,
            log: None,
            server: None,
            command: String::new(),
        };
        loop {
            let Some(name) = args.next() else {
                return Err("-- and a host are missing".to_owned());
            };
            match name.as_str() {
                "--" => break,
                "--help" | "-h" => return Ok(None),
                _ => {
                    let value = args.next().ok_or(format!("{name} needs a value"))?;
                    let set = options.set(&name, &value);
                    set.map_err(|why| format!("{name} {value}: {why}"))?;
                }
            }
        }
        options.command = remote_command(args)?;
        let counts = |rule: &CutRule| rule.grows || rule.dials.is_some();
        let counts = options.cuts.iter().any(counts) || !options.refuse_dials.is_empty();
        if counts && options.state.is_none() {
            return Err("connections cannot be counted without --state".to_owned());
        }
        Ok(Some(options))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--delay-ms" => self.line.delay = Duration::from_millis(number(value)?),
            "--rate" => self.line.rate = Some(positive(value)?),
            "--queue" => {
                self.line.queue =
                    usize::try_from(positive(value)?).map_err(|why| why.to_string())?;
            }
            "--cut-to-server-after" => self.cut(Cut::ToServerAfter(number(value)?)),
            "--cut-to-client-after" => self.cut(Cut::ToClientAfter(number(value)?)),
            "--cut-every" => {
                self.cut(Cut::After(positive(value)?));
                self.last_cut()?.grows = true;
            }
            "--cut-at-message" => {
                let (count, when) = value.split_once(':').unwrap_or((value, "before"));
                let request = Request::Number(positive(count)?);
                let moment = moment(when)?;
                self.cut(Cut::At { request, moment });
            }
            "--cut-method" => {
                let (method, rest) = value.split_once(':').ok_or("METHOD:NUMBER is wanted")?;
                let (count, when) = rest.split_once(':').unwrap_or((rest, "before"));
                let request = Request::OfMethod {
                    method: method.to_owned(),
                    number: positive(count)?,
                };
                let moment = moment(when)?;
                self.cut(Cut::At { request, moment });
            }
            "--state" => self.state = Some(value.into()),
            "--cut-dials" => self.last_cut()?.dials = Some(numbers(value)?),
            "--refuse-dials" => self.refuse_dials = numbers(value)?,
            "--hold" => self.hold = Duration::from_secs(number(value)?),
            "--server" => self.server = Some(value.to_owned()),
            "--log" => self.log = Some(value.into()),
            _ => return Err("there is no such option".to_owned()),
        }
        Ok(())
    }

    fn cut(&mut self, cut: Cut) {
        self.cuts.push(CutRule {
            cut,
            grows: false,
            dials: None,
        });
    }

    fn last_cut(&mut self) -> Result<&mut CutRule, String> {
        self.cuts.last_mut().ok_or("no cut before it".to_owned())
    }

    /// Where the connection of this number is cut.
    pub(crate) fn cut_of(&self, dial: u64) -> Option<Cut> {
        let is_for = |rule: &&CutRule| {
            rule.dials
                .as_ref()
                .is_none_or(|dials| dials.contains(&dial))
        };
        let rule = self.cuts.iter().find(is_for)?;
        Some(match &rule.cut {
            Cut::After(bytes) if rule.grows => Cut::After(bytes.saturating_mul(dial)),
            cut => cut.clone(),
        })
    }
}

/// The words after the host, as ssh sends them: put together with spaces, to be taken apart by the other side's shell.
fn remote_command(args: impl Iterator<Item = String>) -> Result<String, String> {
    let mut args = args.peekable();
    while args.next_if(|word| word == "-p").is_some() {
        args.next().ok_or("-p needs a port")?;
    }
    args.next().ok_or("a host is missing")?;
    let words: Vec<String> = args.collect();
    if words.is_empty() {
        return Err("a command is missing".to_owned());
    }
    Ok(words.join(" "))
}

fn number(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| "not a number".to_owned())
}

fn positive(value: &str) -> Result<u64, String> {
    let value: Result<NonZeroU64, _> = value.parse();
    value
        .map(NonZeroU64::get)
        .map_err(|_| "not a number above 0".to_owned())
}

fn numbers(value: &str) -> Result<Vec<u64>, String> {
    value.split(',').map(positive).collect()
}

fn moment(value: &str) -> Result<Moment, String> {
    Ok(match value {
        "before" => Moment::Before,
        "inside" => Moment::Inside,
        "after" => Moment::After,
        "unanswered" => Moment::Unanswered,
        "half-answered" => Moment::HalfAnswered,
        "answered" => Moment::Answered,
        _ => return Err("no such moment".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let words = line.split(' ').map(str::to_owned);
        Options::from_args(words).map(|options| options.expect("no help was asked for"))
    }

    #[test]
    fn the_remote_command_follows_host_and_port() {
        let options = parse("-- -p 2222 user@host borg serve --info").expect("valid");
        assert_eq!(options.command, "borg serve --info");
        assert_eq!(options.cut_of(1), None);
        assert_eq!(parse("-- host"), Err("a command is missing".to_owned()));
        let missing = "-- and a host are missing".to_owned();
        assert_eq!(parse("--rate 5"), Err(missing));
    }

    #[test]
    fn cuts_are_for_the_connections_named() {
        let words = "--cut-method put:3:inside --state s --cut-dials 1,3 -- h borg serve";
        let options = parse(words).expect("valid");
        let cut = Cut::At {
            request: Request::OfMethod {
                method: "put".to_owned(),
                number: 3,
            },
            moment: Moment::Inside,
        };
        let cuts: Vec<_> = (1..5).map(|dial| options.cut_of(dial)).collect();
        assert_eq!(cuts, [Some(cut.clone()), None, Some(cut), None]);
    }

    #[test]
    fn connections_may_be_cut_in_different_places() {
        let words =
            "--cut-to-server-after 5 --cut-dials 1 --cut-to-client-after 6 --state s -- h x";
        let options = parse(words).expect("valid");
        assert_eq!(options.cut_of(1), Some(Cut::ToServerAfter(5)));
        assert_eq!(options.cut_of(2), Some(Cut::ToClientAfter(6)));
    }

    #[test]
    fn each_connection_may_get_further_than_the_one_before() {
        let options = parse("--cut-every 1000 --state s -- h borg serve").expect("valid");
        assert_eq!(options.cut_of(1), Some(Cut::After(1000)));
        assert_eq!(options.cut_of(3), Some(Cut::After(3000)));
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            "--rate 0 -- h x",
            "--delay-ms x -- h x",
            "--cut-method put -- h x",
            "--cut-at-message 3:never -- h x",
            "--cut-every 100 -- h x",
            "--faster 2 -- h x",
            "--state s --cut-dials 1 -- h x",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}

//! `man`: writes the manual pages, one for each command and topic.
//!
//! They are generated from the description of the command line and from the texts of `help`. Under stock Borg's
//! names there are pages that lead to those of this program.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use ironborg_source::named_file;

use super::help::TOPICS;
use super::help::examples::examples;
use super::{Run, Traits};
use crate::args::{ParseError, global};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::program::Program;

/// The program the pages are about.
const NAME: &str = "ironborg";
/// The program whose names lead to them.
const STOCK_NAME: &str = "borg";
/// Where pages say they belong.
const MANUAL: &str = "IronBorg";

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Directory to write the pages into, such as /usr/share/man/man1
    #[arg(value_name = "DIR", required = true)]
    dir: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ManOptions {
    dir: PathBuf,
}

impl ManArgs {
    /// Takes the word as it is.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ManOptions, ParseError> {
        Ok(ManOptions {
            dir: self.dir.into(),
        })
    }
}

impl Run for ManOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        named_file::make_directories(&self.dir, 0o777)
            .map_err(|error| CliError::generic(error.to_string()))?;
        let stock = Program::named(STOCK_NAME);
        for page in pages().map_err(CliError::stdout)? {
            write(&self.dir, &page.file(NAME), &page.content)?;
            if page.path.first().is_none_or(|name| stock.mentions(name)) {
                let lead = format!(".so man1/{}\n", page.file(NAME));
                write(&self.dir, &page.file(STOCK_NAME), lead.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn write(dir: &Path, file: &str, content: &[u8]) -> Result<(), CliError> {
    let path = dir.join(file);
    named_file::create(path.as_os_str())
        .map_err(|error| CliError::generic(error.to_string()))?
        .write_all(content)
        .map_err(|error| CliError::generic(format!("{}: {error}", path.display())))
}

/// One page.
struct Page {
    /// The commands above and the command's own name; or a topic.
    path: Vec<String>,
    content: Vec<u8>,
}

impl Page {
    fn file(&self, program: &str) -> String {
        format!("{}.1", joined(program, &self.path))
    }
}

/// `ironborg-key-export`
fn joined(program: &str, path: &[String]) -> String {
    let words: Vec<&str> = std::iter::once(program)
        .chain(path.iter().map(String::as_str))
        .collect();
    words.join("-")
}

fn pages() -> io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    push_pages(&crate::args::description(), &[], &mut pages)?;
    for (topic, text) in TOPICS {
        pages.push(topic_page(topic, text)?);
    }
    Ok(pages)
}

fn push_pages(command: &Command, path: &[String], pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(Page {
        path: path.to_vec(),
        content: command_page(command, path)?,
    });
    for below in command.get_subcommands() {
        let path = [path, &[below.get_name().to_owned()]].concat();
        push_pages(below, &path, pages)?;
    }
    Ok(())
}

fn command_page(command: &Command, path: &[String]) -> io::Result<Vec<u8>> {
    let is_common = |arg: &clap::Arg| arg.get_help_heading() == Some(global::HEADING);
    let is_program = path.is_empty();
    let words: Vec<&str> = std::iter::once(NAME)
        .chain(path.iter().map(String::as_str))
        .collect();
    let described = command
        .clone()
        .display_name(joined(NAME, path))
        .bin_name(words.join(" "))
        .mut_args(|arg| {
            if is_common(&arg) {
                arg.hide(!is_program)
            } else {
                arg
            }
        });
    let man = man(described, &joined(NAME, path));
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut rest = Roff::new();
    push_examples(path, &mut rest);
    rest.control("SH", ["SEE ALSO"]);
    let mut also: Vec<String> = TOPICS
        .iter()
        .map(|(name, _)| format!("{NAME}-{name}"))
        .collect();
    if !is_program {
        also.insert(0, NAME.to_owned());
        rest.text([roman(format!(
            "The options of all commands are described in {NAME}(1)."
        ))]);
        rest.control("PP", []);
    }
    let also: Vec<String> = also.into_iter().map(|name| format!("{name}(1)")).collect();
    rest.text([roman(also.join(", "))]);
    rest.to_writer(&mut out)?;
    Ok(out)
}

fn man(command: Command, title: &str) -> Man {
    Man::new(command)
        .title(title)
        .section("1")
        .date("")
        .source(concat!("ironborg ", env!("CARGO_PKG_VERSION")))
        .manual(MANUAL)
}

fn push_examples(path: &[String], out: &mut Roff) {
    let examples = examples(path);
    if examples.is_empty() {
        return;
    }
    out.control("SH", ["EXAMPLES"]);
    for example in examples {
        out.control("TP", []);
        out.text([roman(example.purpose)]);
        out.text([bold(format!("{NAME} {}", example.arguments))]);
    }
}

fn topic_page(topic: &str, text: &str) -> io::Result<Page> {
    let path = vec![topic.to_owned()];
    let name = joined(NAME, &path);
    let mut out = Vec::new();
    man(Command::new(name.clone()), &name).render_title(&mut out)?;
    let mut page = Roff::new();
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - the help on {topic}"))]);
    page.control("SH", ["DESCRIPTION"]);
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.to_writer(&mut out)?;
    Ok(Page { path, content: out })
}

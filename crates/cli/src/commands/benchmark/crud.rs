//! `benchmark crud`: measure creating, reading, updating and deleting.
//!
//! Source: Borg 1.4, `do_benchmark_crud`.

mod files;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Instant;

use ironborg_types::{BytePath, Level, text};

use self::files::{Content, TestFiles};
use crate::args;
use crate::args::ParseError;
use crate::command_line::{self, Understood};
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::size::{SizeUnits, format_size};
use crate::parse::{ArchivePart, ParseContext};
use crate::signals::{self, PolledOperation};

/// How the archives are called, before their number.
const ARCHIVE: &str = "borg-benchmark-crud";
/// Set to measure next to nothing, for tests.
const TINY: &str = "_BORG_BENCHMARK_CRUD_TEST";

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchmarkCrudArgs {
    /// Repository to work with; a new one is best
    #[arg(value_name = "REPOSITORY")]
    location: OsString,
    /// Directory for test files: up to 1 GB, removed afterwards
    #[arg(value_name = "PATH")]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct BenchmarkCrudOptions {
    location: Location,
    path: OsString,
}

impl BenchmarkCrudArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<BenchmarkCrudOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(BenchmarkCrudOptions {
            location,
            path: self.path,
        })
    }
}

/// A set of files to be measured with.
#[derive(Debug, Clone, Copy)]
struct Test {
    name: &'static str,
    count: usize,
    size: usize,
    content: Content,
}

const fn test(name: &'static str, count: usize, size: usize, content: Content) -> Test {
    Test {
        name,
        count,
        size,
        content,
    }
}

/// The usual tests.
const TESTS: [Test; 6] = [
    test("Z-BIG", 10, 100_000_000, Content::Zeros),
    test("R-BIG", 10, 100_000_000, Content::Random),
    test("Z-MEDIUM", 1000, 1_000_000, Content::Zeros),
    test("R-MEDIUM", 1000, 1_000_000, Content::Random),
    test("Z-SMALL", 10_000, 10_000, Content::Zeros),
    test("R-SMALL", 10_000, 10_000, Content::Random),
];

/// Those of [`TINY`].
const TINY_TESTS: [Test; 2] = [
    test("Z-TEST", 1, 1, Content::Zeros),
    test("R-TEST", 1, 1, Content::Random),
];

/// Seconds each operation took.
struct Seconds {
    create: f64,
    update: f64,
    extract: f64,
    delete: f64,
}

impl Run for BenchmarkCrudOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let tests: &[Test] = if std::env::var_os(TINY).is_some() {
            &TINY_TESTS
        } else {
            &TESTS
        };
        let bench = Bench {
            context,
            location: &self.location,
            before: archive_names(context, &self.location)?,
        };
        for test in tests {
            let seconds = bench.measure(test, Path::new(&self.path));
            if seconds.is_err() {
                bench.clean_up();
            }
            let mut stdout = Stdout::new();
            stdout.text(&lines(test, &seconds?))?;
            stdout.finish()?;
        }
        Ok(())
    }
}

/// The four lines of a test.
fn lines(test: &Test, seconds: &Seconds) -> String {
    let Test { name, count, .. } = *test;
    let megabytes = count as f64 * test.size as f64 / 1e6;
    let size = format_size(test.size as i128, SizeUnits::from_iec(false));
    let content = match test.content {
        Content::Random => "random",
        Content::Zeros => "all-zero",
    };
    let line = |letter, seconds: f64| {
        let speed = megabytes / seconds;
        format!(
            "{letter}-{name:<10} {speed:9.2} MB/s ({count} * {size} {content} files: {seconds:.2}s)\n"
        )
    };
    [
        line('C', seconds.create),
        line('R', seconds.extract),
        line('U', seconds.update),
        line('D', seconds.delete),
    ]
    .concat()
}

/// The archives of the benchmark that are there.
fn archive_names(context: &Context, location: &Location) -> Result<BTreeSet<BytePath>, CliError> {
    let session = context.open_session(location, Access::Read, &[])?;
    let names = session.manifest.archives.keys();
    let ours = names.filter(|name| name.starts_with(ARCHIVE.as_bytes()));
    Ok(ours.map(|name| BytePath::new(name.as_slice())).collect())
}

struct Bench<'a> {
    context: &'a Context,
    location: &'a Location,
    /// Archives of such names that were there before: not ours to remove.
    before: BTreeSet<BytePath>,
}

impl Bench<'_> {
    fn repository(&self) -> Vec<u8> {
        let absolute = self.location.clone().absolute(&self.context.cwd);
        absolute.canonical()
    }

    /// `REPOSITORY::NAME` of the archive with a number.
    fn archive(&self, number: u8) -> OsString {
        let name = format!("::{ARCHIVE}{number}");
        OsString::from_vec([self.repository(), name.into_bytes()].concat())
    }

    /// Runs a command in this process, as if it had been typed; returns how many seconds it took.
    fn run(&self, words: &[&OsStr]) -> Result<f64, CliError> {
        if signals::INTERRUPT.stop_requested() {
            return Err(CliError::signal(2));
        }
        let failed = |text: String| CliError::unexpected(text);
        let words: Vec<OsString> = words.iter().map(|&word| word.to_owned()).collect();
        let started = Instant::now();
        let parse = ParseContext {
            environment: &self.context.environment,
            identity: &self.context.identity,
            cwd: &self.context.cwd,
        };
        let program = &self.context.program.name;
        let understood = command_line::understand(&args::description(), program, &words, &parse);
        let Ok(Understood::Command(ordered)) = understood else {
            let shown = words.iter().map(|word| text::display(word.as_bytes()));
            let shown: Vec<_> = shown.collect();
            return Err(failed(format!("not understood: {}", shown.join(" "))));
        };
        ordered.command.run(self.context)?;
        let seconds = started.elapsed().as_secs_f64();
        match self.context.reporter.exit.code() {
            0 => Ok(seconds),
            code => Err(failed(format!(
                "a command of the benchmark ended with {code}"
            ))),
        }
    }

    fn measure(&self, test: &Test, path: &Path) -> Result<Seconds, CliError> {
        let files = TestFiles::create(path, test.count, test.size, test.content)?;
        let data = files.directory().as_os_str();
        let [first, second, third] = [1, 2, 3].map(|number| self.archive(number));
        let word = OsStr::new;
        let plain = [word("create"), word("--compression=none")];
        let create = |archive| self.run(&[plain[0], plain[1], archive, data]);
        let delete = |archive| self.run(&[word("delete"), archive]);
        // Without the files cache, so that everything is read and cut.
        let no_cache = word("--files-cache=disabled");
        let created = self.run(&[plain[0], plain[1], no_cache, &first, data])?;
        // This one only makes the files cache.
        create(&second)?;
        delete(&second)?;
        let updated = create(&third)?;
        delete(&third)?;
        let extracted = self.run(&[word("extract"), word("--dry-run"), &first])?;
        // The last archive with the data.
        let deleted = delete(&first)?;
        Ok(Seconds {
            create: created,
            update: updated,
            extract: extracted,
            delete: deleted,
        })
    }

    /// Removes what a benchmark that failed, or was stopped, has left in the repository.
    fn clean_up(&self) {
        // A wish to stop was heard; what follows has to be done all the same.
        signals::INTERRUPT.forget_stop();
        let _polled = PolledOperation::begin();
        let left = archive_names(self.context, self.location).and_then(|names| {
            let left: Vec<&BytePath> = names.difference(&self.before).collect();
            if left.is_empty() {
                return Ok(());
            }
            let repository = OsString::from_vec(self.repository());
            let mut words = vec![OsStr::new("delete"), &repository];
            words.extend(left.iter().map(|name| OsStr::from_bytes(name)));
            self.run(&words).map(|_| ())
        });
        if let Err(error) = left {
            let text = format!("Archives of the benchmark may be left: {}", error.message);
            self.context.log(Level::Warning, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_stock_borgs() {
        let seconds = Seconds {
            create: 2.0,
            update: 0.5,
            extract: 0.004,
            delete: 100.0,
        };
        let expected = "\
C-Z-BIG         500.00 MB/s (10 * 100.00 MB all-zero files: 2.00s)
R-Z-BIG      250000.00 MB/s (10 * 100.00 MB all-zero files: 0.00s)
U-Z-BIG        2000.00 MB/s (10 * 100.00 MB all-zero files: 0.50s)
D-Z-BIG          10.00 MB/s (10 * 100.00 MB all-zero files: 100.00s)
";
        assert_eq!(lines(&TESTS[0], &seconds), expected);
        assert!(lines(&TINY_TESTS[1], &seconds).contains("(1 * 1 B random files: 2.00s)"));
    }
}

//! Reads the file. Source: Python 3.11, `logging.config.fileConfig`.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Mutex;

use ironborg_format::config::Config;
use ironborg_source::named_file;
use ironborg_types::{Level, text};

use super::handler::{Handler, LogFile, Socket, Target};
use super::layout::{self, Layout};
use super::literal::{self, Value};
use super::{Logger, Logging};

/// Facility of messages of users.
const USER: u8 = 1;
/// Names of facilities, by number.
const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Sets up what a file says.
pub(super) fn read(path: &Path) -> Result<Logging, String> {
    let content = named_file::read(path.as_os_str()).map_err(|error| error.to_string())?;
    let config = Config::parse(&text::display(&content)).map_err(|error| error.to_string())?;
    let file = ConfFile(config);
    let layouts = file
        .names("formatters")?
        .into_iter()
        .map(|name| Ok((file.layout(&name)?, name)))
        .collect::<Result<Vec<_>, String>>()?;
    let names = file.names("handlers")?;
    let handlers = names
        .iter()
        .map(|name| file.handler(name, &layouts))
        .collect::<Result<Vec<_>, _>>()?;
    let loggers = file
        .logger_names()?
        .iter()
        .map(|name| file.logger(name, &names))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Logging { loggers, handlers })
}

struct ConfFile(Config);

impl ConfFile {
    fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(section, key)
    }

    fn needed(&self, section: &str, key: &str) -> Result<&str, String> {
        if !self.0.has_section(section) {
            return Err(format!("No section: '{section}'"));
        }
        self.value(section, key).ok_or_else(|| format!("'{key}'"))
    }

    /// The names listed in a section.
    fn names(&self, section: &str) -> Result<Vec<String>, String> {
        let list = self.needed(section, "keys")?;
        Ok(split(list))
    }

    fn logger_names(&self) -> Result<Vec<String>, String> {
        let names = self.names("loggers")?;
        if names.iter().any(|name| name == "root") {
            return Ok(names);
        }
        Err("list.remove(x): x not in list".to_owned())
    }

    fn layout(&self, name: &str) -> Result<Layout, String> {
        let section = format!("formatter_{name}");
        let value = |key| self.value(&section, key);
        if value("class").is_some_and(|class| class.ends_with("JsonFormatter")) {
            return Ok(Layout::Json);
        }
        if let Some(style) = value("style").filter(|style| *style != "%") {
            return Err(format!("Style must be one of: %, not {style}"));
        }
        let Some(format) = value("format") else {
            return Ok(Layout::plain());
        };
        Ok(Layout::Percent {
            pieces: layout::parse(format)?,
            times: value("datefmt").map(str::to_owned),
        })
    }

    fn level(&self, section: &str) -> Result<Option<Level>, String> {
        let Some(name) = self.value(section, "level") else {
            return Ok(None);
        };
        Ok(match name {
            "NOTSET" => None,
            "DEBUG" => Some(Level::Debug),
            "INFO" => Some(Level::Info),
            "WARN" | "WARNING" => Some(Level::Warning),
            "ERROR" => Some(Level::Error),
            "FATAL" | "CRITICAL" => Some(Level::Critical),
            _ => return Err(format!("Unknown level: '{name}'")),
        })
    }

    fn handler(&self, name: &str, layouts: &[(Layout, String)]) -> Result<Handler, String> {
        let section = format!("handler_{name}");
        let class = self.needed(&section, "class")?;
        let layout = match self.value(&section, "formatter").unwrap_or_default() {
            "" => Layout::plain(),
            wanted => layouts
                .iter()
                .find(|(_, name)| name == wanted)
                .map(|(layout, _)| layout.clone())
                .ok_or_else(|| format!("'{wanted}'"))?,
        };
        let arguments = Arguments::read(
            self.value(&section, "args").unwrap_or("()"),
            self.value(&section, "kwargs").unwrap_or("{}"),
        )?;
        Ok(Handler {
            level: self.level(&section)?,
            layout,
            target: target(class, &arguments)?,
        })
    }

    fn logger(&self, name: &str, handlers: &[String]) -> Result<Logger, String> {
        let section = format!("logger_{name}");
        let is_root = name == "root";
        let qualified = if is_root {
            ""
        } else {
            self.needed(&section, "qualname")?
        };
        let wanted = split(self.value(&section, "handlers").unwrap_or_default());
        let indices = wanted.iter().map(|wanted| {
            let index = handlers.iter().position(|name| name == wanted);
            index.ok_or_else(|| format!("'{wanted}'"))
        });
        let level = self.level(&section)?;
        let is_lowest = is_root && self.value(&section, "level") == Some("NOTSET");
        Ok(Logger {
            name: qualified.to_owned(),
            // There is none above the root that it could have its level from.
            level: if is_lowest { Some(Level::Debug) } else { level },
            propagates: is_root || self.value(&section, "propagate").map(str::trim) != Some("0"),
            handlers: indices.collect::<Result<_, _>>()?,
        })
    }
}

fn split(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What a handler is made with.
struct Arguments {
    by_place: Vec<Value>,
    by_name: Vec<(Value, Value)>,
}

impl Arguments {
    fn read(args: &str, kwargs: &str) -> Result<Self, String> {
        let Some(Value::Tuple(by_place)) = literal::parse(args) else {
            return Err(format!("cannot understand args={args}"));
        };
        let Some(Value::Dict(by_name)) = literal::parse(kwargs) else {
            return Err(format!("cannot understand kwargs={kwargs}"));
        };
        Ok(Self { by_place, by_name })
    }

    /// An argument by its place or name.
    fn get(&self, place: usize, name: &str) -> Option<&Value> {
        let named = self
            .by_name
            .iter()
            .find(|(key, _)| *key == Value::Text(name.to_owned()));
        self.by_place.get(place).or(named.map(|(_, value)| value))
    }
}

fn target(class: &str, arguments: &Arguments) -> Result<Target, String> {
    let class = class
        .trim_start_matches("logging.")
        .trim_start_matches("handlers.");
    match class {
        "NullHandler" => Ok(Target::Nothing),
        "StreamHandler" => match arguments.get(0, "stream") {
            None => Ok(Target::Stderr),
            Some(Value::Name(name)) if name == "sys.stderr" || name == "None" => Ok(Target::Stderr),
            Some(Value::Name(name)) if name == "sys.stdout" => Ok(Target::Stdout),
            Some(_) => Err("only sys.stdout and sys.stderr are streams".to_owned()),
        },
        "FileHandler" | "WatchedFileHandler" => file(arguments),
        "SysLogHandler" => syslog(arguments),
        _ => Err(format!("there is no {class} here")),
    }
}

fn file(arguments: &Arguments) -> Result<Target, String> {
    let Some(Value::Text(path)) = arguments.get(0, "filename") else {
        return Err("a file needs a name".to_owned());
    };
    let appends = match arguments.get(1, "mode") {
        None => true,
        Some(Value::Text(mode)) => mode.starts_with('a'),
        Some(_) => return Err("a mode is a text".to_owned()),
    };
    let delayed = match arguments.get(3, "delay") {
        Some(Value::Name(name)) => name == "True",
        Some(Value::Number(number)) => *number != 0,
        _ => false,
    };
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    let mut file = LogFile {
        path,
        appends,
        file: None,
    };
    if !delayed {
        file.open()?;
    }
    Ok(Target::File(Mutex::new(file)))
}

fn syslog(arguments: &Arguments) -> Result<Target, String> {
    let failed = |error: std::io::Error| error.to_string();
    let network = |host: &str, port: i64| {
        let port = u16::try_from(port).map_err(|_| "a port has 16 bits".to_owned())?;
        let socket = UdpSocket::bind(("0.0.0.0", 0)).map_err(failed)?;
        socket.connect((host, port)).map_err(failed)?;
        Ok::<_, String>(Socket::Network(socket))
    };
    let socket = match arguments.get(0, "address") {
        None => network("localhost", 514)?,
        Some(Value::Text(path)) => {
            let socket = UnixDatagram::unbound().map_err(failed)?;
            socket.connect(path).map_err(failed)?;
            Socket::Local(socket)
        }
        Some(Value::Tuple(parts)) => match parts.as_slice() {
            [Value::Text(host), Value::Number(port)] => network(host, *port)?,
            _ => return Err("an address is a host and a port".to_owned()),
        },
        Some(_) => return Err("an address is a path, or a host and a port".to_owned()),
    };
    let facility = match arguments.get(1, "facility") {
        None => USER,
        Some(Value::Number(number)) => {
            u8::try_from(*number).map_err(|_| "no such facility".to_owned())?
        }
        Some(Value::Name(name) | Value::Text(name)) => {
            let last = name.rsplit('.').next().unwrap_or_default();
            let last = last.trim_start_matches("LOG_").to_ascii_lowercase();
            let known = FACILITIES.iter().find(|(known, _)| *known == last);
            known
                .map(|(_, number)| *number)
                .ok_or_else(|| format!("'{name}'"))?
        }
        Some(_) => return Err("no such facility".to_owned()),
    };
    Ok(Target::Syslog { socket, facility })
}

//! The page of `key export --qr-html`: the key as a QR code, as lines to be typed, and as text.
//!
//! It needs nothing but itself: no script, no font, no network.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules that stay white around the code: readers need them.
const QUIET_ZONE: i32 = 4;
/// From the most robust code to the one that holds most: what fits first is taken.
const LEVELS: [QrCodeEcc; 4] = [
    QrCodeEcc::High,
    QrCodeEcc::Quartile,
    QrCodeEcc::Medium,
    QrCodeEcc::Low,
];

/// Before the first part that is filled in.
const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<title>Key of a Borg repository</title>
<style>
@page { size: A4; margin: 12mm; }
body { max-width: 180mm; margin: 0 auto; padding: 4mm; color: #000; background: #fff;
       font: 10.5pt/1.35 sans-serif; }
h1 { margin: 0 0 2mm; font-size: 15pt; }
h2 { margin: 4mm 0 1mm; font-size: 11pt; }
p { margin: 1mm 0; }
pre, textarea { font: 8.5pt/1.3 monospace; }
pre { margin: 1mm 0; }
.lines { columns: 2; column-gap: 6mm; font-size: 7.5pt; }
svg { display: block; width: 110mm; max-width: 100%; margin: 2mm auto; }
.notes { min-height: 15mm; border: 0.3mm solid #999; }
textarea { box-sizing: border-box; width: 100%; height: 18em; }
@media print { .screen { display: none; } body { padding: 0; } }
</style>
</head>
<body>
<h1>Key of a Borg repository</h1>
<p>This page and the passphrase together open the backups: keep it where you would keep them.</p>
<p>To bring the key back, scan the code, save its text as a file, and run</p>
<pre>borg key import REPOSITORY FILE</pre>
<p>or run this and type the numbered lines, the one that begins with <code>id</code> first:</p>
<pre>borg key import --paper REPOSITORY</pre>
<h2>To be typed</h2>
<pre class=\"lines\">";

/// Escapes what has a meaning in HTML: what is exported is whatever the repository holds.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

fn code(content: &str) -> Option<QrCode> {
    LEVELS
        .iter()
        .find_map(|&level| QrCode::encode_binary(content.as_bytes(), level).ok())
}

/// The dark modules as one path, a rectangle for each run in a row.
fn drawing(code: &QrCode) -> String {
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let start = x;
            while code.get_module(x, y) {
                x += 1;
            }
            if x > start {
                let (left, top) = (start + QUIET_ZONE, y + QUIET_ZONE);
                write!(path, "M{left} {top}h{0}v1h-{0}z", x - start)
                    .expect("a String takes all that is written");
            }
            x += 1;
        }
    }
    let side = size + 2 * QUIET_ZONE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" \
         shape-rendering=\"crispEdges\">\n<path fill=\"#fff\" d=\"M0 0h{side}v{side}h-{side}z\"/>\n\
         <path d=\"{path}\"/>\n</svg>"
    )
}

/// The page for a key file and its paper form; `None` if no code holds that much.
pub(crate) fn page(key_file: &str, paper: &str) -> Option<String> {
    let drawing = drawing(&code(key_file)?);
    let (key_file, paper) = (escaped(key_file), escaped(paper));
    Some(format!(
        "{HEAD}{paper}</pre>\n<h2>To be scanned</h2>\n{drawing}\n<h2>Notes</h2>\n\
         <div class=\"notes\"></div>\n<div class=\"screen\">\n<h2>As text (not printed)</h2>\n\
         <textarea id=\"keyfile\" readonly>{key_file}</textarea>\n</div>\n</body>\n</html>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the path back into modules, as a browser would.
    fn modules(page: &str) -> (usize, Vec<Vec<bool>>) {
        let (_, rest) = page.split_once("viewBox=\"0 0 ").unwrap();
        let side: usize = rest.split_once(' ').unwrap().0.parse().unwrap();
        let (_, path) = rest.split_once("<path d=\"").unwrap();
        let (path, _) = path.split_once('"').unwrap();
        let mut dark = vec![vec![false; side]; side];
        for run in path.split('z').filter(|run| !run.is_empty()) {
            let (place, len) = run.strip_prefix('M').unwrap().split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let len: usize = len.split_once('v').unwrap().0.parse().unwrap();
            dark[y][x..x + len].fill(true);
        }
        (side, dark)
    }

    #[test]
    fn the_code_says_what_the_key_file_says() {
        let key_file = format!(
            "BORG_KEY {}\n{}\n",
            "ab".repeat(32),
            "hqlhbGdv+/".repeat(48)
        );
        let page = page(&key_file, "BORG PAPER KEY v1\n").unwrap();
        let (side, dark) = modules(&page);
        // Several pixels a module, as a camera sees it.
        const SCALE: usize = 4;
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(side * SCALE, side * SCALE, |x, y| {
                if dark[y / SCALE][x / SCALE] { 0 } else { 255 }
            });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        let (meta, content) = grids[0].decode().unwrap();
        assert_eq!(content, key_file);
        assert_eq!(meta.ecc_level, 2, "the most robust level");
        assert!(page.contains(&key_file), "and so does the text");
    }

    #[test]
    fn a_hostile_key_is_no_markup() {
        let page = page("BORG_KEY </textarea><script>\"&", "<b>").unwrap();
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;/textarea&gt;&lt;script&gt;&quot;&amp;"));
        assert!(page.contains("&lt;b&gt;"));
    }

    #[test]
    fn a_key_that_is_too_long_has_no_page() {
        assert!(page(&"k".repeat(2900), "").is_some());
        assert!(page(&"k".repeat(3000), "").is_none());
    }
}

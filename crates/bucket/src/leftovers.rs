//! Uploads in parts that were never finished: they cannot be seen through the repository, but cost what they hold.

use std::time::SystemTime;

use bytes::Bytes;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use reqwest::Method;

use crate::retention::{Amazon, Failure, iso_date, refusal, text_of};

/// An upload somebody has begun.
struct Begun {
    object: Path,
    id: String,
}

impl Amazon {
    /// Gives up the uploads of objects below `dir` that were begun before some time; returns how many.
    pub(crate) async fn give_up_uploads(
        &self,
        dir: &Path,
        before: SystemTime,
    ) -> Result<usize, Failure> {
        let before = iso_date(before);
        let prefix = match dir.as_ref() {
            "" => String::new(),
            dir => format!("{dir}/"),
        };
        let mut after: Option<(String, String)> = None;
        let mut count = 0;
        loop {
            let mut url = self.url(&Path::default()).await?;
            url.set_query(Some("uploads="));
            url.query_pairs_mut().append_pair("prefix", &prefix);
            if let Some((key, id)) = &after {
                url.query_pairs_mut()
                    .append_pair("key-marker", key)
                    .append_pair("upload-id-marker", id);
            }
            let (status, body) = self.request(Method::GET, &url, Bytes::new()).await?;
            if !status.is_success() {
                return Err(refusal(status, &body));
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            for Begun { object, id } in begun_before(&body, &prefix, &before) {
                self.store()?.abort_multipart(&object, &id).await?;
                count += 1;
            }
            let value = |name| text_of(body.as_bytes(), name).map(|text| unescaped(&text));
            let is_cut = value("IsTruncated").as_deref() == Some("true");
            let next = value("NextKeyMarker").zip(value("NextUploadIdMarker"));
            if !is_cut || next.is_none() || next == after {
                return Ok(count);
            }
            after = next;
        }
    }
}

/// The uploads in a store's answer that were begun before some time, dates compared as they are written.
fn begun_before(body: &str, prefix: &str, before: &str) -> Vec<Begun> {
    const SECONDS_LEN: usize = "2026-01-31T12:00:00".len();
    let uploads = body.split("<Upload>").skip(1);
    let begun = uploads.filter_map(|upload| {
        let upload = upload.split("</Upload>").next()?.as_bytes();
        let initiated = text_of(upload, "Initiated")?;
        let is_old = initiated.get(..SECONDS_LEN)? < before.get(..SECONDS_LEN)?;
        let key = unescaped(&text_of(upload, "Key")?);
        let object = Path::parse(&key).ok()?;
        let id = unescaped(&text_of(upload, "UploadId")?);
        (is_old && key.starts_with(prefix)).then_some(Begun { object, id })
    });
    begun.collect()
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">");
    let plain = plain.replace("&quot;", "\"").replace("&#34;", "\"");
    plain.replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_uploads_of_our_own_are_found() {
        let upload = |key: &str, initiated: &str| {
            format!(
                "<Upload><Initiated>{initiated}</Initiated><Key>{key}</Key><UploadId>a&amp;b</UploadId></Upload>"
            )
        };
        let body = format!(
            "<Result><Prefix>p/</Prefix>{}{}{}<Upload><Key>p/cut",
            upload("p/data/0/1", "2026-01-01T00:00:00.000Z"),
            upload("p/data/0/2", "2026-01-03T00:00:00.000Z"),
            upload("q/data/0/3", "2026-01-01T00:00:00Z"),
        );
        let found = begun_before(&body, "p/", "2026-01-02T00:00:00Z");
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.object.as_ref(), one.id.as_str()))
            .collect();
        assert_eq!(found, [("p/data/0/1", "a&b")]);
    }
}

//! The file that carries the secrets of one repository to a related one.
//!
//! Source: Borg 1.4, `do_key_export_related_secrets`, `do_init`.

use ironborg_crypto::{KeyMode, RelatedSecrets};
use ironborg_types::hex;
use zeroize::Zeroizing;

use crate::error::CliError;

/// The only version there is.
const VERSION: u64 = 1;

/// The content of the file.
pub(crate) fn write(secrets: &RelatedSecrets) -> Zeroizing<String> {
    // Members in this order and indented like this, which no other document of Borg's is.
    let id_key = Zeroizing::new(hex::encode(&secrets.id_key));
    Zeroizing::new(format!(
        "{{\n    \"version\": {VERSION},\n    \"id_key\": \"{}\",\n    \"chunk_seed\": {},\n    \
         \"key_name\": \"{}\"\n}}\n",
        *id_key,
        secrets.chunk_seed,
        secrets.mode.name()
    ))
}

/// Reads the content of the file `shown`.
///
/// # Errors
/// Stock Borg's, for what is no such file.
pub(crate) fn read(content: &[u8], shown: &str) -> Result<RelatedSecrets, CliError> {
    let json: serde_json::Value = serde_json::from_slice(content)
        .map_err(|_| CliError::command(format!("Invalid JSON in related secrets file: {shown}")))?;
    let version = &json["version"];
    if version.as_u64() != Some(VERSION) {
        let shown = if version.is_null() {
            "None".to_owned()
        } else {
            version.to_string()
        };
        return Err(CliError::command(format!(
            "Unsupported related secrets version: {shown}"
        )));
    }
    let invalid = || CliError::command(format!("Invalid id_key in related secrets file: {shown}"));
    let id_key = json["id_key"].as_str().ok_or_else(invalid)?;
    let id_key = hex::decode(id_key).map_err(|_| invalid())?;
    let mode = json["key_name"].as_str().and_then(KeyMode::from_name);
    let seed = json["chunk_seed"]
        .as_i64()
        .and_then(|seed| i32::try_from(seed).ok());
    let (Some(mode), Some(chunk_seed)) = (mode, seed) else {
        return Err(CliError::command(format!(
            "Incomplete related secrets file: {shown}"
        )));
    };
    Ok(RelatedSecrets {
        mode,
        id_key: Zeroizing::new(id_key),
        chunk_seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_from_their_file() {
        let secrets = RelatedSecrets {
            mode: KeyMode::RepokeyBlake2,
            id_key: Zeroizing::new(vec![0xab; 128]),
            chunk_seed: -7,
        };
        let content = write(&secrets);
        assert!(content.starts_with("{\n    \"version\": 1,\n    \"id_key\": \"abab"));
        assert!(
            content.ends_with("\"chunk_seed\": -7,\n    \"key_name\": \"repokey BLAKE2b\"\n}\n")
        );
        let back = read(content.as_bytes(), "-").unwrap();
        assert_eq!(back.mode, secrets.mode);
        assert_eq!(back.id_key, secrets.id_key);
        assert_eq!(back.chunk_seed, secrets.chunk_seed);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let error = |content: &str| read(content.as_bytes(), "f").unwrap_err().message;
        assert!(error("{").ends_with("Invalid JSON in related secrets file: f"));
        assert!(error("{}").ends_with("Unsupported related secrets version: None"));
        assert!(error("{\"version\": 2}").ends_with("Unsupported related secrets version: 2"));
        let id = "{\"version\": 1, \"id_key\": \"0\"}";
        assert!(error(id).ends_with("Invalid id_key in related secrets file: f"));
        let no_seed = "{\"version\": 1, \"id_key\": \"00\"}";
        assert!(error(no_seed).ends_with("Incomplete related secrets file: f"));
    }
}

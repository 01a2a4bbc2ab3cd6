//! `key`: keep keys safe and change their passphrases.

pub(crate) mod change_passphrase;
pub(crate) mod export;
pub(crate) mod export_related_secrets;
pub(crate) mod import;
pub(crate) mod migrate_to_repokey;

commands! {
    /// The commands of `key`.
    KeyCommand
    /// Write the key to a file for safe keeping
    Export(export::KeyExportArgs),
    /// Write the secrets that make repositories related
    ExportRelatedSecrets(export_related_secrets::KeyExportRelatedSecretsArgs),
    /// Bring a key back from where it was kept
    Import(import::KeyImportArgs),
    /// Change the key's passphrase
    ChangePassphrase(change_passphrase::KeyChangePassphraseArgs),
    /// Give a repository in passphrase mode a key of its own
    MigrateToRepokey(migrate_to_repokey::KeyMigrateToRepokeyArgs),
}

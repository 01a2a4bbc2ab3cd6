# services.ironborg.replaceBorgbackup: what there is for Borg uses this program.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  cfg = config.services.ironborg;

  # nixpkgs has it since 24.11; before, the module took whatever is called borgbackup.
  hasOption = options ? services.borgbackup.package;
in
{
  imports = [ ./package.nix ];

  options.services.ironborg.replaceBorgbackup = lib.mkEnableOption ''
    this program wherever {option}`services.borgbackup` would use BorgBackup: jobs, wrappers and repositories
  '';

  config = lib.mkIf cfg.replaceBorgbackup (
    if hasOption then
      { services.borgbackup.package = cfg.package.asBorg; }
    else
      {
        nixpkgs.overlays = [
          (final: _previous: { borgbackup = (final.callPackage ../package.nix { }).asBorg; })
        ];
      }
  );
}

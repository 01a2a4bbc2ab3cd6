# All of it.
{
  imports = [
    ./jobs.nix
    ./repos.nix
    ./automount.nix
    ./borgbackup.nix
  ];
}

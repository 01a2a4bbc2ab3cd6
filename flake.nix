{
  description = "Backups compatible with BorgBackup 1.4, fast, and able to run themselves";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAll =
        make:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = make nixpkgs.legacyPackages.${system};
          }) systems
        );
    in
    {
      packages = forAll (pkgs: rec {
        ironborg = pkgs.callPackage ./nix/package.nix { };
        ironborg-as-borg = ironborg.asBorg;
        default = ironborg;
      });

      overlays.default = final: _previous: {
        ironborg = final.callPackage ./nix/package.nix { };
        ironborg-as-borg = final.ironborg.asBorg;
      };

      nixosModules = {
        default = ./nix/modules;
        jobs = ./nix/modules/jobs.nix;
        repos = ./nix/modules/repos.nix;
        automount = ./nix/modules/automount.nix;
        borgbackup = ./nix/modules/borgbackup.nix;
      };

      # A client and a server, from the first backup to the restore.
      checks = forAll (pkgs: {
        vm = pkgs.callPackage ./nix/tests/vm.nix { module = self.nixosModules.default; };
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      });
    };
}

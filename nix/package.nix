# The package: the program, its manual and completions. In passthru, because names collide with those of borgbackup:
# `asBorg`, a package that can stand for borgbackup, and `mountHelpers`, what mount(8) looks for.
{
  lib,
  rustPlatform,
  installShellFiles,
  makeWrapper,
  openssh,
  runCommand,
  fuse3,
  stdenv,
}:
let
  cargo = builtins.fromTOML (builtins.readFile ../Cargo.toml);

  ironborg = rustPlatform.buildRustPackage {
    pname = "ironborg";
    version = cargo.workspace.package.version;

    src = lib.cleanSourceWith {
      src = ../.;
      # What the program is not made of would have it built again.
      filter =
        path: _type:
        !(builtins.elem (builtins.baseNameOf path) [
          ".git"
          ".ci"
          "flake.nix"
          "flake.lock"
          "nix"
          "packaging"
          "result"
          "target"
        ]);
    };
    cargoLock.lockFile = ../Cargo.lock;
    cargoBuildFlags = [
      "--package"
      "ironborg"
    ];

    nativeBuildInputs = [ installShellFiles ];

    # The tests need a stock Borg of one certain version, sshd, /dev/fuse and the network's loopback.
    doCheck = false;

    postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      for shell in bash zsh fish; do
        $out/bin/ironborg completions $shell > ironborg.$shell
      done
      installShellCompletion --cmd ironborg --bash ironborg.bash --zsh ironborg.zsh --fish ironborg.fish
      $out/bin/ironborg man man
      # The others have the names of Borg's own.
      installManPage man/ironborg*.1
    '';

    passthru = { inherit asBorg mountHelpers; };

    meta = {
      description = "Deduplicating backups, compatible with BorgBackup 1.4, that run themselves";
      license = lib.licenses.bsd3;
      mainProgram = "ironborg";
      platforms = lib.platforms.linux;
    };
  };

  # Services have few programs on their path; ssh is as much a part of it as in the package of borgbackup.
  wrapped = name: directory: ''
    makeWrapper ${ironborg}/bin/ironborg $out/${directory}/${name} --argv0 ${name} \
      --suffix PATH : /run/wrappers/bin:${
        lib.makeBinPath [
          openssh
          fuse3
        ]
      }
  '';

  asBorg =
    runCommand "ironborg-as-borg-${ironborg.version}"
      {
        nativeBuildInputs = [ makeWrapper ];
        # What drives Borg asks for its version: this is the release it is equal to.
        version = "1.4.5";
        meta = ironborg.meta // {
          mainProgram = "borg";
        };
      }
      ''
        ${wrapped "borg" "bin"}
        ${wrapped "borgfs" "bin"}
        for page in ${ironborg}/share/man/man1/ironborg-*; do
          case $page in
            *-jobs* | *-repos* | *-automount* | *-backup.* | *-restore.* | *-completions.* | *-man.*) ;;
            *)
              mkdir -p $out/share/man/man1
              ln -s $page $out/share/man/man1/borg-''${page##*/ironborg-}
              ;;
          esac
        done
      '';

  mountHelpers =
    runCommand "ironborg-mount-helpers-${ironborg.version}"
      {
        nativeBuildInputs = [ makeWrapper ];
        inherit (ironborg) version;
        meta = removeAttrs ironborg.meta [ "mainProgram" ];
      }
      ''
        ${wrapped "mount.fuse.borgfs" "bin"}
        ${wrapped "mount.borgfs" "bin"}
      '';
in
ironborg

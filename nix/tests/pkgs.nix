# A stand-in for nixpkgs: packages are a name, and what they would be made of.
let
  package =
    name: more:
    {
      type = "derivation";
      inherit name;
      outPath = "/nix/store/${builtins.substring 0 32 (builtins.hashString "sha256" (name + builtins.toJSON (removeAttrs more [ "passthru" ])))}-${name}";
      meta.mainProgram = name;
    }
    // more;
in
rec {
  inherit package;

  ironborg = package "ironborg" {
    asBorg = package "ironborg-as-borg" { meta.mainProgram = "borg"; };
    mountHelpers = package "ironborg-mount-helpers" { };
  };
  openssh = package "openssh" { };
  coreutils = package "coreutils" { };
  fuse3 = package "fuse3" { };
  makeWrapper = package "make-wrapper-hook" { };
  installShellFiles = package "install-shell-files-hook" { };

  writeText = name: text: package name { inherit text; };
  writeShellScriptBin = name: text: package name { inherit text; };
  runCommand = name: attrs: script: package name (attrs // { inherit script; });
  rustPlatform.buildRustPackage = attrs: package attrs.pname (attrs // attrs.passthru);
  testers.runNixOSTest = test: package test.name { passthru = test; };
  stdenv.buildPlatform.canExecute = _: true;
  stdenv.hostPlatform = { };
}

# What the modules need beside the lib of nixpkgs.
(import ./settings.nix) // { toTOML = import ./toml.nix; }

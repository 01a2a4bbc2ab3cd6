# services.ironborg.package: the program that all the modules use.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  options.services.ironborg.package = lib.mkOption {
    type = lib.types.package;
    default = pkgs.ironborg or (pkgs.callPackage ../package.nix { });
    defaultText = lib.literalExpression "pkgs.ironborg";
    description = "The package of ironborg.";
  };
}

# Options of the modules → keys of the program's files.
#
# Options are called like those of services.borgbackup, in camel case; keys are the same words with underscores. So an
# option needs no line here, unless what it holds is the user's own words (`data`).
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    head
    isAttrs
    isList
    isString
    listToAttrs
    map
    replaceStrings
    split
    ;

  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];

  # Names of the user's own, below which nothing is renamed.
  data = [ "environment" "keep" "headers" ];

  isTable = value: isAttrs value && !(value ? outPath);

  # What an option holds that nobody has set.
  unset = value: value == null || value == { } || value == [ ] || value == "";
in
rec {
  # "startAt" → "start_at"
  snakeCase =
    name:
    concatStringsSep "" (
      map (part: if isString part then part else "_${replaceStrings upper lower (head part)}") (split "([A-Z])" name)
    );

  # Renames, and leaves out what is not set. What is set to nothing on purpose is named in `kept`.
  toSettings =
    kept: options:
    let
      value =
        name: raw:
        if elem name data then
          raw
        else if isTable raw then
          toSettings kept raw
        else if isList raw then
          map (item: if isTable item then toSettings kept item else item) raw
        else
          raw;
      entry =
        name:
        let
          settled = value name options.${name};
        in
        if options.${name} == null || (unset settled && !(elem name kept)) then
          [ ]
        else
          [
            {
              name = snakeCase name;
              value = settled;
            }
          ];
    in
    listToAttrs (concatMap entry (attrNames options));

  # The second says more than the first, at any depth.
  merged =
    first: second:
    first
    // listToAttrs (
      map (name: {
        inherit name;
        value =
          if first ? ${name} && isTable first.${name} && isTable second.${name} then
            merged first.${name} second.${name}
          else
            second.${name};
      }) (attrNames second)
    );

  # Without these names.
  without =
    names: attrs:
    listToAttrs (
      map (name: {
        inherit name;
        value = attrs.${name};
      }) (filter (name: !(elem name names)) (attrNames attrs))
    );
}

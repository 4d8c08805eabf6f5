/**
 * What runs inside a container for mounted memory stores: POSIX shell with find, stat, sha256sum and base64. As the agent,
 * who gains nothing by what it could do to these programs; only what is root's own is changed as root. Positional arguments
 * carry every value. Names with a line end are not told and are left alone: they cannot be memories.
 */
import { SCAN_LIMITS } from "../../memory/port.ts";

/** Folders deeper than this hold no memories. */
const DEPTH = 22;
const BLOCKS = 200;

/**
 * $1… mounts. For each a line `m <mount>`, then `gone`, or `over`, or its contents: `s <mode> <size> ./<path>` for
 * everything, `h <sha256sum's line>` for regular files of at most 102,400 bytes (200 blocks), `n` when there are names with
 * a line end. Last of all `end`.
 */
export const SCAN = `NL='
'
for mount in "$@"; do
  printf 'm %s\\n' "$mount"
  if ! cd -P -- "$mount" 2>/dev/null || [ "$PWD" != "$mount" ]; then echo gone; continue; fi
  files=$(find . -maxdepth ${DEPTH} ! -type d 2>/dev/null | head -n ${SCAN_LIMITS.files + 1} | wc -l)
  folders=$(find . -maxdepth ${DEPTH} -type d 2>/dev/null | head -n ${SCAN_LIMITS.folders + 1} | wc -l)
  if [ "$files" -gt ${SCAN_LIMITS.files} ] || [ "$folders" -gt ${SCAN_LIMITS.folders} ]; then echo over; continue; fi
  find . -maxdepth ${DEPTH} ! -path "*$NL*" -exec stat -c 's %f %s %n' {} + 2>/dev/null
  find . -maxdepth ${DEPTH} -type f ! -path "*$NL*" -size -${BLOCKS + 1} -exec sha256sum {} + 2>/dev/null | sed 's/^/h /'
  find . -maxdepth ${DEPTH} -path "*$NL*" 2>/dev/null | head -n 1 | sed 's/.*/n/'
done
cd / && command -v stat sha256sum base64 >/dev/null && echo end
`;

/** $1 mount; standard input: paths below it, a line each. For each of them a line: `f <base64>`, or `x`. */
export const READ = `cd -P -- "$1" && [ "$PWD" = "$1" ] || exit 90
while IFS= read -r path; do
  if [ -f "$path" ] && ! [ -L "$path" ]; then
    printf 'f '
    head -c 102401 "$path" 2>/dev/null | base64 | tr -d '\\n'
    echo
  else echo x; fi
done
`;

/** Goes to the folder of $1 in the mount, without following a link; sets name. $2 is "make" to make what is missing. */
const ENTER = `enter() {
  cd -P -- "$mount" || return 1
  at=$mount
  rest=$1
  while :; do
    case $rest in */*) part=\${rest%%/*}; rest=\${rest#*/} ;; *) name=$rest; return 0 ;; esac
    [ -L "./$part" ] && return 1
    if ! [ -d "./$part" ]; then
      [ "$2" = make ] && ! [ -e "./$part" ] && mkdir "./$part" 2>/dev/null || return 1
    fi
    cd -P -- "./$part" 2>/dev/null || return 1
    at=$at/$part
    [ "$PWD" = "$at" ] || return 1
  done
}
climb() {
  while [ "$PWD" != "$mount" ]; do
    part=\${PWD##*/}
    cd -P .. && rmdir "./$part" 2>/dev/null || return 0
  done
}`;

/**
 * $1 mount, $2 folder with \`plan\` and the contents, $3 a folder to make for the agent's own copies of them: one program
 * copies all, and one for each puts it in place. A line of the plan: \`w <n> <expected> <path>\` or \`r <n> <expected> <path>\`,
 * expected being a hash or \`-\` for nothing. For each of them a line: \`<n> ok|changed|blocked|failed\`.
 */
export const APPLY = `mount=$1
cd -P -- "$mount" && [ "$PWD" = "$mount" ] || exit 90
umask 022
trap 'rm -rf "$copies"' EXIT
copies=$3
rm -rf "$copies" && cp -R "$2" "$copies" || exit 91
${ENTER}
matches() {
  if ! [ -e "./$name" ]; then [ "$want" = - ]; return; fi
  [ "$want" != - ] || return 1
  found=$(sha256sum < "./$name") && [ "\${found%% *}" = "$want" ]
}
while IFS= read -r line; do
  op=\${line%% *}; line=\${line#* }
  n=\${line%% *}; line=\${line#* }
  want=\${line%% *}; path=\${line#* }
  if [ "$op" = w ]; then
    if ! enter "$path" make || [ -L "./$name" ] || { [ -e "./$name" ] && ! [ -f "./$name" ]; }; then echo "$n blocked"
    elif ! matches; then echo "$n changed"
    elif mv -f "$copies/$n" "./$name" </dev/null; then echo "$n ok"
    else echo "$n failed"
    fi 2>/dev/null
  elif ! enter "$path" || { ! [ -e "./$name" ] && ! [ -L "./$name" ]; }; then echo "$n ok"
  elif [ -L "./$name" ] || ! [ -f "./$name" ]; then echo "$n blocked"
  elif ! matches; then echo "$n changed"
  elif rm -f "./$name" 2>/dev/null; then climb; echo "$n ok"
  else echo "$n failed"
  fi
done < "$2/plan"
`;

/** As root, who owns everything in the mount: $1 mount; standard input: paths that go, a line each. */
export const REMOVE_OWN = `mount=$1
cd -P -- "$mount" && [ "$PWD" = "$mount" ] || exit 90
${ENTER}
find . -type d -exec chmod 755 {} +
while IFS= read -r path; do
  if enter "$path"; then rm -rf "./$name"; climb; fi
done
cd -P -- "$mount" && find . -type d -exec chmod 555 {} +
`;

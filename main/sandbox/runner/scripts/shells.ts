/**
 * The persistent shell. It reads ids of calls from the pipe `req` and runs the text in `commands/<id>`; being the only one
 * that does, and never an id twice, it alone makes every call run at most once. For each call:
 *
 * - `<id>.out` says that the call has started, and takes its output. Appended to, so that it can be cut while it grows.
 *   Descriptor 7 stays open on it in everything the call starts, and `LONGHAUL_CALL` in its environment: by these the
 *   main script finds what to kill.
 * - `<id>.why` is looked for after that, and written before a kill: whichever comes first, an interrupted call does not run.
 * - `<id>.end` holds the exit status, the number of the shell's call, and the exported variables after it with the
 *   directory among them (`: <code> <number> e`, lines of `export -p`, `# end`). A new file each time: replacing one costs
 *   five times as much.
 * - `/opt/longhaul/variables`, when it is there and new, is read before: what the sandbox is told after it was made.
 * - The bells of the channels are told `d <id> <code>`.
 *
 * Nothing here may start a process, but for when the disk is full. A command may redefine anything, set -e, -f or -u, so nothing relies on pattern
 * expansion, word splitting or failing commands, and builtins are named as such. The `eval` stands in no list of `||`,
 * where `set -e` would have no effect, and in a loop of its own: a stray `break` would otherwise leave this one.
 */
import { script } from "./script.ts";

/** Ends the text of a command, so that one that was written only in part is not run. */
export const COMMAND_END = "#longhaul-end#";

/** One line, because shells count the lines of an `eval` from where it stands: messages then say `bash: line 1:`. */
export const bashShell = script`
if [ -n "$LONGHAUL_STATE" ]; then . "$LONGHAUL_STATE"; cd -- "$PWD" || cd /workspace; fi;
__lh_n=$LONGHAUL_NUMBER; unset LONGHAUL_STATE LONGHAUL_NUMBER LONGHAUL_NEWLINE;
export PWD LONGHAUL_CALL;
builtin printf '%s\n' "$$" >| /var/lib/longhaul/shell.pid;
while :; do
IFS= builtin read -r __lh_id < /var/lib/longhaul/req || builtin exit 0;
__lh_f=/var/lib/longhaul/calls/$__lh_id;
if [ -e "$__lh_f.out" ] || [ -e "$__lh_f.end" ]; then builtin continue; fi;
if [ -e /opt/longhaul/variables ]; then
IFS= builtin read -r __lh_cmd < /opt/longhaul/variables || builtin :;
if [ "$__lh_cmd" != ": \${LONGHAUL_VARIABLES-}" ]; then . /opt/longhaul/variables || builtin :; fi;
fi;
IFS= builtin read -r -d '' __lh_cmd < "/var/lib/longhaul/commands/$__lh_id" || builtin :;
case $__lh_cmd in *'#longhaul-end#') ;; *) builtin continue ;; esac;
__lh_code=E; LONGHAUL_CALL=$__lh_id:;
{ if [ -e "$__lh_f.why" ]; then __lh_code=I; else
for __lh_once in 1; do
__lh_code=0;
builtin eval "\${__lh_cmd%'#longhaul-end#'}" >&7 2>&1 </dev/null;
__lh_code=$?;
done;
fi; } 7>>"$__lh_f.out";
if [ "$__lh_code" = E ] && [ -e /var/lib/longhaul/reserve ]; then
command rm -rf /var/lib/longhaul/reserve; builtin printf '%s\n' "$__lh_id" 1<>/var/lib/longhaul/req; builtin continue;
fi;
if [ "$__lh_code" != E ]; then
__lh_n=$((__lh_n + 1));
{ builtin printf ': %s %s e\n' "$__lh_code" "$__lh_n"; builtin export -p; builtin printf '# end\n'; } >| "$__lh_f.end" ||
{ command rm -rf /var/lib/longhaul/reserve; builtin printf ': %s %s -\n' "$__lh_code" "$__lh_n" >| "$__lh_f.end"; } || builtin :;
fi;
for __lh_i in 0 1 2 3; do
if [ -p "/var/lib/longhaul/bell.$__lh_i" ]; then
builtin printf 'd %s %s\n' "$__lh_id" "$__lh_code" 1<>"/var/lib/longhaul/bell.$__lh_i" || builtin :;
fi;
done;
done
`
  .trim()
  .replaceAll("\n", " ");

/** The same where there is no bash. Its `read` takes single lines; `command` keeps a failing `eval` from ending it. */
export const plainShell = script`
if [ -n "$LONGHAUL_STATE" ]; then . "$LONGHAUL_STATE"; cd -- "$PWD" || cd /workspace; fi;
__lh_n=$LONGHAUL_NUMBER; __lh_newline=$LONGHAUL_NEWLINE; unset LONGHAUL_STATE LONGHAUL_NUMBER LONGHAUL_NEWLINE;
export PWD LONGHAUL_CALL;
command printf '%s\n' "$$" >| /var/lib/longhaul/shell.pid;
while :; do
IFS= command read -r __lh_id < /var/lib/longhaul/req || exit 0;
__lh_f=/var/lib/longhaul/calls/$__lh_id;
if [ -e "$__lh_f.out" ] || [ -e "$__lh_f.end" ]; then continue; fi;
if [ -e /opt/longhaul/variables ]; then
IFS= command read -r __lh_cmd < /opt/longhaul/variables || :;
if [ "$__lh_cmd" != ": \${LONGHAUL_VARIABLES-}" ]; then . /opt/longhaul/variables || :; fi;
fi;
__lh_cmd=;
while IFS= command read -r __lh_line; do __lh_cmd=$__lh_cmd$__lh_line$__lh_newline; done < "/var/lib/longhaul/commands/$__lh_id" || :;
case $__lh_line in *'#longhaul-end#') ;; *) continue ;; esac;
__lh_cmd=$__lh_cmd\${__lh_line%'#longhaul-end#'};
__lh_code=E; LONGHAUL_CALL=$__lh_id:;
{ if [ -e "$__lh_f.why" ]; then __lh_code=I; else
for __lh_once in 1; do
__lh_code=0;
command eval "$__lh_cmd" >&7 2>&1 </dev/null;
__lh_code=$?;
done;
fi; } 7>>"$__lh_f.out";
if [ "$__lh_code" = E ] && [ -e /var/lib/longhaul/reserve ]; then
command rm -rf /var/lib/longhaul/reserve; command printf '%s\n' "$__lh_id" 1<>/var/lib/longhaul/req; continue;
fi;
if [ "$__lh_code" != E ]; then
__lh_n=$((__lh_n + 1));
{ command printf ': %s %s e\n' "$__lh_code" "$__lh_n"; command export -p; command printf '# end\n'; } >| "$__lh_f.end" ||
{ command rm -rf /var/lib/longhaul/reserve; command printf ': %s %s -\n' "$__lh_code" "$__lh_n" >| "$__lh_f.end"; } || :;
fi;
for __lh_i in 0 1 2 3; do
if [ -p "/var/lib/longhaul/bell.$__lh_i" ]; then
command printf 'd %s %s\n' "$__lh_id" "$__lh_code" 1<>"/var/lib/longhaul/bell.$__lh_i" || :;
fi;
done;
done
`
  .trim()
  .replaceAll("\n", " ")
  // Busybox counts from 0.
  .replace(/^/, "\n");

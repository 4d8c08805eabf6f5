/**
 * A channel: the program behind `docker exec`. One part reads requests from standard input, the other is the only one
 * that writes to standard output; it is told what to write through a pipe, the bell. Lines up to 4096 bytes come through
 * it whole, whoever writes them; longer answers are left in a file that the line names.
 *
 * Up to four channels live side by side, each with a bell of its own; the oldest makes way for a fifth. When standard
 * input ends, the channel does; what it had started for file tools may go on, calls go on in any case.
 *
 * Requests, one a line (`<t>` text with `\\` and newline written as `\\\\` and `\\n`):
 *   r <id> <t>              run a command
 *   R <id> <bytes>          the same, the command (ended by COMMAND_END) follows as it is, and a line COMMAND_END
 *   k <id> I|X              stop a call: interrupted, or over its time
 *   q <n> <op> [arguments]  anything else, see below and file_operations.ts; after a write comes its content, as above
 * Answers: a line; one that ends in `+<n>` is followed by n bytes, one that ends in `=` by lines of base64 and a dot.
 *   hello 1 <shell> <boot>      fatal <text>
 *   d <id> <code> [+<n>|=|-]    the call has ended; its output, or - where that is long
 *   x <id>                      the call could not be written down and does not run
 *   p <n> ok|no [fields]        the answer to q
 */
import { script } from "./script.ts";

export const relay = script`
if [ -z "$BASH_VERSION" ] && command -v bash >/dev/null 2>&1; then exec bash --norc --noprofile /opt/longhaul/relay.sh; fi
LC_ALL=C
export LC_ALL
unset LONGHAUL_CALL
S=/var/lib/longhaul
C=$S/calls
O=/opt/longhaul
umask 022
set -Cf
fatal() { printf 'fatal %s\n' "$1"; exit 1; }
for tool in base64 cat chmod cp dd find grep head ls mkdir mkfifo mv readlink rm sleep stat tail; do
  command -v "$tool" >/dev/null 2>&1 || fatal "The image has no program named $tool, which the sandbox needs."
done
boot_of() { read -r boot < /proc/1/stat; boot=\${boot##*) }; set -- $boot; boot=\${20}; }
boot_of
tries=0
while ready=; [ -e "$S/ready" ] && read -r ready main < "$S/ready"; [ "$ready" != "$boot" ]; do
  tries=$((tries + 1))
  [ "$tries" -gt 200 ] && fatal "The runner is not ready in this container."
  sleep 0.05
done
cd "$S" || fatal "The runner's folder $S cannot be entered."

take_slot() {
  for slot in 0 1 2 3; do
    if [ -e "slot.$slot" ]; then
      owner=
      read -r owner < "slot.$slot"
      kill -0 "$owner" 2>/dev/null || rm -rf "slot.$slot"
    fi
    { printf '%s\n' "$$" > "slot.$slot"; } 2>/dev/null && return
  done
  slot=$(set +f; ls -tr slot.? | head -n 1)
  slot=\${slot#slot.}
  owner=
  read -r owner < "slot.$slot"
  case $owner in '' | *[!0-9]*) ;; *) kill -9 -- "-$owner" 2>/dev/null ;; esac
  printf '%s\n' "$$" >| "slot.$slot"
}
take_slot
rm -rf "bell.$slot"
mkfifo "bell.$slot" || fatal "A pipe could not be made in $S: its disk may be full."
exec 4<>"bell.$slot"
. "$O/file_operations.sh"

# send <file>: as base64 lines and a dot.
if [ -n "$BASH_VERSION" ]; then
  NAME=bash
  send() { read -r -N 600000 data < "$1"; printf '%s.\n' "$data"; : >| "$1"; }
  ended() {
    if [ -e "$C/$2.total" ] || [ -e "$C/$2.lost" ]; then printf 'd %s %s -\n' "$2" "$3"; return; fi
    data=
    if IFS= read -r -n 16385 -d '' data < "$C/$2.out"; then printf 'd %s %s -\n' "$2" "$3"
    else printf 'd %s %s +%s\n%s' "$2" "$3" "\${#data}" "$data"; fi
  }
  # whole <n> <path>: a short text file.
  whole() {
    data=
    if [ -L "$2" ] || ! [ -f "$2" ] || ! [ -r "$2" ] || IFS= read -r -n 16385 -d '' data < "$2"; then
      printf 'p %s no EFBIG\n' "$1"
    else printf 'p %s ok +%s\n%s' "$1" "\${#data}" "$data"; fi
  }
  # follow <n> <id> <skip>: what was written since the last time.
  followed=
  follow() {
    if [ "$followed" != "$2" ]; then
      followed=
      if ! [ -e "$C/$2.out" ] || ! command exec 5< "$C/$2.out"; then printf 'p %s ok +0\n' "$1"; return; fi
      followed=$2
      skip=$3
      while [ "$skip" -gt 0 ]; do
        step=$skip
        [ "$step" -gt 65536 ] && step=65536
        IFS= read -r -N "$step" data <&5 || break
        skip=$((skip - step))
      done
    fi
    data=
    IFS= read -r -N 16384 data <&5
    printf 'p %s ok +%s\n%s' "$1" "\${#data}" "$data"
  }
else
  NAME=sh
  # Such a shell ends when it cannot start a process, as when a command has filled the process table; within an eval that
  # is called as a command it does not.
  send() { command eval 'cat "$1"; rm -f "$1"'; printf '.\n'; }
  ended() {
    if [ -e "$C/$2.total" ] || [ -e "$C/$2.lost" ]; then printf 'd %s %s -\n' "$2" "$3"; return; fi
    printf 'd %s %s =\n' "$2" "$3"
    command eval 'head -c 16385 "$C/$2.out" | base64'
    printf '.\n'
  }
  whole() { printf 'p %s no EFBIG\n' "$1"; }
  follow() {
    printf 'p %s ok =\n' "$1"
    command eval 'tail -c "+$(($3 + 1))" "$C/$2.out" | head -c 16384 | base64'
    printf '.\n'
  }
fi

events() {
  printf 'hello 1 %s %s\n' "$NAME" "$boot"
  while IFS= read -r line <&4; do
    set -- $line
    case $line in
      'd '*) ended "$@" ;;
      'w '*) shift; follow "$@" ;;
      'f '*) shift; whole "$@" ;;
      's '*) printf 'p %s ok =\n' "$2"; send "$S/tmp/a.$2" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}
{ trap 'kill -9 "$$"' EXIT; events; } 2>/dev/null </dev/null &
events=$!
exec 1>&2

tell() { printf '%s\n' "$1" >&4; }

# known <id>: true when the call has started before; the channel is told if it has ended.
known() {
  if [ -s "$C/$1.end" ]; then
    read -r colon code rest < "$C/$1.end"
    tell "d $1 $code"
    return 0
  fi
  [ -e "$C/$1.out" ]
}

start() {
  printf '%s\n' "$1" 1<>req
}

# take <bytes> <file>: content from standard input and the line after it. Whatever the disk does, all of it is read; where
# even that fails, what follows would be taken for requests, so this ends.
take() {
  bytes=$1
  {
    [ "$bytes" -ge 65536 ] && dd bs=65536 count="$((bytes / 65536))" iflag=fullblock
    [ "$((bytes % 65536))" -gt 0 ] && dd bs="$((bytes % 65536))" count=1 iflag=fullblock
  } 2>/dev/null | { cat >| "$2"; cat >/dev/null; } 2>/dev/null
  IFS= read -r mark
  [ "$mark" = '#longhaul-end#' ] || exit 1
  [ "$(stat -c %s "$2" 2>/dev/null)" = "$bytes" ]
}

# reserve_gone: gives the reserve back to a full disk; false when that was done before.
reserve_gone() { [ -e reserve ] && rm -rf reserve; }

# on_disk: keeps commands on the disk from now on: their folder in memory is full, or was removed or closed.
on_disk() {
  if ! [ -L commands ] && [ -d commands ] && [ -w commands ] && [ -x commands ]; then return 1; fi
  chmod 700 commands commands.new 2>/dev/null
  mkdir -p commands.new 2>/dev/null || return 1
  set +f
  cp commands/* commands.new/ 2>/dev/null
  set -f
  rm -rf commands
  mv commands.new commands
}

write_command() { { printf '%b#longhaul-end#' "$2" >| "commands/$1"; } 2>/dev/null; }

run() {
  known "$1" && return
  if write_command "$@" || { on_disk && write_command "$@"; }; then start "$1"; return; fi
  rm -f "commands/$1"
  reserve_gone
  tell "x $1"
}

run_long() {
  if known "$1"; then take "$2" tmp/known; return; fi
  if take "$2" "commands/$1"; then start "$1"; return; fi
  rm -f "commands/$1"
  # It is gone, but will be sent again when it is asked for.
  on_disk && return
  reserve_gone
  tell "x $1"
}

stop() {
  [ -s "$C/$1.end" ] && return
  { printf '%s\n' "$2" >| "$C/$1.why"; } 2>/dev/null || { reserve_gone; printf '%s\n' "$2" >| "$C/$1.why"; }
  find_shell
  # Its output file may have been removed by the command itself: the main script needs one to account for the call.
  if [ -e "$C/$1.out" ] || { runs_in_shell "$1" && : >> "$C/$1.out"; }; then
    if [ -n "$shell" ] && ! [ -s "$C/$1.end" ]; then kill -9 "$shell"; fi
    kill -CONT "$main" 2>/dev/null
  else
    # From now on it will not run, whenever the shell comes to it.
    tell "d $1 $2"
  fi
}

# tend: starts watchers again that were killed, or ended because they could start no process. Not while a call may be
# filling the process table: bash tries to start one for seconds, and hears of nothing meanwhile.
tend() {
  for name in calls journal; do
    holder=
    read -r holder < "watcher.$name"
    # Not as a child, which the end of this channel would wait for.
    kill -0 "$holder" || command eval '(sh "$O/watch.sh" "$name" </dev/null >/dev/null 2>&1 4>&- &)'
  done
} 2>/dev/null

# healthy: repairs what can be repaired; false when this channel can hear of no end of a call any more.
healthy() {
  ready=
  holder=
  read -r ready holder 2>/dev/null < ready
  [ "$ready $holder" = "$boot $main" ] || printf '%s %s\n' "$boot" "$main" >| ready
  holder=
  read -r holder 2>/dev/null < "slot.$slot"
  [ "$holder" = "$$" ] && [ -p "bell.$slot" ] && [ "bell.$slot" -ef "/proc/$$/fd/4" ]
}

# begin: the operation, in a process of its own.
begin() { command eval '"op_$operation" "$@" &' || refuse EAGAIN; }

tend
while IFS= read -r line; do
  set -- $line
  # Takes notice of children that have ended; bash does so by itself.
  [ -n "$BASH_VERSION" ] || jobs >/dev/null 2>&1
  case $1 in
    r | R | k) case $2 in '' | *[!A-Za-z0-9_-]*) exit 1 ;; esac ;;
  esac
  case $1 in
    r) line=\${line#r }; run "$2" "\${line#* }" ;;
    R) run_long "$2" "$3" ;;
    k) stop "$2" "$3" ;;
    q)
      n=$2
      operation=$3
      shift 3
      case $operation in
        ping) if healthy 2>/dev/null; then tell "p $n ok"; else tell "p $n no"; fi ;;
        tend) tend; tell "p $n ok" ;;
        check) check "$1" 2>/dev/null ;;
        follow)
          tell "w $n $1 $2"
          [ "$3" = first ] && printf '%s\n' "$1" 1<>watch
          ;;
        state) state_of "$1" ;;
        claim) claim "$1" ;;
        done) finish "$1" "$2" "\${line#q * done * * }" ;;
        restart) restart "$1" ;;
        put)
          if { printf '%b' "\${line#q * put * * }" >| "tmp/w.$n"; } 2>/dev/null; then operation=write; begin "$1" "$2"
          else refuse ENOSPC; rm -f "tmp/w.$n"; fi
          ;;
        resolve | stat)
          "op_$operation" "$@"
          cd "$S" || exit 1
          ;;
        whole) tell "f $n $1" ;;
        write)
          if take "$1" "tmp/w.$n"; then shift; begin "$@"; else refuse ENOSPC; rm -f "tmp/w.$n"; fi
          ;;
        read | batch | walk | collect) begin "$@" ;;
        *) tell "p $n no EPROTO" ;;
      esac
      ;;
    *) exit 1 ;;
  esac
done
kill -9 "$events" 2>/dev/null
wait
holder=
read -r holder 2>/dev/null < "slot.$slot"
[ "$holder" = "$$" ] && rm -f "slot.$slot" "bell.$slot"
`;

/**
 * The container's main command. Makes the pipes and holds them open, keeps a shell running, and accounts for a call whose
 * shell is gone: it ends what the call had started, says how it ended, and starts the next shell. When the container
 * starts, calls that had started before are lost: their processes went with the last one.
 *
 * From the moment a shell is gone until what its call started is gone, nothing here may start a process: a command that
 * fills the process table would make that impossible.
 */
import { script } from "./script.ts";

export const mainScript = script`
S=/var/lib/longhaul
C=$S/calls
umask 022
mkdir -p "$C" "$S/tmp" || exit 1
cd "$S" || exit 1
# What was put here as root's stays, and cannot be removed by a command; where it could not be put, it is made here.
rm -rf fresh slot.0 slot.1 slot.2 slot.3 bell.0 bell.1 bell.2 bell.3 watcher.calls watcher.journal commands.new
for pipe in req watch; do [ -p "$pipe" ] || { rm -rf "$pipe"; mkfifo "$pipe"; } || exit 1; done
for kept in ready shell.pid; do [ -f "$kept" ] || rm -rf "$kept"; : > "$kept" || exit 1; done
# The text of commands need not outlive this process, and memory is quicker than a disk that is busy.
rm -rf commands
if mkdir -p /dev/shm/longhaul 2>/dev/null && : 2>/dev/null > /dev/shm/longhaul/try; then
  rm -f /dev/shm/longhaul/*
  ln -s /dev/shm/longhaul commands 2>/dev/null
fi
[ -d commands ] || mkdir commands || exit 1
exec 3<>req 4<>watch
if command -v bash >/dev/null 2>&1; then SHELL_NAME=bash; else SHELL_NAME=sh; fi
NEWLINE='
'
TEXT=$(cat "/opt/longhaul/shell.$SHELL_NAME")

# ring <id> <code>: tells every channel.
ring() {
  for i in 0 1 2 3; do
    if [ -p "$S/bell.$i" ]; then printf 'd %s %s\n' "$1" "$2" 1<>"$S/bell.$i"; fi
  done
}

# by_descriptor <process> <out file>
by_descriptor() {
  [ "$1/fd/7" -ef "$2" ] || [ "$1/fd/1" -ef "$2" ] || [ "$1/fd/2" -ef "$2" ]
}

# by_environment <process> <id>: the shell's read drops the NUL between variables.
by_environment() {
  text=
  while IFS= read -r text || [ -n "$text" ]; do
    case $text in *"LONGHAUL_CALL=$2:"*) return 0 ;; esac
    text=
  done < "$1/environ"
  return 1
}

# end_all <test> <argument>: stops, then kills whatever the test finds. Stopping first: what forks faster than it is found
# would otherwise never be gone. What was killed may be found for a while on a busy machine, but runs no more.
end_all() {
  stopped=' '
  killed=' '
  read -r since rest < /proc/uptime
  since=\${since%.*}
  while read -r now rest < /proc/uptime; [ "$((\${now%.*} - since))" -lt 8 ]; do
    found=
    for process in /proc/[0-9]*; do
      pid=\${process#/proc/}
      case "$stopped$killed" in *" $pid "*) continue ;; esac
      case $pid in 1 | $$) continue ;; esac
      "$1" "$process" "$2" 2>/dev/null || continue
      found=1
      kill -STOP "$pid" 2>/dev/null
      stopped="$stopped$pid "
    done
    if [ -z "$found" ]; then
      [ "$stopped" = ' ' ] && return 0
      for pid in $stopped; do kill -KILL "$pid" 2>/dev/null; done
      killed="$killed$stopped"
      stopped=' '
    fi
  done
  # The one call that nothing can outrun: everything but this process ends, the channels and watchers too.
  kill -9 -1
  start_watch
}

# settle <code>: writes down how calls without an end have ended; <code> where nobody asked to stop them.
settle() {
  for out in "$C"/*.out; do
    [ -e "$out" ] || continue
    call=\${out%.out}
    [ -s "$call.end" ] && continue
    id=\${call##*/}
    why=
    left=
    if [ -e "$call.why" ]; then read -r why left < "$call.why"; fi
    case $left in *[!0-9]*) left= ;; esac
    case $why in
      I | X | D) if [ "$1" != L ]; then end_all by_descriptor "$out"; end_all by_environment "$id"; fi ;;
      *) why=$1 ;;
    esac
    # After a timeout and after its own end, a shell's state is not taken over.
    kind=-
    case $why in X | T) kind=r ;; D) why=D$left ;; esac
    number=$((number + 1))
    printf ': %s %s %s\n' "$why" "$number" "$kind" >| "$call.end"
    ring "$id" "$why"
  done
}

# newest [but]: sets number to the highest of all calls, state to the newest file with a state, or with the word that
# there is none (kind r). Passes over the numbers in the list <but>.
newest() {
  number=0
  best=0
  state=
  for end in "$C"/*.end; do
    [ -s "$end" ] || continue
    n=
    read -r colon code n kind < "$end"
    case $n in '' | *[!0-9]* | ??????????*) continue ;; esac
    [ "$n" -gt "$number" ] && number=$n
    case $kind in e | r) ;; *) continue ;; esac
    case $1 in *" $n "*) continue ;; esac
    if [ "$n" -gt "$best" ]; then best=$n; state=$end; state_kind=$kind; fi
  done
}

# newest_state: the same, but sets state to a file that is complete and can be taken over, or to nothing.
newest_state() {
  torn=' '
  while newest "$torn"; [ -n "$state" ]; do
    if [ "$state_kind" = r ]; then state=; return; fi
    [ "$(tail -n 1 "$state")" = '# end' ] && return
    torn="$torn$best "
  done
}

start_watch() {
  for name in calls journal; do
    sh /opt/longhaul/watch.sh "$name" </dev/null >/dev/null 2>&1 3<&- 4<&- &
    # Before anybody looks for it: a channel starts those that it does not find.
    printf '%s\n' "$!" > "watcher.$name"
  done
}

newest
settle L
# A change of a file whose new content is still there did not happen.
for pending in "$C"/*.pend; do
  [ -e "$pending" ] || continue
  temporary=
  read -r temporary < "$pending"
  if [ -n "$temporary" ] && [ -e "$temporary" ]; then rm -f "$pending"; fi
done
find "$S/tmp" -type f -exec rm -f {} + 2>/dev/null
start_watch
read -r boot < /proc/1/stat
boot=\${boot##*) }
set -- $boot
printf '%s %s\n' "\${20}" "$$" > ready

while :; do
  newest_state
  cd /workspace 2>/dev/null || cd /
  LONGHAUL_STATE=$state LONGHAUL_NUMBER=$number LONGHAUL_CALL= LONGHAUL_NEWLINE=$NEWLINE \
    "$SHELL_NAME" -c "$TEXT" "$SHELL_NAME" </dev/null >/dev/null 2>&1 3<&- 4<&-
  cd "$S" || exit 1
  newest
  settle T
  if [ -e "$S/fresh" ]; then
    number=$((number + 1))
    printf ': R %s r\n' "$number" >| "$C/restart-$number.end"
    rm -f "$S/fresh"
  fi
  # Read by the last shell just before it was killed, perhaps: a second time does no harm.
  for command in commands/*; do
    id=\${command#commands/}
    if [ -e "$command" ] && [ ! -e "$C/$id.out" ] && [ ! -e "$C/$id.end" ]; then printf '%s\n' "$id" >&3; fi
  done
done
`;

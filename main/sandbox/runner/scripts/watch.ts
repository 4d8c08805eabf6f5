/**
 * Keeps the runner's files small. `watch.sh calls` sleeps until it is told of a call that takes its time, then looks at
 * its output five times a second; `watch.sh journal` looks at everything now and then: background jobs write to the
 * output files of calls that are long over.
 *
 * An output that grows too long keeps its first 10 MB and its end; what is between is given back to the disk. Where the
 * file system can do that, the file keeps its size and nothing is lost in between. Elsewhere the start and the last
 * 100 KiB are set aside and the file is emptied; `<id>.lost` counts the bytes that are gone.
 *
 * The disk is the engine's, with the files of all sandboxes on it. A call during which the last of it is being used up is
 * ended, with D and the number of MiB that are left in `<id>.why`. A disk that is nearly full anyhow ends nothing as long as
 * it does not become fuller.
 */
import { script } from "./script.ts";

export const watch = script`
S=/var/lib/longhaul
C=$S/calls
LIMIT=20000000
HEAD=10000000
cd "$C" || exit 1

size_of() {
  size=$(stat -c %s "$1" 2>/dev/null)
  case $size in '' | *[!0-9]*) size=0 ;; esac
}

# used <file>: bytes that it takes of the disk.
used() {
  used=$(stat -c %b "$1" 2>/dev/null)
  case $used in '' | *[!0-9]*) used=0 ;; esac
  used=$((used * 512))
}

shorten() {
  call=\${1%.out}
  used "$1"
  [ "$used" -gt "$LIMIT" ] || return
  size_of "$1"
  [ "$size" -gt "$LIMIT" ] || return
  fallocate -p -o "$HEAD" -l "$((size - HEAD - 1048576))" "$1" 2>/dev/null && return
  [ -e "$call.head" ] || head -c "$HEAD" "$1" > "$call.head"
  lost=0
  if [ -e "$call.lost" ]; then read -r lost < "$call.lost"; fi
  # What is written between this look at the size and the cut is lost: the shorter that is, the better.
  for try in 1 2 3 4 5; do
    size_of "$1"
    seen=$size
    tail -c 102400 "$1" > "$call.mid"
    size_of "$1"
    [ "$size" = "$seen" ] && break
  done
  : > "$1"
  printf '%s\n' "$((lost + size))" > "$call.lost"
}

# The image or the container's maker may set another floor; of small disks it is a fifth at most.
case $LONGHAUL_DISK_FLOOR_MIB in '' | *[!0-9]*) FLOOR= ;; *) FLOOR=$((LONGHAUL_DISK_FLOOR_MIB * 1024)) ;; esac

# look_at_disk: sets left and floor, in KiB.
look_at_disk() {
  set -- $(df -Pk "$C" 2>/dev/null | tail -n 1)
  case $2-$4 in -* | *- | *[!0-9-]*) left=1 floor=0; return ;; esac
  left=$4
  floor=$FLOOR
  [ -n "$floor" ] && return
  floor=$(($2 / 50))
  [ "$floor" -lt 524288 ] && floor=524288
  [ "$floor" -gt "$(($2 / 5))" ] && floor=$(($2 / 5))
}

# guard_disk <id>: every second, or every time when little is left.
guard_disk() {
  looked=$((looked + 1))
  [ "$looked" -lt 5 ] && [ "$left" -gt "$((floor * 4))" ] && return
  looked=0
  look_at_disk
  [ "$left" -lt "$floor" ] || { before=; return; }
  [ -n "$before" ] || before=$left
  [ "$((before - left))" -gt 16384 ] || return
  if [ -e "$1.why" ] || [ -e "$1.end" ]; then return; fi
  printf 'D %s\n' "$((left / 1024))" > "$1.why"
  shell=
  read -r shell < "$S/shell.pid"
  case $shell in '' | *[!0-9]* | 1) ;; *) [ -e "$1.end" ] || kill -9 "$shell" ;; esac
}

watch_calls() {
  while IFS= read -r id < "$S/watch"; do
    case $id in '' | *[!A-Za-z0-9_-]*) continue ;; esac
    looked=4
    left=1
    floor=0
    before=
    seen=
    until [ -e "$id.end" ]; do
      mine || return
      if [ -e "$id.out" ]; then seen=1
      elif [ -n "$seen" ] || ! [ -e "$S/commands/$id" ]; then break; fi
      shorten "$id.out"
      sleep 0.2 || sleep 1
      guard_disk "$id"
    done
    mine || return
    [ -e "$id.out" ] && shorten "$id.out"
  done
}

# mine: false when another of these took its place.
mine() {
  holder=
  read -r holder < "$S/watcher.$name"
  [ "$holder" = "$$" ]
}

watch_journal() {
  while mine; do
    for out in $(find . -name '*.out' -size +39000 2>/dev/null); do shorten "\${out#./}"; done
    set -- *.end
    if [ "$#" -gt 600 ]; then
      ls -t | grep '\.end$' | tail -n +501 | while IFS= read -r end; do rm -f -- "\${end%.end}".*; done
    fi
    for command in "$S"/commands/*; do
      if [ -e "\${command##*/}.end" ]; then printf '%s\n' "$command"; fi
    done | while IFS= read -r command; do rm -f -- "$command"; done
    # A reserve that lets calls be recorded when the disk is full, so that something can be removed.
    if ! [ -e "$S/reserve/16" ]; then
      mkdir -p "$S/reserve"
      for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do head -c 65536 /dev/zero > "$S/reserve/$i" || break; done
    fi 2>/dev/null
    # Answers that were sent.
    find "$S/tmp" -name 'a.*' -size 0 -mmin +1 -exec rm -f {} + 2>/dev/null
    find "$S/tmp" -name 'l.*' -mmin +5 -exec rm -f {} + 2>/dev/null
    sleep 7
  done
}

name=$1
printf '%s\n' "$$" > "$S/watcher.$name"
watch_"$name"
`;

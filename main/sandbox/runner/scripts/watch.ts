/**
 * Keeps the runner's files small. `watch.sh calls` sleeps until it is told of a call that takes its time, then looks at
 * its output five times a second; `watch.sh journal` looks at everything now and then: background jobs write to the
 * output files of calls that are long over.
 *
 * An output that grows too long keeps its first 10 MB and its end; what is between is given back to the disk. Where the
 * file system can do that, the file keeps its size and nothing is lost in between. Elsewhere the start and the last
 * 100 KiB are set aside and the file is emptied; `<id>.lost` counts the bytes that are gone.
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

watch_calls() {
  while IFS= read -r id < "$S/watch"; do
    case $id in '' | *[!A-Za-z0-9_-]*) continue ;; esac
    until [ -e "$id.end" ]; do
      shorten "$id.out"
      sleep 0.2 || sleep 1
    done
    shorten "$id.out"
  done
}

watch_journal() {
  while :; do
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

watch_"$1"
`;

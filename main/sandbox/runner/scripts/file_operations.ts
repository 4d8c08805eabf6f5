/**
 * What a channel does besides running commands. The functions at the start answer at once and start no process; those
 * named `op_` run in a process of their own, so that a slow one holds nothing up, but for the quick `resolve` and `stat`.
 *
 * Paths in requests have `\\`, newline and space written as `\\\\`, `\\n` and `\\0040`; paths in answers end the line and
 * have `\\` and newline written so. Operations on files take paths that `resolve` returned, and check that the way to
 * them still has no links; `no <code>` names the system's error.
 *
 * Tools that change a file are written down like commands: `<id>.claim` by which channel, `<id>.pend` the new content that
 * is about to be moved in place, `<id>.end` and `<id>.out` the result. A channel that died with its claim is succeeded:
 * where the new content is gone from where it was prepared, the change was made; else it was not, and is made anew.
 */
import { script } from "./script.ts";

export const fileOperations = script`
# state_of <id>: end <code> | running | claimed | unknown
state_of() {
  if [ -s "$C/$1.end" ]; then
    read -r colon code rest < "$C/$1.end"
    tell "p $n ok end $code"
  elif [ -e "$C/$1.out" ] || [ -e "commands/$1" ]; then tell "p $n ok running"
  elif [ -e "$C/$1.claim" ]; then tell "p $n ok claimed"
  else tell "p $n ok unknown"
  fi
}

# claim <id>: end <code> | new | busy (another channel is at it) | applied
claim() {
  case $1 in '' | *[!A-Za-z0-9_-]*) exit 1 ;; esac
  if [ -s "$C/$1.end" ]; then state_of "$1"; return; fi
  if { printf '%s\n' "$boot.$$.$slot" > "$C/$1.claim"; } 2>/dev/null; then tell "p $n ok new"; return; fi
  if ! [ -e "$C/$1.claim" ]; then
    if reserve_gone && { printf '%s\n' "$boot.$$.$slot" > "$C/$1.claim"; } 2>/dev/null; then tell "p $n ok new"
    else tell "p $n no ENOSPC"; fi
    return
  fi
  owner=
  read -r owner < "$C/$1.claim"
  case $owner in
    "$boot.$$."*) tell "p $n ok busy"; return ;;
    "$boot."*)
      process=\${owner#*.}
      holder=
      read -r holder 2>/dev/null < "slot.\${process#*.}"
      if [ "$holder" = "\${process%.*}" ] && kill -0 "$holder" 2>/dev/null; then tell "p $n ok busy"; return; fi
      ;;
  esac
  if [ -e "$C/$1.pend" ]; then
    temporary=
    read -r temporary < "$C/$1.pend"
    if ! [ -e "$temporary" ]; then tell "p $n ok applied"; return; fi
  fi
  printf '%s\n' "$boot.$$.$slot" >| "$C/$1.claim"
  tell "p $n ok new"
}

# finish <id> <code> <text>: keeps a result.
finish() {
  if { printf '%b' "$3" >| "$C/$1.out" && printf ': %s 0 -\n' "$2" >| "$C/$1.end"; } 2>/dev/null; then tell "p $n ok"
  else rm -f "$C/$1.out"; tell "p $n no ENOSPC"; fi
}

# is_child <process>: true when the main script started it; sets state to what it does (S, R, T, D).
is_child() {
  stat=
  read -r stat < "/proc/$1/stat" || return 1
  set -- \${stat##*) }
  state=$1
  [ "$2" = "$main" ]
}

# find_shell: sets shell to its number and state; to nothing while there is none. A command may have spoiled the file.
find_shell() {
  shell=
  read -r shell < shell.pid
  case $shell in '' | *[!0-9]*) ;; *) is_child "$shell" && return ;; esac
  set +f
  for process in /proc/[0-9]*; do
    shell=\${process#/proc/}
    is_child "$shell" || continue
    text=
    IFS= read -r text < "$process/cmdline"
    case $text in */opt/longhaul/*) ;; *) set -f; return ;; esac
  done
  set -f
  shell=
} 2>/dev/null

# runs_in_shell <id>: true when the shell is at this call, also where the call's files were removed.
runs_in_shell() {
  case $(readlink "/proc/$shell/fd/7") in "$C/$1.out"*) return 0 ;; *) return 1 ;; esac
}

# check <id>: what became of a command that was sent: ended | began | busy (the shell is at another one) | none (there is no
# shell just now) | waits | gone (its text). Whatever had been stopped from within goes on.
check() {
  healthy || { tell "p $n no"; return; }
  if [ -s "$C/$1.end" ]; then known "$1"; tell "p $n ok ended"; return; fi
  find_shell
  kill -CONT "$main" $shell
  if [ -e "$C/$1.out" ]; then tell "p $n ok began"
  elif [ -z "$shell" ]; then tell "p $n ok none"
  elif [ "$state" = D ] || [ -L "/proc/$shell/fd/7" ]; then
    if runs_in_shell "$1"; then tell "p $n ok began"; else tell "p $n ok busy"; fi
  elif [ -e "commands/$1" ]; then start "$1"; tell "p $n ok waits"
  else tell "p $n ok gone"
  fi
}

# restart <id>: ends the shell, once for each id.
restart() {
  if { printf '%s\n' "$$" > "$C/$1.restart"; } 2>/dev/null; then
    printf '1\n' >| fresh
    find_shell
    [ -n "$shell" ] && kill -9 "$shell"
    kill -CONT "$main" 2>/dev/null
  fi
  tell "p $n ok"
}

refuse() { tell "p $n no $1"; }

# answer: standard input becomes what follows the answer.
answer() { if base64 >| "tmp/a.$n"; then tell "s $n"; else refuse EIO; fi; }

# plain <text>: sets path to a path as it is.
plain() {
  case $1 in
    *'\'*) path=$(printf '%b.' "$1"); path=\${path%.} ;;
    *) path=$1 ;;
  esac
}

# one_line <text>: sets line to it without newlines.
one_line() {
  line=
  left=$1
  while :; do
    case $left in *'\'*) line=$line\${left%%'\'*}'\\'; left=\${left#*'\'} ;; *) break ;; esac
  done
  left=$line$left
  line=
  while :; do
    case $left in *'
'*) line=$line\${left%%'
'*}'\n'; left=\${left#*'
'} ;; *) break ;; esac
  done
  line=$line$left
}

# code_of <message>: sets code to the system's name of an error.
code_of() {
  case $1 in
    *'No space left'* | *'quota exceeded'*) code=ENOSPC ;;
    *'Permission denied'* | *'not permitted'* | *'Read-only'* | *'ermission'*) code=EACCES ;;
    *'Is a directory'*) code=EISDIR ;;
    *'Not a directory'* | *'File exists'*) code=ENOTDIR ;;
    *'name too long'*) code=ENAMETOOLONG ;;
    *'Too many levels'*) code=ELOOP ;;
    *'No such file'*) code=ENOENT ;;
    *) code=EIO ;;
  esac
}

# arrive <path>: goes to its folder; false where that is not the folder itself any more.
arrive() {
  folder=\${1%/*}
  [ -n "$folder" ] || folder=/
  cd -P -- "$folder" 2>/dev/null && [ "$PWD" = "$folder" ]
}

# op_resolve <path>: the canonical path and a slash, so that no name looks like the announcement of a payload.
op_resolve() {
  plain "$1"
  rest=
  hops=0
  while :; do
    if [ -d "$path" ] && cd -P -- "$path" 2>/dev/null; then path=$PWD; break; fi
    if [ -L "$path" ]; then
      hops=$((hops + 1))
      if [ "$hops" -gt 40 ]; then refuse ELOOP; return; fi
      cd -P -- "\${path%/*}/" 2>/dev/null || { refuse EACCES; return; }
      link=$(readlink -- "$path" && printf .)
      link=\${link%?.}
      case $link in /*) path=$link ;; *) path=$PWD/$link ;; esac
    elif [ -e "$path" ]; then
      cd -P -- "\${path%/*}/" 2>/dev/null || { refuse EACCES; return; }
      path=\${PWD%/}/\${path##*/}
      break
    else
      while :; do case $path in ?*/) path=\${path%/} ;; *) break ;; esac; done
      rest=/\${path##*/}$rest
      path=\${path%/*}
      [ -n "$path" ] || path=/
    fi
  done
  [ "$path" = / ] && [ -n "$rest" ] && path=
  one_line "$path$rest"
  if [ "\${#line}" -gt 3500 ]; then refuse ENAMETOOLONG; else tell "p $n ok $line/"; fi
}

# op_stat <path>: mode (hexadecimal) and size.
op_stat() {
  plain "$1"
  if found=$(stat -c '%f %s' -- "$path" 2>&1); then tell "p $n ok $found"; else code_of "$found"; refuse "$code"; fi
}

# op_read <path> <number>: that chunk of 256 KiB.
op_read() {
  plain "$1"
  arrive "$path" || { refuse ENOENT; return; }
  [ -L "$path" ] && { refuse ELOOP; return; }
  [ -e "$path" ] || { refuse ENOENT; return; }
  [ -f "$path" ] || { refuse EINVAL; return; }
  [ -r "$path" ] || { refuse EACCES; return; }
  cd "$S"
  dd if="$path" bs=262144 skip="$2" count=1 2>/dev/null | answer
}

# op_batch <folder> <paths below it>: the files one after the other; the asker knows their sizes.
op_batch() {
  plain "$1"
  { cd -P -- "$path" 2>/dev/null && [ "$PWD" = "$path" ]; } || { refuse ENOENT; return; }
  shift
  for name in "$@"; do
    shift
    plain "$name"
    if [ -L "$path" ] || ! [ -f "$path" ]; then refuse ENOENT; return; fi
    set -- "$@" "$path"
  done
  cat -- "$@" 2>/dev/null | head -c 400000 | answer
}

# op_write <id or -> <path>: moves tmp/w.<n> there.
op_write() {
  id=$1
  plain "$2"
  new=$S/tmp/w.$n
  failed() { rm -f "$new" "$C/$id.pend"; refuse "$1"; }
  folder=\${path%/*}
  if ! [ -d "$folder" ]; then
    found=$(mkdir -p -- "$folder" 2>&1) || { code_of "$found"; failed "$code"; return; }
  fi
  arrive "$path" || { failed ENOENT; return; }
  if [ -d "$path" ]; then failed EISDIR; return; fi
  if [ -L "$path" ]; then failed ELOOP; return; fi
  if [ -e "$path" ]; then
    [ -f "$path" ] || { failed EINVAL; return; }
    mode=$(stat -c %a -- "$path") && [ "$mode" != 644 ] && chmod "$mode" "$new"
  fi
  case $path in
    /tmp/*)
      # Another file system: only within it can a file be moved in one step.
      mkdir -p /tmp/.longhaul
      found=$(cp -p "$new" "/tmp/.longhaul/$n" 2>&1) ||
        { rm -f "/tmp/.longhaul/$n"; code_of "$found"; failed "$code"; return; }
      rm -f "$new"
      new=/tmp/.longhaul/$n
      ;;
  esac
  if [ "$id" != - ]; then
    { printf '%s\n' "$new" >| "$C/$id.pend"; } 2>/dev/null || { failed ENOSPC; return; }
  fi
  if found=$(mv -f -- "$new" "$path" 2>&1 </dev/null); then tell "p $n ok"; else code_of "$found"; failed "$code"; fi
}

# op_walk <path>: size of a list in tmp/l.<n>, which op_read takes. Entries: seconds, bytes, path below <path>, two slashes
# (which no path holds), newline.
op_walk() {
  plain "$1"
  { cd -P -- "$path" 2>/dev/null && [ "$PWD" = "$path" ]; } || { refuse ENOENT; return; }
  limit=
  command -v timeout >/dev/null 2>&1 && limit='timeout 40'
  if [ -n "$BASH_VERSION" ] && find . -maxdepth 0 -printf '' 2>/dev/null; then
    $limit find . -maxdepth 40 -type d '(' -name .git -o -name node_modules ')' -prune -o \
      -type f -printf '%T@ %s %p//\n' 2>/dev/null
  else
    $limit find . -maxdepth 40 -type d '(' -name .git -o -name node_modules ')' -prune -o \
      -type f -exec stat -c '%Y %s %n//' {} + 2>/dev/null
  fi | head -c 8000000 >| "$S/tmp/l.$n"
  size=$(stat -c %s "$S/tmp/l.$n") && tell "p $n ok $size" || refuse ENOSPC
}

# op_collect <id> <spill name>: the end of a long output; before it "<bytes> <spill file or ->".
op_collect() {
  call=$C/$1
  if ! [ -e "$call.total" ]; then
    lost=0
    [ -e "$call.lost" ] && read -r lost < "$call.lost"
    size=$(stat -c %s "$call.out" 2>/dev/null) || size=0
    total=$((size + lost))
    if [ "$total" -le 102400 ]; then printf '%s -\n' "$total" | cat - "$call.out" | answer; return; fi
    tail -c 102400 "$call.out" >| "$call.tail"
    if [ "$size" -lt 102400 ] && [ -e "$call.mid" ]; then
      { tail -c "$((102400 - size))" "$call.mid"; printf '\n[Output may be missing here.]\n'; cat "$call.tail"; } >| "$call.joined"
      mv -f "$call.joined" "$call.tail"
    fi
    first=$call.out
    [ -e "$call.head" ] && first=$call.head
    spill=/tmp/tool-output/$2
    mkdir -p /tmp/tool-output
    if head -c 10000000 "$first" >| "$spill"; then
      cd /tmp/tool-output && ls -t | grep '^[A-Za-z0-9_-]*\.txt$' | tail -n +11 | while IFS= read -r old; do rm -f -- "$old"; done
    else rm -f "$spill"; spill=-
    fi 2>/dev/null
    cd "$S"
    printf '%s %s\n' "$total" "$spill" >| "$call.new" && mv -f "$call.new" "$call.total"
    # From here on the kept end is the result; the file stays, because what runs on may still write to it.
    [ -s "$call.tail" ] && [ -e "$call.total" ] && : >| "$call.out"
    rm -f "$call.head" "$call.mid" "$call.lost"
  fi
  cat "$call.total" "$call.tail" | answer
}
`;

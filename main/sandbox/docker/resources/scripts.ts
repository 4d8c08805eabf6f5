/**
 * What runs inside a container to bring repositories in and out: POSIX shell and git, always as the agent, so that a
 * hostile repository gains nothing there. Positional arguments carry every value; nothing is pasted into a script.
 */

/** Exit statuses that have a meaning of their own. */
export const NO_GIT = 96;
export const TAKEN = 97;
export const NO_REPOSITORY = 95;
export const NO_COMMIT = 94;
export const UNBORN = 93;

/** Told of git in scripts: never asks, and reads no configuration of the agent's home. */
export const QUIET_GIT = {
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "/bin/false",
  SSH_ASKPASS: "/bin/false",
  GIT_OPTIONAL_LOCKS: "0",
  LC_ALL: "C",
};

const NEEDS_GIT = `command -v git >/dev/null 2>&1 || exit ${NO_GIT}`;
/** Creates the folder $1; a folder with something in it is somebody's work. */
const EMPTY_TARGET = `mkdir -p "$1"
if [ -n "$(ls -A "$1")" ]; then exit ${TAKEN}; fi
cd "$1"`;
/** Without a name git refuses to commit; one that the image has is kept. */
const IDENTITY = `git config user.name >/dev/null || git config user.name "Longhaul agent"
git config user.email >/dev/null || git config user.email "agent@longhaul.invalid"`;

/** $1 target, $2 folder with \`bundle\` and \`shallow\`, $3 commit, $4 branch or "", $5 object format */
export const CLONE_BUNDLE = `set -eu
${NEEDS_GIT}
${EMPTY_TARGET}
if [ "$5" = sha1 ]; then git init -q --template= .; else git init -q --template= --object-format="$5" .; fi
if [ -s "$2/shallow" ]; then cat "$2/shallow" >.git/shallow; fi
git bundle unbundle "$2/bundle" >.git/longhaul-refs
sed -n 's,^\\([0-9a-f]*\\) \\(refs/tags/.*\\)$,create \\2 \\1,p' .git/longhaul-refs | git update-ref --stdin
rm -f .git/longhaul-refs
if [ -n "$4" ]; then
  git symbolic-ref HEAD "refs/heads/$4"
  git update-ref "refs/heads/$4" "$3"
else
  git update-ref --no-deref HEAD "$3"
fi
git -c core.hooksPath=/dev/null reset -q --hard
${IDENTITY}
`;

/**
 * $1 target, $2 URL, $3 branch or "", $4 commit or "", $5 the session's own branch or "". Prints the commit that is
 * checked out. The session's branch begins there, or where an earlier sandbox pushed it to.
 */
export const CLONE_URL = `set -eu
${NEEDS_GIT}
${EMPTY_TARGET}
if [ -n "$3" ]; then
  git -c credential.helper= clone --progress --branch "$3" -- "$2" .
else
  git -c credential.helper= clone --progress -- "$2" .
fi
if [ -n "$4" ]; then
  git cat-file -e "$4^{commit}" 2>/dev/null || git -c credential.helper= fetch -q origin "$4" || exit ${NO_COMMIT}
  git checkout -q --detach "$4"
fi
if [ -n "$5" ]; then
  if git rev-parse -q --verify "refs/remotes/origin/$5" >/dev/null; then git checkout -q --no-track -B "$5" "origin/$5"
  else git checkout -q --no-track -b "$5"; fi
  git config "branch.$5.remote" origin
  git config "branch.$5.merge" "refs/heads/$5"
fi
${IDENTITY}
git rev-parse --verify HEAD
`;

/** $1 target, $2 folder of this placing. Leaves the target as if nothing had been tried. */
export const CLEAR = `[ -n "$2" ] && rm -rf "$2"
[ -d "$1" ] && [ ! -L "$1" ] || exit 0
cd "$1" || exit 0
for entry in * .[!.]* ..?*; do
  if [ -e "$entry" ] || [ -L "$entry" ]; then chmod -R u+rwx "./$entry" 2>/dev/null; rm -rf "./$entry"; fi
done
cd / && rmdir "$1" 2>/dev/null
exit 0
`;

/**
 * Makes a commit of the work tree $1 on top of its HEAD, beside the repository: with an index, objects and settings of
 * its own in the folder $2. The bundle $2/bundle holds what leads from the commits $3 to it; none is made when it is one
 * of the commits $4, which are known. $5 is "cut" to take $3 as the beginning of all history. Prints HEAD, the commit, the
 * object format, and the bundle's size ("known" or 0 when there is none).
 */
export const COMMIT_AND_BUNDLE = `set -eu
${NEEDS_GIT}
target=$1 work=$2 have=$3 known=$4 cut=$5
rm -rf "$work"
umask 077
mkdir -p "$work"
cd "$target" 2>/dev/null || exit ${NO_REPOSITORY}
if [ -L .git ] || [ ! -e .git ]; then exit ${NO_REPOSITORY}; fi
export HOME="$work" XDG_CONFIG_HOME="$work" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_NO_REPLACE_OBJECTS=1
export GIT_DIR="$target/.git"
if ! head=$(git rev-parse --verify -q 'HEAD^{commit}'); then
  git cat-file -e "\${have%% *}" 2>/dev/null && exit ${UNBORN}
  exit ${NO_REPOSITORY}
fi
format=$(git rev-parse --show-object-format 2>/dev/null || echo sha1)
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$target/$1" ;; esac; }
objects=$(absolute "$(git rev-parse --git-path objects)")
index=$(absolute "$(git rev-parse --git-path index)")
shared=$(git rev-parse --shared-index-path 2>/dev/null || :)
shallow=$(absolute "$(git rev-parse --git-path shallow)")
exclude=$(absolute "$(git rev-parse --git-path info/exclude)")
unset GIT_DIR
if [ "$format" = sha1 ]; then git init -q --bare --template= "$work/git"
else git init -q --bare --template= --object-format="$format" "$work/git"; fi
mkdir -p "$work/git/objects/info" "$work/git/info"
printf '%s\\n' "$objects" >"$work/git/objects/info/alternates"
if [ -f "$index" ]; then cp "$index" "$work/git/index"; touch -r "$index" "$work/git/index"; fi
if [ -n "$shared" ]; then cp "$(absolute "$shared")" "$work/git/"; fi
if [ "$cut" = cut ]; then printf '%s\\n' $have >"$work/git/shallow"
elif [ -s "$shallow" ]; then cat "$shallow" >"$work/git/shallow"; fi
if [ -f "$exclude" ]; then cat "$exclude" >"$work/git/info/exclude"; fi
export GIT_DIR="$work/git" GIT_WORK_TREE="$target"
git config core.bare false
git config pack.compression 1
if [ ! -f "$work/git/index" ]; then git read-tree "$head"; fi
git diff-files -z --name-only --diff-filter=D --ignore-submodules=all | git update-index -z --force-remove --stdin
git ls-files -z -m -o --exclude-standard | git update-index -z --add --remove --replace --stdin
tree=$(git write-tree)
tip=$head
if [ "$tree" != "$(git rev-parse "$head^{tree}")" ]; then
  when=$(git log -1 --format=%ct "$head")
  export GIT_AUTHOR_NAME="Longhaul agent" GIT_AUTHOR_EMAIL=agent@longhaul.invalid GIT_AUTHOR_DATE="@$when +0000"
  export GIT_COMMITTER_NAME="Longhaul agent" GIT_COMMITTER_EMAIL=agent@longhaul.invalid GIT_COMMITTER_DATE="@$when +0000"
  tip=$(echo "Uncommitted work of the agent" | git commit-tree "$tree" -p "$head")
fi
size=0
for commit in $known; do if [ "$tip" = "$commit" ]; then size=known; fi; done
if [ "$size" = 0 ]; then
  git update-ref refs/longhaul/tip "$tip"
  without=
  if [ "$cut" != cut ]; then
    for commit in $have; do if git cat-file -e "$commit^{commit}" 2>/dev/null; then without="$without ^$commit"; fi; done
  fi
  if [ -n "$(git rev-list -n 1 "$tip" $without)" ]; then
    git bundle create -q "$work/bundle" refs/longhaul/tip $without
    size=$(wc -c <"$work/bundle")
  fi
fi
printf '%s %s %s %s\\n' "$head" "$tip" "$format" $size
`;

/** $1 folder of a look that is over. */
export const REMOVE = `rm -rf "$1"`;

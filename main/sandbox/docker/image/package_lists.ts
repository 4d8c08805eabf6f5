/** The packages that an environment asks for: which names are accepted, and the script that each manager runs. Pure. */
import { SandboxLost } from "../../port.ts";

/** In the order in which they run (contract: alphabetical). */
export const MANAGERS = ["apt", "cargo", "gem", "go", "npm", "pip"] as const;
export type Manager = (typeof MANAGERS)[number];
export type PackageLists = Partial<Record<Manager, readonly string[]>>;

export interface PackageStep {
  manager: Manager;
  /** Sorted, each once. */
  names: readonly string[];
}

const MAX_NAMES = 200;
const MAX_LENGTH = 214;

/**
 * What a name may look like, by manager. Every pattern starts with a letter, digit or `@`, so that no name is an option,
 * and has no slash where a path or a URL would do something else than fetch from the registry.
 */
const NAMES: Record<Manager, { pattern: RegExp; example: string }> = {
  // A trailing "-" would remove the package.
  apt: {
    pattern: /^[a-z0-9](?:[a-z0-9+.-]*[a-z0-9+.])?(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?$/,
    example: "ffmpeg or ffmpeg=7:5.1",
  },
  cargo: { pattern: /^[A-Za-z][\w-]*(?:@[\w.+-]+)?$/, example: "ripgrep or ripgrep@14.1.0" },
  gem: { pattern: /^[A-Za-z0-9][\w.-]*(?::[\w.]+)?$/, example: "rake or rake:13.2.1" },
  go: {
    pattern: /^[A-Za-z0-9][\w-]*(?:\.[\w-]+)+(?:\/[\w.~-]+)+(?:@[\w.+-]+)?$/,
    example: "golang.org/x/tools/gopls@v0.16.1",
  },
  npm: {
    // A name that ends like an archive is taken for a file.
    pattern: /^(?!.*\.(?:tgz|tar|gz)$)(?:@[a-z0-9][\w.-]*\/)?[A-Za-z0-9][\w.-]*(?:@[\w.^~<>=*+-]+)?$/i,
    example: "typescript or typescript@5.9.3",
  },
  pip: {
    pattern:
      /^[A-Za-z0-9][\w.-]*(?:\[[\w.,-]+\])?(?:(?:===?|[<>~!]=|[<>])[\w.*+!-]+(?:,(?:===?|[<>~!]=|[<>])[\w.*+!-]+)*)?$/,
    example: "requests or requests==2.32.3",
  },
};

/**
 * The lists as steps, in order, without the empty ones.
 * @throws SandboxLost that names the field and the fix when a name is none
 */
export function packageSteps(lists: PackageLists): PackageStep[] {
  return MANAGERS.flatMap((manager) => {
    const names = [...new Set(lists[manager] ?? [])].sort();
    if (names.length > MAX_NAMES) {
      throw new SandboxLost(
        `config.packages.${manager} of the environment has ${names.length} names; ${MAX_NAMES} are the limit. Name an image that has them in its metadata (\`longhaul.image\`).`,
      );
    }
    for (const name of names) checkName(manager, name);
    return names.length === 0 ? [] : [{ manager, names }];
  });
}

function checkName(manager: Manager, name: string): void {
  const { pattern, example } = NAMES[manager];
  if (name.length <= MAX_LENGTH && pattern.test(name) && !/(^|[/@])\.\.?($|\/)/.test(name)) return;
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
  throw new SandboxLost(
    `config.packages.${manager} of the environment holds ${shown}, which is no package name. Nothing was installed. ` +
      `Write it as ${manager} does: ${example}. Files, URLs and options are not taken.`,
  );
}

/** Where a preparing container finds the certificate authorities of this machine's network; gone when it ends. */
export const CA_FILE = "/tmp/longhaul-install/authorities.pem";

/** Shared by all scripts. `need PROGRAM PACKAGE` brings a manager that the image lacks with apt. */
const PRELUDE = `
set -u
# Set here and not on the container: what is set there would stay in the image. Nobody is asked anything, and caches go.
export DEBIAN_FRONTEND=noninteractive HOME=/root
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin:/usr/local/cargo/bin:$PATH
export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
export CARGO_HOME=/tmp/longhaul-install/cargo GOBIN=/usr/local/bin
export GOPATH=/tmp/longhaul-install/go GOCACHE=/tmp/longhaul-install/go-build
umask 022
mkdir -p /tmp/longhaul-install
authorities=${CA_FILE}
if [ -f "$authorities" ]; then
  # With those of the image, where it has some: each of these names the only file that is read.
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cat /etc/ssl/certs/ca-certificates.crt >> "$authorities"; fi
  export NODE_EXTRA_CA_CERTS=$authorities SSL_CERT_FILE=$authorities PIP_CERT=$authorities CARGO_HTTP_CAINFO=$authorities
  export CURL_CA_BUNDLE=$authorities GIT_SSL_CAINFO=$authorities
fi
trap 'rm -rf /tmp/longhaul-install' EXIT
apt_update() {
  apt-get -q -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 \\
    -o APT::Update::Error-Mode=any update
}
apt_install() {
  apt-get install -y -q --no-install-recommends -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -- "$@"
}
apt_clean() {
  apt-get clean
  rm -rf /var/lib/apt/lists/* /var/log/apt/* /var/log/dpkg.log
}
need() {
  command -v "$1" > /dev/null 2>&1 && return
  if ! command -v apt-get > /dev/null 2>&1; then
    echo "the image has no $1, and no apt-get that could bring it"
    exit 96
  fi
  echo "the image has no $1: installing Debian's package $2"
  apt_update && apt_install "$2" || exit 97
  apt_clean
}
`;

const SCRIPTS: Record<Manager, string> = {
  // apt-get takes a name it does not know for a regular expression, so each is looked up first.
  apt: `
command -v apt-get > /dev/null 2>&1 || { echo "the image has no apt-get"; exit 96; }
apt_update || exit 97
unknown=0
for name in "$@"; do
  name=\${name%%[=:]*}
  apt-cache pkgnames --all-names -- "$name" | grep -Fqx -- "$name" || { echo "E: Unable to locate package $name"; unknown=1; }
done
[ "$unknown" = 0 ] || exit 100
apt_install "$@" || exit
apt_clean`,
  cargo: `
need cargo cargo
cargo install --root /usr/local -- "$@"`,
  gem: `
need gem ruby
gem install --no-document -- "$@"`,
  // One at a time: go refuses packages of several modules in one call.
  go: `
need go golang-go
for name in "$@"; do
  case $name in *@*) ;; *) name=$name@latest ;; esac
  echo "go install $name"
  go install -- "$name" || exit
done
chmod -R u+w /tmp/longhaul-install`,
  npm: `
need npm npm
npm install --global --prefix /usr/local --cache /tmp/longhaul-install/npm --no-audit --no-fund --no-update-notifier \\
  --fetch-retries=2 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 --fetch-timeout=60000 --loglevel=http -- "$@"`,
  pip: `
need python3 python3
python3 -m pip --version > /dev/null 2>&1 || need pip3 python3-pip
python3 -m pip install --no-cache-dir --no-input --timeout 15 --retries 2 -- "$@"`,
};

/** The command of a step; the names are arguments and never shell text. */
export function installCommand({ manager, names }: PackageStep): string[] {
  return ["/bin/sh", "-c", `${PRELUDE}${SCRIPTS[manager]}`, "longhaul", ...names];
}

/** How each manager says which package it could not get; the first group is the name. */
const BLAMED: Record<Manager, RegExp> = {
  apt: /E: (?:Unable to locate package |Version '[^']*' for '|Package ')([^\s']+)/,
  cargo: /could not (?:find|compile) `([^`]+)`/,
  gem: /(?:Could not find a valid gem|ERROR: {2}Error installing) '?([\w.-]+)/,
  go: /^go(?: install)?: (\S+@\S+?):? /m,
  npm: /(?:'|No matching version found for |GET \S+\/)((?:@[\w.~-]+(?:\/|%2f))?[\w.~-]+(?:@[^'\s]+)?)'? ?(?:is not in this registry|could not be found|- Not found|\.$)/im,
  pip: /No matching distribution found for (\S+)/,
};

/** The package that the manager's output blames; null when it cannot be told. */
export function blamedPackage(manager: Manager, output: string): string | null {
  return BLAMED[manager].exec(output)?.[1] ?? null;
}

/**
 * What `allow_package_managers` adds: the public registries of the package managers that an environment can name, and
 * where those send their downloads. Anything else a package fetches while it is installed needs `allowed_hosts`.
 */
export const PACKAGE_REGISTRIES: readonly string[] = [
  // apt: Debian and Ubuntu
  "deb.debian.org",
  "security.debian.org",
  "snapshot.debian.org",
  "archive.ubuntu.com",
  "security.ubuntu.com",
  "ports.ubuntu.com",
  // npm, and yarn
  "registry.npmjs.org",
  "registry.yarnpkg.com",
  // pip
  "pypi.org",
  "files.pythonhosted.org",
  // cargo
  "crates.io",
  "index.crates.io",
  "static.crates.io",
  // gem
  "rubygems.org",
  "index.rubygems.org",
  // go
  "proxy.golang.org",
  "sum.golang.org",
];

/** How the token of a repository is shown to its server: HTTP Basic, which all of them take from git. */

/**
 * Headers to try, most likely first. The user's name matters to few: GitHub wants `x-access-token` for installation tokens
 * and takes any other, GitLab wants `oauth2` for OAuth tokens and takes any other, Bitbucket wants `x-token-auth`. A token
 * with a colon is a name and password of its own, as deploy tokens and plain servers have them: no token of these has one.
 */
export function signIns(host: string, token: string): string[] {
  if (token.includes(":")) return [basic(token)];
  const names = /(^|\.)bitbucket\.org$/.test(host)
    ? ["x-token-auth"]
    : /gitlab/.test(host)
      ? ["oauth2", "x-access-token"]
      : ["x-access-token", "oauth2"];
  return names.map((name) => basic(`${name}:${token}`));
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;

/** What of the sign-in must not come back in an answer. Short values are left: they would be found in any pack by chance. */
export function secretsToMask(token: string): string[] {
  const password = token.slice(token.indexOf(":") + 1);
  return [...new Set([token, password])].filter((value) => value.length >= SHORTEST);
}

const SHORTEST = 8;

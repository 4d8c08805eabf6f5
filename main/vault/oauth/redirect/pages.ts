/** The pages that a person sees at the end of a sign-in. They repeat nothing of the request: anyone can write an address. */
import type { ServerResponse } from "node:http";

const PAGES = {
  done: [200, "You are signed in", "Longhaul can use the server now. You can close this page and go back to Longhaul."],
  failed: [
    400,
    "The sign-in did not work",
    "Nothing was changed. Longhaul says what went wrong. You can close this page, go back to Longhaul and start again.",
  ],
  over: [
    410,
    "This sign-in is over",
    "It was finished, cancelled, or took longer than ten minutes. Close this page and look at Longhaul; you can start again there.",
  ],
  unknown: [404, "There is nothing here", "This address belongs to Longhaul. Close this page and go back to Longhaul."],
} as const;

export type RedirectPage = keyof typeof PAGES;

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1.5rem;color-scheme:light dark}h1{font-size:1.4rem}";

export function sendPage(response: ServerResponse, page: RedirectPage): void {
  const [status, title, text] = PAGES[page];
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy":
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    // The address holds a code.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    connection: "close",
  });
  response.end(
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style><h1>${title}</h1><p>${text}</p></html>\n`,
  );
}
